// bf16 and fp16 in and out, on every target: all 65536 of each widened, and fp32 around each of them rounded.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "tests/compare.h"
#include "tests/targets.h"
#include "tests/widen.h"

namespace fusedffn {
namespace {

struct Narrow {
  const char* name;
  DType dtype;
  float (*widen)(uint16_t);
  uint16_t infinity;
};

constexpr Narrow kNarrow[] = {{"bf16", DType::kBF16, WidenBf16, 0x7F80},
                              {"fp16", DType::kF16, WidenF16, 0x7C00}};

// Of two neighbors the nearer one, and of two equally near the even one, by their distances in double. Behind
// the largest number comes what would be the next one.
uint16_t Nearest(const Narrow& narrow, float value) {
  const auto distance = [&](uint16_t to) {
    const double last = narrow.widen(static_cast<uint16_t>(narrow.infinity - 1));
    const double step = last - narrow.widen(static_cast<uint16_t>(narrow.infinity - 2));
    return std::fabs((to == narrow.infinity ? last + step : narrow.widen(to)) - std::fabs(double{value}));
  };
  uint16_t below = 0, above = narrow.infinity;  // the magnitude lies between these
  while (above - below > 1) {
    const auto middle = static_cast<uint16_t>((below + above) / 2);
    (narrow.widen(middle) <= std::fabs(value) ? below : above) = middle;
  }
  const bool even_is_below = below % 2 == 0;
  const bool down =
      distance(below) < distance(above) || (distance(below) == distance(above) && even_is_below);
  const uint16_t sign = std::signbit(value) ? 0x8000 : 0;
  return static_cast<uint16_t>(sign | (std::isinf(value) ? narrow.infinity : down ? below : above));
}

class ConvertTest : public testing::TestWithParam<std::string> {
 protected:
  const ElementwiseFns& ops_ = KernelsNamed(GetParam()).ops;
};

// At every place in a vector and behind the last whole one.
TEST_P(ConvertTest, WidensEveryElement) {
  for (const Narrow& narrow : kNarrow) {
    std::vector<uint16_t> in(65536 + 13);
    for (size_t i = 0; i < in.size(); ++i) in[i] = static_cast<uint16_t>(i * 40503);
    std::vector<float> out(in.size()), sum(in.size(), -0.0f);
    ops_.to_f32[static_cast<size_t>(narrow.dtype)](in.data(), in.size(), out.data());
    ops_.add[static_cast<size_t>(narrow.dtype)](in.data(), in.size(), sum.data());
    for (size_t i = 0; i < in.size(); ++i) {
      const float want = narrow.widen(in[i]);
      ASSERT_TRUE(std::isnan(want) ? std::isnan(out[i]) : BitsOf(out[i]) == BitsOf(want))
          << narrow.name << " " << in[i] << ": " << out[i] << ", not " << want;
      ASSERT_TRUE(std::isnan(want) ? std::isnan(sum[i]) : sum[i] == want) << narrow.name << " " << in[i];
    }
  }
}

TEST_P(ConvertTest, RoundsToTheNearest) {
  for (const Narrow& narrow : kNarrow) {
    std::vector<float> in;
    for (uint32_t stored = 0; stored < narrow.infinity; ++stored) {
      const float value = narrow.widen(static_cast<uint16_t>(stored));
      const float next =
          stored + 1 == narrow.infinity ? value : narrow.widen(static_cast<uint16_t>(stored + 1));
      const float middle = value / 2 + next / 2;
      for (const float each : {value, std::nextafter(middle, 0.0f), middle,
                               std::nextafter(middle, std::numeric_limits<float>::max())}) {
        in.push_back(stored % 2 == 0 ? each : -each);
      }
    }
    const float most = std::numeric_limits<float>::max(), infinity = std::numeric_limits<float>::infinity();
    for (const float each : {-most, 65519.0f, 65520.0f, most, infinity, -infinity}) in.push_back(each);
    std::vector<uint16_t> out(in.size());
    ops_.from_f32[static_cast<size_t>(narrow.dtype)](in.data(), in.size(), out.data());
    for (size_t i = 0; i < in.size(); ++i) {
      ASSERT_EQ(out[i], Nearest(narrow, in[i])) << narrow.name << " of " << in[i];
    }
  }
}

TEST_P(ConvertTest, NaNStaysNaN) {
  for (const Narrow& narrow : kNarrow) {
    std::vector<float> in;
    for (uint32_t payload = 1; payload < 1 << 23; payload += 257) {
      in.push_back(FloatOf((payload % 2) << 31 | 0x7F800000 | payload));
    }
    std::vector<uint16_t> out(in.size());
    ops_.from_f32[static_cast<size_t>(narrow.dtype)](in.data(), in.size(), out.data());
    for (size_t i = 0; i < in.size(); ++i) {
      ASSERT_TRUE(std::isnan(narrow.widen(out[i]))) << narrow.name << " of " << std::hex << BitsOf(in[i]);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Targets, ConvertTest, testing::ValuesIn(SupportedTargets()), TargetAsName());

}  // namespace
}  // namespace fusedffn

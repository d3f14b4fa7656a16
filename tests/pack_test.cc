// The packed order, element by element, and the exactness of widening.
#include "src/pack.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <string>
#include <vector>

#include "tests/compare.h"
#include "tests/guarded_buffer.h"
#include "tests/widen.h"

namespace fusedffn {
namespace {

struct DTypeCase {
  const char* name;
  DType dtype;
  float (*widen)(uint16_t stored);
};

class Widen16Test : public testing::TestWithParam<DTypeCase> {};

TEST_P(Widen16Test, AllPatterns) {
  std::vector<uint16_t> stored(65536);
  std::iota(stored.begin(), stored.end(), uint16_t{0});
  std::vector<float> wide(stored.size());
  Widen(stored.data(), GetParam().dtype, stored.size(), wide.data());
  for (size_t i = 0; i < stored.size(); ++i) {
    const float want = GetParam().widen(stored[i]);
    if (std::isnan(want)) {
      ASSERT_TRUE(std::isnan(wide[i])) << "pattern " << i;
    } else {
      ASSERT_EQ(BitsOf(wide[i]), BitsOf(want)) << "pattern " << i;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(DTypes, Widen16Test,
                         testing::Values(DTypeCase{"BF16", DType::kBF16, WidenBf16},
                                         DTypeCase{"F16", DType::kF16, WidenF16}),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(PackTest, Widen32KeepsEveryBit) {
  const std::vector<uint32_t> patterns = {0, 0x80000000, 1, 0x7F800000, 0xFF800000, 0x7FC00001, 0x3F800001};
  std::vector<float> wide(patterns.size());
  Widen(patterns.data(), DType::kF32, patterns.size(), wide.data());
  EXPECT_EQ(std::memcmp(wide.data(), patterns.data(), patterns.size() * sizeof(float)), 0);
}

// The formula in pack.h, written out again.
size_t PackedIndex(const PackedLayout& layout, size_t n, size_t k) {
  const size_t panel = n / layout.nr;
  const size_t padded_n = (layout.n + layout.lanes - 1) / layout.lanes * layout.lanes;
  const size_t width = std::min(layout.nr, padded_n - panel * layout.nr);
  return panel * layout.nr * layout.k + k * width + n % layout.nr;
}

class PackedOrderTest : public testing::TestWithParam<size_t> {};

// Every N around the panel width, packed in pieces, last piece first, out of a padded W[n][k] = (n, k) as one
// number. Each element must be found where the formula says, and everything else stay as it was.
TEST_P(PackedOrderTest, FollowsTheFormula) {
  constexpr size_t kLanes = 4, kNr = 12;
  const size_t n = GetParam(), k = 7, stride = k + 3;
  const PackedLayout layout = {n, k, kNr, kLanes};
  GuardedBuffer<float> weight((n - 1) * stride + k, Flush::kRight);
  for (size_t i = 0; i < n * k; ++i) weight[i / k * stride + i % k] = static_cast<float>(i);
  for (size_t piece = 1; piece <= n; ++piece) {
    GuardedBuffer<float> packed(layout.floats(), Flush::kRight);
    std::fill_n(packed.data(), packed.size(), -1.0f);
    for (size_t begin = (n - 1) / piece * piece; begin < n; begin -= piece) {
      PackRows(layout, begin, std::min(piece, n - begin), weight.data() + begin * stride, DType::kF32, stride,
               packed.data());
    }
    std::vector<float> want(layout.floats(), -1.0f);
    for (size_t i = 0; i < n * k; ++i) want[PackedIndex(layout, i / k, i % k)] = static_cast<float>(i);
    ASSERT_TRUE(SameBits(packed.data(), want.size(), want.data(), want.size(), 1, want.size()))
        << "n " << n << ", pieces of " << piece;
  }
}

INSTANTIATE_TEST_SUITE_P(Rows, PackedOrderTest, testing::Range(size_t{1}, size_t{40}));

}  // namespace
}  // namespace fusedffn

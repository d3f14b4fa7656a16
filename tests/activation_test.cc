// quick_gelu against the formula in double, over a strided sample of the 2^32 floats and every place where
// something changes; over all of them with FUSEDFFN_EXHAUSTIVE=1.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <string>
#include <thread>
#include <vector>

#include "fusedffn/fusedffn.h"
#include "kernels/kernels.h"
#include "tests/compare.h"
#include "tests/effort.h"
#include "tests/guarded_buffer.h"
#include "tests/random.h"
#include "tests/reference.h"
#include "tests/targets.h"

namespace fusedffn {
namespace {

constexpr double kMaxUlp = 4;

// Distance of neighbouring floats around a value of normal magnitude.
double Ulp(double value) { return std::ldexp(1.0, std::ilogb(value) - 23); }

// The largest errors of a set of inputs, and the first input whose result breaks a rule.
struct Errors {
  double ulp = 0, denormal = 0;  // in ULP of a normal result; in 2^-149 of a smaller one
  float ulp_at = 0, denormal_at = 0;
  uint64_t count = 0;
  bool failed = false;
  float failed_at = 0, failed_result = 0;

  void Add(float x, float result) {
    ++count;
    if (!Acceptable(x, result) && !failed) {
      failed = true;
      failed_at = x;
      failed_result = result;
    }
  }

  void Merge(const Errors& other) {
    if (other.ulp > ulp) ulp = other.ulp, ulp_at = other.ulp_at;
    if (other.denormal > denormal) denormal = other.denormal, denormal_at = other.denormal_at;
    if (!failed && other.failed) {
      failed = true;
      failed_at = other.failed_at;
      failed_result = other.failed_result;
    }
    count += other.count;
  }

 private:
  bool Acceptable(float x, float result) {
    if (std::isnan(x)) return std::isnan(result);
    if (std::signbit(x) != std::signbit(result)) return false;
    if (x >= 16 || x == 0) return result == x;
    if (std::isinf(x)) return result == 0;  // -inf: +inf is above 16
    const double reference = ReferenceQuickGelu(x);
    const double error = std::fabs(result - reference);
    if (std::fabs(reference) < 0x1p-126) return Record(error / 0x1p-149, x, &denormal, &denormal_at);
    return Record(error / Ulp(reference), x, &ulp, &ulp_at);
  }

  static bool Record(double error, float x, double* worst, float* worst_at) {
    if (error > *worst) *worst = error, *worst_at = x;
    return error <= kMaxUlp;
  }
};

// Calls visit(thread, bits of `count` floats, count) until every `stride`-th of the 2^32 has been seen.
template <class Visit>
void ForFloats(uint64_t stride, const Visit& visit) {
  constexpr uint64_t kChunk = 4096;
  const uint64_t chunks = ((uint64_t{1} << 32) + kChunk * stride - 1) / (kChunk * stride);
  const uint64_t threads = static_cast<uint64_t>(DefaultThreads());
  std::vector<std::thread> pool;
  for (uint64_t thread = 0; thread < threads; ++thread) {
    pool.emplace_back([=, &visit] {
      std::array<float, kChunk> x;
      for (uint64_t chunk = thread; chunk < chunks; chunk += threads) {
        size_t count = 0;
        for (uint64_t bits = chunk * kChunk * stride; count < kChunk && bits >> 32 == 0; bits += stride) {
          x[count++] = FloatOf(static_cast<uint32_t>(bits));
        }
        visit(thread, x.data(), count);
      }
    });
  }
  for (std::thread& thread : pool) thread.join();
}

// A prime stride meets every combination of low bits: 2^24 values.
uint64_t Stride() { return EnvironmentSays("FUSEDFFN_EXHAUSTIVE") ? 1 : FullOrLight<uint64_t>(257, 65537); }

// Zeros, infinities, NaNs of every kind, the ends of the normal range, and 4096 floats on each side of the
// points where the formula, its limits or the range of its result change.
std::vector<float> SpecialValues() {
  std::vector<float> values;
  for (const uint32_t magnitude : {0x00000000u, 0x00000001u, 0x007FFFFFu, 0x00800000u, 0x7F7FFFFFu,
                                   0x7F800000u, 0x7F800001u, 0x7FA00000u, 0x7FC00000u, 0x7FFFFFFFu}) {
    values.push_back(FloatOf(magnitude));
    values.push_back(FloatOf(magnitude | 0x80000000u));
  }
  for (const float centre :
       {0x1p-126f, 0x1p-24f, 0.75115f, 1.0f, 10.0f, 16.0f, 52.13f, 53.65f, 63.5f, 70.0f}) {
    for (uint32_t bits = BitsOf(centre) - 4096; bits <= BitsOf(centre) + 4096; ++bits) {
      values.push_back(FloatOf(bits));
      values.push_back(-FloatOf(bits));
    }
  }
  for (uint32_t bits = 0; bits <= 4096; ++bits) {
    values.push_back(FloatOf(bits));
    values.push_back(-FloatOf(bits));
  }
  return values;
}

// One of the first 20, or of all.
float SpecialValue(const std::vector<float>& values, Random* random) {
  const uint64_t bits = random->Bits();
  return values[(bits >> 1) % (bits & 1 ? 20 : values.size())];
}

MapFn QuickGeluOf(const std::string& target) {
  return KernelsNamed(target).activations[static_cast<size_t>(Activation::kQuickGelu)].map;
}

class ActivationTest : public TargetTest {
 protected:
  MapFn quick_gelu() const { return QuickGeluOf(GetParam()); }

  float Alone(float x) const {
    float y = 0;
    quick_gelu()(&x, 1, &y);
    return y;
  }
};

TEST_P(ActivationTest, WithinFourUlp) {
  std::vector<Errors> errors(static_cast<size_t>(DefaultThreads()));
  const auto check = [&](uint64_t thread, const float* x, size_t count) {
    std::vector<float> y(count);
    quick_gelu()(x, count, y.data());
    for (size_t i = 0; i < count; ++i) errors[thread].Add(x[i], y[i]);
  };
  ForFloats(Stride(), check);
  const std::vector<float> special = SpecialValues();
  check(0, special.data(), special.size());

  Errors all;
  for (const Errors& e : errors) all.Merge(e);
  EXPECT_FALSE(all.failed) << "quick_gelu(" << std::hexfloat << all.failed_at << ") = " << all.failed_result
                           << ", should be " << ReferenceQuickGelu(all.failed_at);
  char report[160];
  std::snprintf(report, sizeof(report), "%.4f ULP at %.9g; %.3f * 2^-149 at %.9g; %llu inputs", all.ulp,
                double{all.ulp_at}, all.denormal, double{all.denormal_at},
                static_cast<unsigned long long>(all.count));
  std::printf("%s: max error %s\n", GetParam().c_str(), report);
  RecordProperty("max_error", report);
}

TEST_P(ActivationTest, SameBitsAsTheFirstTargetWithFma) {
  const Kernels& kernels = KernelsNamed(GetParam());
  EXPECT_EQ(kernels.fma, HasFma(GetParam()));
  const std::vector<std::string> targets = SupportedTargets();
  const auto first = std::find_if(targets.begin(), targets.end(), HasFma);
  if (!kernels.fma || *first == GetParam()) return;

  std::vector<int> different(static_cast<size_t>(DefaultThreads()));
  std::vector<float> different_at(different.size());
  ForFloats(Stride(), [&](uint64_t thread, const float* x, size_t count) {
    std::vector<float> y(count), want(count);
    QuickGeluOf(GetParam())(x, count, y.data());
    QuickGeluOf (*first)(x, count, want.data());
    for (size_t i = 0; i < count; ++i) {
      if (BitsOf(y[i]) == BitsOf(want[i])) continue;
      ++different[thread];
      different_at[thread] = x[i];
    }
  });
  for (size_t i = 0; i < different.size(); ++i) {
    EXPECT_EQ(different[i], 0) << "from " << *first << ", for example at " << std::hexfloat
                               << different_at[i];
  }
}

// Any count, against a guard page; each element as if it were alone.
TEST_P(ActivationTest, OddCounts) {
  const std::vector<float> special = SpecialValues();
  Random random(1);
  for (size_t count = 0; count <= 67; ++count) {
    for (const Flush flush : {Flush::kLeft, Flush::kRight}) {
      GuardedBuffer<float> x(count, flush), y(count, flush);
      for (size_t i = 0; i < count; ++i) x[i] = SpecialValue(special, &random);
      quick_gelu()(x.data(), count, y.data());
      ASSERT_TRUE(y.GapIsUntouched());
      for (size_t i = 0; i < count; ++i) {
        ASSERT_EQ(BitsOf(y[i]), BitsOf(Alone(x[i]))) << "element " << i << " of " << count << ": " << x[i];
      }
    }
  }
}

// A value gives the same bits in every lane, whatever the other lanes hold.
TEST_P(ActivationTest, JunkInOtherLanes) {
  const std::vector<float> special = SpecialValues();
  const size_t lanes = KernelsNamed(GetParam()).lanes;
  Random random(2);
  for (int repeat = 0; repeat < 10000; ++repeat) {
    const float x = SpecialValue(special, &random);
    for (size_t lane = 0; lane < lanes; ++lane) {
      std::vector<float> in = random.Fill(lanes, [&](Random& r) { return SpecialValue(special, &r); });
      in[lane] = x;
      std::vector<float> out(lanes);
      quick_gelu()(in.data(), lanes, out.data());
      ASSERT_EQ(BitsOf(out[lane]), BitsOf(Alone(x))) << "lane " << lane << ": " << std::hexfloat << x;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Targets, ActivationTest, testing::ValuesIn(SupportedTargets()), TargetAsName());

}  // namespace
}  // namespace fusedffn

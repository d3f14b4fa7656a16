// Each activation against its formula in double, over a strided sample of the 2^32 floats and every place
// where something changes; over all of them with FUSEDFFN_EXHAUSTIVE=1. All targets at once, for the formula
// takes longer than they do.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <limits>
#include <string>
#include <thread>
#include <vector>

#include "fusedffn/fusedffn.h"
#include "kernels/kernels.h"
#include "tests/activations.h"
#include "tests/compare.h"
#include "tests/effort.h"
#include "tests/guarded_buffer.h"
#include "tests/random.h"
#include "tests/reference.h"
#include "tests/targets.h"

namespace fusedffn {
namespace {

constexpr double kMaxUlp = 4;

// From here up the result is x itself.
float ExactFrom(Activation activation) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  constexpr float kFrom[kActivationCount] = {16, 5.5f, 6, 20, 0, kInf, -kInf, 3};
  return kFrom[static_cast<size_t>(activation)];
}

// What a result should be, and what its error is counted in.
struct Expected {
  double value;
  double unit;  // the distance of neighboring floats around it; 0 if the result must be `value`

  Expected(Activation activation, float x) : value(ReferenceActivation(activation, x)), unit(0) {
    const float nearest = static_cast<float>(value);
    if (x >= ExactFrom(activation)) {
      value = x;
    } else if (value != 0 && std::isfinite(nearest)) {
      unit = std::ldexp(1.0, std::max(std::ilogb(value), -126) - 23);
    } else {
      value = nearest;
    }
  }
};

// The largest errors of one target, and the first input whose result breaks a rule.
struct Errors {
  double ulp = 0, denormal = 0;  // in ULP of a normal result; in 2^-149 of a smaller one
  float ulp_at = 0, denormal_at = 0;
  uint64_t count = 0;
  bool failed = false;
  float failed_at = 0, failed_result = 0;
  uint64_t different = 0;  // in bits from the first target with FMA
  float different_at = 0;

  void Add(float x, const Expected& expected, float result) {
    ++count;
    if (!Acceptable(x, expected, result) && !failed) {
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
    if (other.different != 0) different += other.different, different_at = other.different_at;
    count += other.count;
  }

 private:
  bool Acceptable(float x, const Expected& expected, float result) {
    if (std::isnan(x)) return std::isnan(result);
    if (std::signbit(expected.value) != std::signbit(result)) return false;
    if (expected.unit == 0) return result == expected.value;
    const double error = std::fabs(result - expected.value) / expected.unit;
    if (std::fabs(expected.value) < 0x1p-126) return Record(error, x, &denormal, &denormal_at);
    return Record(error, x, &ulp, &ulp_at);
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
  for (const float center :
       {// where the error, or the exponent, of some result changes
        0x1p-126f, 0x1p-75f, 0x1p-63f, 0x1p-24f, 0.0278f, 0.75115f, 1.0f, 10.0f, 0x1p64f,
        // the last float whose result is not x: gelu, gelu_tanh, quick_gelu, silu
        5.5f, 6.0f, 16.0f, 20.0f,
        // where negative x give denormals, nothing, and the same as all beyond: in the same order
        13.09f, 14.356f, 14.375f, 10.05f, 10.911f, 11.0f, 52.13f, 63.5f, 70.0f, 91.8f, 108.66f, 110.0f}) {
    for (uint32_t bits = BitsOf(center) - 4096; bits <= BitsOf(center) + 4096; ++bits) {
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

MapFn MapOf(const std::string& target, Activation activation) {
  return KernelsNamed(target).ops.activations[static_cast<size_t>(activation)].map;
}

class ActivationTest : public testing::TestWithParam<Activation> {
 protected:
  const std::vector<std::string> targets_ = SupportedTargets();
  const size_t first_with_fma_ =
      static_cast<size_t>(std::find_if(targets_.begin(), targets_.end(), HasFma) - targets_.begin());

  // Runs every target on x and adds to its Errors.
  void Check(const float* x, size_t count, std::vector<Errors>* errors) const {
    std::vector<Expected> expected;
    expected.reserve(count);
    for (size_t i = 0; i < count; ++i) expected.emplace_back(GetParam(), x[i]);
    std::vector<float> first(count), y(count);
    for (size_t t = 0; t < targets_.size(); ++t) {
      Errors& e = (*errors)[t];
      MapOf(targets_[t], GetParam())(x, count, y.data());
      for (size_t i = 0; i < count; ++i) e.Add(x[i], expected[i], y[i]);
      if (t == first_with_fma_) first = y;
      if (t < first_with_fma_ || !HasFma(targets_[t])) continue;
      for (size_t i = 0; i < count; ++i) {
        if (BitsOf(y[i]) != BitsOf(first[i])) ++e.different, e.different_at = x[i];
      }
    }
  }

  void Report(const std::string& target, const Errors& e) const {
    EXPECT_FALSE(e.failed) << target << ": " << GetParam() << "(" << std::hexfloat << e.failed_at
                           << ") = " << e.failed_result << ", should be "
                           << ReferenceActivation(GetParam(), e.failed_at);
    EXPECT_EQ(e.different, 0u) << target << " is not " << targets_[first_with_fma_] << ", for example at "
                               << std::hexfloat << e.different_at;
    char report[160];
    std::snprintf(report, sizeof(report), "%.4f ULP at %.9g; %.3f * 2^-149 at %.9g; %llu inputs", e.ulp,
                  double{e.ulp_at}, e.denormal, double{e.denormal_at},
                  static_cast<unsigned long long>(e.count));
    std::printf("%s, %s: max error %s\n", ActivationName(GetParam()), target.c_str(), report);
    RecordProperty("max_error_" + target, report);
  }
};

TEST_P(ActivationTest, WithinFourUlpAndTheSameOnAllTargetsWithFma) {
  std::vector<std::vector<Errors>> errors(static_cast<size_t>(DefaultThreads()),
                                          std::vector<Errors>(targets_.size()));
  ForFloats(Stride(),
            [&](uint64_t thread, const float* x, size_t count) { Check(x, count, &errors[thread]); });
  const std::vector<float> special = SpecialValues();
  Check(special.data(), special.size(), &errors[0]);
  for (size_t t = 0; t < targets_.size(); ++t) {
    EXPECT_EQ(KernelsNamed(targets_[t]).fma, HasFma(targets_[t]));
    Errors all;
    for (const std::vector<Errors>& of_thread : errors) all.Merge(of_thread[t]);
    Report(targets_[t], all);
  }
}

// Any count, against a guard page; each element as if it were alone.
TEST_P(ActivationTest, OddCounts) {
  const std::vector<float> special = SpecialValues();
  Random random(1);
  for (const std::string& target : targets_) {
    const MapFn map = MapOf(target, GetParam());
    for (size_t count = 0; count <= 67; ++count) {
      for (const Flush flush : {Flush::kLeft, Flush::kRight}) {
        GuardedBuffer<float> x(count, flush), y(count, flush);
        for (size_t i = 0; i < count; ++i) x[i] = SpecialValue(special, &random);
        map(x.data(), count, y.data());
        ASSERT_TRUE(y.GapIsUntouched());
        for (size_t i = 0; i < count; ++i) {
          float alone = 0;
          map(&x[i], 1, &alone);
          ASSERT_EQ(BitsOf(y[i]), BitsOf(alone))
              << target << ", element " << i << " of " << count << ": " << x[i];
        }
      }
    }
  }
}

// A value gives the same bits in every lane, whatever the other lanes hold.
TEST_P(ActivationTest, JunkInOtherLanes) {
  const std::vector<float> special = SpecialValues();
  Random random(2);
  for (const std::string& target : targets_) {
    const MapFn map = MapOf(target, GetParam());
    const size_t lanes = KernelsNamed(target).Gemm(Precision::kF32)->b.n_align;
    for (int repeat = 0; repeat < FullOrLight(10000, 1000); ++repeat) {
      const float x = SpecialValue(special, &random);
      float alone = 0;
      map(&x, 1, &alone);
      for (size_t lane = 0; lane < lanes; ++lane) {
        std::vector<float> in = random.Fill(lanes, [&](Random& r) { return SpecialValue(special, &r); });
        in[lane] = x;
        std::vector<float> out(lanes);
        map(in.data(), lanes, out.data());
        ASSERT_EQ(BitsOf(out[lane]), BitsOf(alone))
            << target << ", lane " << lane << ": " << std::hexfloat << x;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Activations, ActivationTest, testing::ValuesIn(AllActivations()),
                         ActivationAsName());

}  // namespace
}  // namespace fusedffn

// FastestPrecision(): what it says of every kind of CPU, those that are not at hand among them, and that what
// it says of this one can be packed and is as accurate as was asked.
#include "src/fastest_precision.h"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "fusedffn/fusedffn.h"
#include "tests/compare.h"
#include "tests/element_types.h"
#include "tests/reference.h"
#include "tests/targets.h"
#include "tests/test_block.h"

namespace fusedffn {

bool operator==(const PrecisionChoice& a, const PrecisionChoice& b) {
  return a.precision == b.precision && a.measured == b.measured;
}

std::ostream& operator<<(std::ostream& out, const PrecisionChoice& choice) {
  return out << PrecisionName(choice.precision) << (choice.measured ? ", measured" : ", not measured");
}

namespace {

constexpr Accuracy kAccuracies[] = {Accuracy::kF32Like, Accuracy::kBF16Like, Accuracy::kInt8Like};
constexpr size_t kTokens[] = {0, 1, 2, 8, 9, 16, 257, 4096, SIZE_MAX};

// What the public header says of each.
double LargestError(Accuracy accuracy) {
  const double errors[] = {1e-5, 1e-2, 4e-2};
  return errors[static_cast<size_t>(accuracy)];
}

PrecisionChoice Safe(DType weights) {
  return {weights == DType::kBF16 ? Precision::kBF16 : Precision::kF32, false};
}

// --- The choice, on any kind of CPU ------------------------------------------------------------------------

struct Case {
  CpuVendor vendor;
  const char* target;
  size_t tokens;
  Accuracy accuracy;
  DType weights;
  PrecisionChoice want;
};

TEST(ChoosePrecisionTest, KnownKinds) {
  constexpr CpuVendor kAmd = CpuVendor::kAmd, kIntel = CpuVendor::kIntel;
  constexpr Accuracy kF32Like = Accuracy::kF32Like, kBF16Like = Accuracy::kBF16Like,
                     kInt8Like = Accuracy::kInt8Like;
  constexpr DType kF32 = DType::kF32, kBF16 = DType::kBF16, kF16 = DType::kF16;
  const Case cases[] = {
      {kAmd, "AVX2", 1, kF32Like, kBF16, {Precision::kBF16, true}},
      {kAmd, "AVX2", 257, kF32Like, kBF16, {Precision::kBF16, true}},
      {kAmd, "AVX2", 257, kF32Like, kF16, {Precision::kF32, true}},
      {kAmd, "AVX2", 257, kBF16Like, kF32, {Precision::kBF16, true}},
      {kAmd, "AVX2", 257, kInt8Like, kBF16, {Precision::kInt8, true}},
      {kAmd, "AVX3_ZEN4", 257, kF32Like, kBF16, {Precision::kBF16, true}},
      {kAmd, "AVX3_ZEN4", 257, kF32Like, kF32, {Precision::kF32, true}},
      {kAmd, "AVX3_ZEN4", 1, kBF16Like, kF16, {Precision::kBF16Dot, true}},
      {kAmd, "AVX3_ZEN4", 257, kInt8Like, kF32, {Precision::kInt8, true}},
      {kIntel, "AVX3_AMX", 8, kF32Like, kBF16, {Precision::kBF16, true}},
      {kIntel, "AVX3_AMX", 9, kF32Like, kBF16, {Precision::kBF16x3, true}},
      {kIntel, "AVX3_AMX", 257, kF32Like, kF32, {Precision::kF32, true}},
      {kIntel, "AVX3_AMX", 1, kBF16Like, kF32, {Precision::kBF16Dot, true}},
      {kIntel, "AVX3_AMX", 257, kBF16Like, kBF16, {Precision::kBF16Dot, true}},
      {kIntel, "AVX3_AMX", 257, kInt8Like, kBF16, {Precision::kInt8, true}},
      {kIntel, "AVX3_SPR", 8, kInt8Like, kBF16, {Precision::kBF16, false}},
      {kIntel, "AVX3_SPR", 257, kBF16Like, kBF16, {Precision::kF32, true}},
      {kIntel, "AVX3_SPR", 257, kInt8Like, kBF16, {Precision::kInt8, true}},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(ChoosePrecision(c.accuracy, c.weights, {c.vendor, c.target, true, true}, c.tokens), c.want)
        << c.target << ", " << c.tokens << " tokens, accuracy " << static_cast<int>(c.accuracy)
        << ", weights " << static_cast<int>(c.weights);
  }
}

// As README, "Choosing a precision", has them: without outliers, rounded up.
double ErrorOf(Precision precision, DType weights) {
  if (precision == Precision::kInt8) return 2e-2;
  const bool exact =
      precision == Precision::kF32 ||
      ((precision == Precision::kBF16 || precision == Precision::kBF16x3) && weights == DType::kBF16);
  return exact ? 2e-6 : 3e-3;
}

// Whether anything was measured is a matter of the CPU and the tokens alone.
bool IsMeasured(const CpuKind& cpu, size_t tokens) {
  return ChoosePrecision(Accuracy::kF32Like, DType::kF32, cpu, tokens).measured;
}

void ExpectSound(const CpuKind& cpu, size_t tokens, Accuracy accuracy, DType weights) {
  const PrecisionChoice choice = ChoosePrecision(accuracy, weights, cpu, tokens);
  EXPECT_LE(ErrorOf(choice.precision, weights), LargestError(accuracy));
  EXPECT_TRUE(cpu.bf16_dot || choice.precision != Precision::kBF16Dot);
  EXPECT_TRUE(cpu.bf16x3 || choice.precision != Precision::kBF16x3);
  EXPECT_EQ(choice.measured, IsMeasured(cpu, tokens));
  EXPECT_TRUE(choice.measured || choice == Safe(weights)) << choice;
  EXPECT_FALSE(choice.measured && (cpu.vendor == CpuVendor::kOther || tokens == 0));
}

std::vector<CpuKind> EveryKind() {
  std::vector<CpuKind> kinds;
  for (const CpuVendor vendor : {CpuVendor::kAmd, CpuVendor::kIntel, CpuVendor::kOther}) {
    for (const char* target : {"AVX10_2", "AVX3_AMX", "AVX3_SPR", "AVX3_ZEN4", "AVX3_DL", "AVX3", "AVX2",
                               "SSE2", "NEON_BF16", "NEON", "NEON_WITHOUT_AES", "EMU128", ""}) {
      for (const bool bf16_dot : {false, true}) {
        for (const bool bf16x3 : {false, true}) kinds.push_back({vendor, target, bf16_dot, bf16x3});
      }
    }
  }
  return kinds;
}

TEST(ChoosePrecisionTest, EveryKindGetsWhatItHasAndAsked) {
  for (const CpuKind& cpu : EveryKind()) {
    for (const size_t tokens : kTokens) {
      SCOPED_TRACE(testing::Message() << cpu.target << ", " << tokens << " tokens");
      for (const Accuracy accuracy : kAccuracies) {
        for (const DType weights : kDTypes) ExpectSound(cpu, tokens, accuracy, weights);
      }
    }
  }
}

// --- On this machine ---------------------------------------------------------------------------------------

class FastestPrecisionTest : public TargetTest {
 protected:
  PrecisionChoice Choose(Accuracy accuracy, DType weights, size_t tokens) const {
    return FastestPrecision(accuracy, weights, GetParam().c_str(), tokens);
  }

  // The values that are left of `values` in another type, and these as they are stored.
  std::vector<unsigned char> Round(DType dtype, std::vector<float>* values) const {
    const Kernels& kernels = KernelsNamed(GetParam());
    std::vector<unsigned char> stored = Stored(kernels, *values, dtype);
    kernels.ops.to_f32[static_cast<size_t>(dtype)](stored.data(), values->size(), values->data());
    return stored;
  }

  // Relative L2 error of a block whose weights come as `weights`.
  double MeasuredError(Precision precision, DType weights) const {
    Random random(1);
    TestBlock block = RandomBlock({130, 270, 70}, &random);
    const auto w1 = Round(weights, &block.w1), w2 = Round(weights, &block.w2);
    Weights stored = block.weights();
    const auto b1 = Round(weights, &block.b1), b2 = Round(weights, &block.b2);
    stored.fc1 = {w1.data(), b1.data(), weights};
    stored.fc2 = {w2.data(), b2.data(), weights};
    const PackedFfn ffn = PackFor(GetParam(), stored, precision);
    constexpr size_t kRows = 40;
    const std::vector<float> x = RandomTokens(block.shape, kRows, &random);
    return RelativeL2(RunDense(ffn, x.data(), kRows),
                      ReferenceFfn(block.weights(), x.data(), block.shape.dim, kRows));
  }
};

INSTANTIATE_TEST_SUITE_P(Targets, FastestPrecisionTest, testing::ValuesIn(SupportedTargets()),
                         TargetAsName());

TEST_P(FastestPrecisionTest, IsPackedAndAsAccurateAsAsked) {
  std::map<std::pair<Precision, DType>, double> errors;
  for (const Accuracy accuracy : kAccuracies) {
    for (const DType weights : kDTypes) {
      for (const size_t tokens : kTokens) {
        const Precision precision = Choose(accuracy, weights, tokens).precision;
        const auto [error, is_new] = errors.try_emplace({precision, weights});
        if (is_new) error->second = MeasuredError(precision, weights);
        EXPECT_LE(error->second, LargestError(accuracy))
            << PrecisionName(precision) << ", weights " << static_cast<int>(weights) << ", " << tokens;
      }
    }
  }
}

TEST_P(FastestPrecisionTest, OutOfRangeGivesTheSafeOne) {
  for (const size_t tokens : kTokens) {
    for (const DType weights : kDTypes) {
      for (const int accuracy : {-1, 3, 77}) {
        EXPECT_EQ(Choose(Accuracy(accuracy), weights, tokens), Safe(weights)) << accuracy;
      }
      EXPECT_EQ(FastestPrecision(Accuracy::kInt8Like, weights, "AVX9", tokens), Safe(weights));
      EXPECT_EQ(FastestPrecision(Accuracy::kInt8Like, weights, "", tokens), Safe(weights));
    }
    for (const int weights : {-1, 3, 77}) {
      EXPECT_EQ(Choose(Accuracy::kInt8Like, DType(weights), tokens), Safe(DType::kF32)) << weights;
    }
  }
}

TEST(FastestPrecisionOfTargetTest, TargetsAreFoundAsInPacking) {
  const std::string best = SupportedTargets().front(), lower = LowerCase(best);
  size_t count = 0;
  const Target* targets = Targets(&count);
  for (const Accuracy accuracy : kAccuracies) {
    const PrecisionChoice want = FastestPrecision(accuracy, DType::kBF16, best.c_str(), 257);
    EXPECT_EQ(FastestPrecision(accuracy, DType::kBF16, nullptr, 257), want);
    EXPECT_EQ(FastestPrecision(accuracy, DType::kBF16, lower.c_str(), 257), want);
    for (size_t i = 0; i < count; ++i) {
      if (targets[i].supported) continue;
      EXPECT_EQ(FastestPrecision(accuracy, DType::kBF16, targets[i].name, 257), Safe(DType::kBF16));
    }
  }
}

#if defined(__x86_64__) && defined(__linux__)
TEST(FastestPrecisionOfTargetTest, KnowsThisVendor) {
  __builtin_cpu_init();
  for (const std::string& target : SupportedTargets()) {
    if (target != "AVX2") continue;
    EXPECT_EQ(FastestPrecision(Accuracy::kF32Like, DType::kF32, "AVX2", 257).measured,
              __builtin_cpu_is("amd") != 0);
  }
}
#endif

}  // namespace
}  // namespace fusedffn

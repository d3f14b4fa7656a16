// Whole blocks in bf16, and x and y of every element type.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "fusedffn/fusedffn.h"
#include "tests/chain.h"
#include "tests/compare.h"
#include "tests/effort.h"
#include "tests/element_types.h"
#include "tests/reference.h"
#include "tests/targets.h"
#include "tests/test_block.h"
#include "tests/widen.h"

namespace fusedffn {
namespace {

// Tails of k, n and rows; one and several chunks of k in either layer; more than one block of rows.
constexpr Shape kShapes[] = {{1, 1, 1},        {7, 33, 5},          {530, 70, 97},
                             {1061, 1200, 49}, {64, 2200, 130},     {1, 1, 1, true},
                             {7, 33, 5, true}, {530, 70, 97, true}, {1061, 1200, 49, true}};
std::vector<size_t> Tokens() { return FullOrLight<std::vector<size_t>>({1, 5, 9, 40, 130, 300}, {5, 130}); }
constexpr size_t kMostTokens = 300;

class PrecisionTest : public TargetTest {
 protected:
  PackedFfn PackAs(Precision precision, const Weights& weights) const {
    return PackFor(GetParam(), weights, precision);
  }

  bool HasDot() const { return KernelsNamed(GetParam()).Gemm(Precision::kBF16Dot) != nullptr; }
  const GemmKernel& Dot() const { return *KernelsNamed(GetParam()).Gemm(Precision::kBF16Dot); }

  // Around panels and chunks of k, which are even.
  std::vector<size_t> OddSizes() const {
    const size_t nr = Dot().b.nr, kc = Dot().a.kc;
    return {1, 5, nr - 1, nr + 1, 2 * nr - 1, 2 * nr + 1, kc - 1, kc + 1, 2 * kc + 1};
  }

  // x, weights and hidden values are off by 2^-9 of themselves at most, with errors like independent ones:
  // those of fc2's terms are 2^-9 / sqrt(3) each for w2 and the hidden value, and that of the hidden value
  // for x and w1 passes through a slope of about 1. So y is off by 2^-9 sqrt(4 / 3) of its norm, twice as
  // much allowed. In a gated block x and up's weights add as much as x and w1.
  void CheckDot(const Shape& shape) const {
    Random random(1);
    TestBlock block = RandomBlock(shape, &random);
    block.b2.assign(block.b2.size(), 0.0f);
    const std::vector<float> x = RandomTokens(block.shape, 30, &random);
    const std::vector<double> want = ReferenceFfn(block.weights(), x.data(), block.shape.dim, 30);
    const std::vector<float> y = RunDense(PackAs(Precision::kBF16Dot, block.weights()), x.data(), 30);
    const double relative = RelativeL2(y, want);
    std::printf("%s: relative error %.2e\n", GetParam().c_str(), relative);
    EXPECT_LE(relative, 2 * 0x1p-9 * std::sqrt((shape.gated ? 6.0 : 4.0) / 3));
    EXPECT_GE(relative, 0x1p-12);  // else it was not bf16 that ran
  }
};

testing::AssertionResult Same(const std::vector<float>& got, const std::vector<float>& want) {
  return SameBits(got.data(), got.size(), want.data(), want.size(), 1, got.size());
}

// `dot` gives the bits of `f32` on data that both multiply exactly, in memory that is full of NaN.
template <class Packed>
void ExpectF32(const Packed& dot, const Packed& f32, const std::vector<float>& x) {
  for (const size_t tokens : {1u, 2u, 3u, 9u, 34u, 100u}) {
    const std::vector<float> want = RunDense(f32, x.data(), tokens);
    for (const int threads : {1, 3}) {
      std::vector<unsigned char> workspace(WorkspaceBytes(dot, tokens, threads), 0xFF);
      const RunOptions options = {threads, workspace.data(), workspace.size()};
      ASSERT_TRUE(Same(RunDense(dot, x.data(), tokens, options), want))
          << tokens << " tokens, " << threads << " threads";
    }
  }
}

TEST_P(PrecisionTest, BF16GivesTheBitsOfF32) {
  const auto all_threads = FullOrLight<std::vector<int>>({1, 3}, {3});
  Random random(1);
  for (const Shape& shape : kShapes) {
    const TestBlock block = RoundedBlock(shape, &random);
    const std::vector<float> x = RandomTokens(shape, kMostTokens, &random);
    const PackedFfn f32 = PackAs(Precision::kF32, block.weights());
    const PackedFfn bf16 = PackAs(Precision::kBF16, block.weights());
    for (const size_t tokens : Tokens()) {
      const std::vector<float> want = RunDense(f32, x.data(), tokens);
      for (const int threads : all_threads) {
        ASSERT_TRUE(Same(RunDense(bf16, x.data(), tokens, {threads}), want))
            << "shape " << shape << ", " << tokens << " tokens, " << threads << " threads";
      }
    }
  }
}

TEST_P(PrecisionTest, OtherWeightsAreRoundedToBF16) {
  Random random(1);
  const Shape shape = {70, 90, 50};
  const TestBlock block = RandomBlock(shape, &random);
  TestBlock rounded = block;
  rounded.w1 = Rounded(block.w1);
  rounded.w2 = Rounded(block.w2);
  const std::vector<float> x = RandomTokens(shape, 20, &random);
  EXPECT_TRUE(Same(RunDense(PackAs(Precision::kBF16, block.weights()), x.data(), 20),
                   RunDense(PackAs(Precision::kF32, rounded.weights()), x.data(), 20)));
}

TEST_P(PrecisionTest, BF16TakesHalfTheBytes) {
  Random random(1);
  const PackedFfn ffn = PackAs(Precision::kBF16, RandomBlock(kClipL, &random).weights());
  const double file_bytes = 2.0 * (2 * 1024 * 4096 + 4096 + 1024);
  EXPECT_LE(static_cast<double>(ffn.packed_bytes()), 1.02 * file_bytes);
}

TEST_P(PrecisionTest, BadWeightsStayBad) {
  Random random(1);
  const Shape shape = {9, 20, 30};
  const std::vector<float> x = RandomTokens(shape, 3, &random);
  for (const float bad : {NAN, HUGE_VALF, -HUGE_VALF}) {
    TestBlock block = RoundedBlock(shape, &random);
    block.w2[17 * shape.hidden + 5] = bad;
    const std::vector<float> y = RunDense(PackAs(Precision::kBF16, block.weights()), x.data(), 3);
    for (size_t i = 0; i < y.size(); ++i)
      ASSERT_EQ(std::isfinite(y[i]), i % shape.out != 17) << bad << ", " << i;
  }
}

// Integers small enough for every sum to be exact, and activations that are x itself: any error shows. `up`
// has one weight of 1 or -1 in each row, so that its products with the gate have no more than 8 bits.
TEST_P(PrecisionTest, DotIsExactOnIntegers) {
  if (!HasDot()) GTEST_SKIP() << "no bf16 dot product";
  Random random(1);
  // Around a chunk of k in either layer: C of several waits in fp32 before it is rounded.
  const size_t kc = KernelsNamed(GetParam()).Gemm(Precision::kBF16Dot)->a.kc;
  for (const Shape& shape :
       {Shape{7, 33, 5}, Shape{120, 530, 97}, Shape{kc - 91, 70, 49}, Shape{70, kc + 48, 49},
        Shape{kc + 9, 130, 49}, Shape{2 * kc + 1, 67, 5}, Shape{7, 33, 5, true},
        Shape{kc - 91, kc + 48, 49, true}, Shape{kc + 9, 130, 49, true}}) {
    const auto sparse = [&](size_t count, size_t cols) {
      const int64_t range = static_cast<int64_t>(cols / 100 + 1);  // about 100 in a row are not zero
      return random.Fill(count, [=](Random& r) {
        return r.Integer(1, range) == 1 ? static_cast<float>(r.Integer(0, 1) * 2 - 1) : 0.0f;
      });
    };
    TestBlock block = {shape, sparse(shape.hidden * shape.dim, shape.dim), {}, {}, {}};
    block.b1.assign(shape.hidden, 136.0f);
    block.w2 = sparse(shape.out * shape.hidden, shape.hidden);
    block.b2 = random.Fill(shape.out, [](Random& r) { return static_cast<float>(r.Integer(-99, 99)); });
    if (shape.gated) block.up_w.assign(shape.hidden * shape.dim, 0.0f);
    for (size_t n = 0; shape.gated && n < shape.hidden; ++n) {
      block.up_w[n * shape.dim + random.Bits() % shape.dim] = n % 2 == 0 ? 1.0f : -1.0f;
    }
    const std::vector<float> x =
        random.Fill(kMostTokens * shape.dim, [](Random& r) { return r.Integer(0, 2) == 0 ? 1.0f : 0.0f; });
    const PackedFfn ffn = PackAs(Precision::kBF16Dot, block.weights());
    const std::vector<double> exact = ReferenceFfn(block.weights(), x.data(), shape.dim, kMostTokens);
    for (const size_t tokens : Tokens()) {
      const std::vector<float> y = RunDense(ffn, x.data(), tokens, {2});
      for (size_t i = 0; i < y.size(); ++i) {
        ASSERT_EQ(y[i], std::round(exact[i]))
            << "shape " << shape << ", " << tokens << " tokens, element " << i;
      }
    }
  }
}

TEST_P(PrecisionTest, DotIsWithinItsRoundings) {
  if (!HasDot()) GTEST_SKIP() << "no bf16 dot product";
  for (const bool gated : {false, true}) CheckDot({500, 1300, 200, gated});
}

// Tokens of ones, every second one with an infinity.
std::vector<float> TokensWithInfinity(size_t dim, size_t tokens) {
  std::vector<float> x(tokens * dim, 1.0f);
  for (size_t t = 0; t < tokens; t += 2) x[t * dim] = HUGE_VALF;
  return x;
}

// relu(-inf) is 0 and leaves b2, 3. The column that pads an odd hidden size has weights of zero, whose
// products with infinity are NaN: it must not reach y. A gate of infinity times an infinite factor stays one.
TEST_P(PrecisionTest, DotKeepsInfinityOutOfPaddedHiddenColumns) {
  if (!HasDot()) GTEST_SKIP() << "no bf16 dot product";
  for (const size_t hidden : OddSizes()) {
    for (const bool gated : {false, true}) {
      for (const size_t dim : {2u, 5u}) {
        const Shape shape = {dim, hidden, 1, gated};
        for (const Activation activation : {Activation::kRelu, Activation::kIdentity}) {
          TestBlock block = {shape,  std::vector<float>(hidden * dim, gated ? 1.0f : -1.0f),
                             {},     std::vector<float>(hidden, 1.0f),
                             {3.0f}, activation};
          if (gated) block.up_w = block.w1;
          const PackedFfn f32 = PackAs(Precision::kF32, block.weights());
          const std::vector<float> x = TokensWithInfinity(dim, 100);
          const bool shut = !gated && activation == Activation::kRelu;
          ASSERT_EQ(RunDense(f32, x.data(), 1)[0], shut ? 3.0f : gated ? HUGE_VALF : -HUGE_VALF);
          ExpectF32(PackAs(Precision::kBF16Dot, block.weights()), f32, x);
          ASSERT_FALSE(HasFatalFailure()) << "shape " << shape << ", " << ActivationName(activation);
        }
      }
    }
  }
}

// The element that pads a row of an odd size is zero, whatever lay there before.
TEST_P(PrecisionTest, DotOfOddRowsWithInfinity) {
  if (!HasDot()) GTEST_SKIP() << "no bf16 dot product";
  for (const size_t in : OddSizes()) {
    for (const size_t out : {size_t{1}, Dot().b.nr + 1}) {
      TestLinear linear = {in, out, std::vector<float>(out * in, -1.0f), std::vector<float>(out, 3.0f),
                           Activation::kRelu};
      std::fill_n(&linear.w[(out - 1) * in], in, 1.0f);  // the last output is infinite
      const std::vector<float> x = TokensWithInfinity(in, 100);
      ExpectF32(PackFor(GetParam(), linear, Precision::kBF16Dot), PackFor(GetParam(), linear), x);
      ASSERT_FALSE(HasFatalFailure()) << in << " to " << out << " columns";
    }
  }
}

TEST_P(PrecisionTest, AmxSumsEvenAndOddK) {
  if (GetParam() != "AVX3_AMX") GTEST_SKIP() << "not with AMX";
  Random random(1);
  for (const Shape& shape : {Shape{7, 33, 5}, Shape{1061, 1200, 49}}) {
    TestBlock block = RoundedBlock(shape, &random);
    block.activation = Activation::kIdentity;
    const PackedFfn ffn = PackAs(Precision::kBF16Dot, block.weights());
    for (const size_t tokens : {1u, 17u, 33u}) {
      const std::vector<float> x = RandomTokens(shape, tokens, &random);
      const std::vector<float> want = AmxFfn(KernelsNamed(GetParam()), block, x);
      ASSERT_TRUE(Same(RunDense(ffn, x.data(), tokens), want)) << "shape " << shape << ", " << tokens;
    }
  }
}

TEST_P(PrecisionTest, DotNeedsATargetThatHasIt) {
  if (HasDot()) GTEST_SKIP() << "it has";
  PackOptions options;
  options.target = GetParam().c_str();
  options.precision = Precision::kBF16Dot;
  Random random(1);
  PackedFfn ffn;
  const Status status = Pack(RandomBlock({5, 6, 7}, &random).weights(), options, &ffn);
  EXPECT_EQ(status.code(), StatusCode::kUnsupportedTarget);
  EXPECT_NE(std::string(status.message()).find("kBF16 runs"), std::string::npos) << status.message();
}

// --- Element types of x and y ------------------------------------------------------------------------------

TEST_P(PrecisionTest, XOfSixteenBitsIsWidened) {
  Random random(1);
  const Shape shape = {601, 90, 50};
  const PackedFfn ffn = PackAs(Precision::kF32, RandomBlock(shape, &random).weights());
  for (const Type16& type : kTypes16) {
    for (const size_t tokens : {1u, 70u, 130u}) {
      const std::vector<uint16_t> x = Draw16(type, tokens * shape.dim, &random);
      const std::vector<float> wide = Widened(type, x);
      std::vector<float> y(tokens * shape.out);
      ASSERT_TRUE(
          fusedffn::Run(ffn, x.data(), type.dtype, shape.dim, tokens, y.data(), DType::kF32, shape.out, {2})
              .ok());
      ASSERT_TRUE(Same(y, RunDense(ffn, wide.data(), tokens))) << static_cast<int>(type.dtype);
    }
  }
}

// The nearest of all values of the type, found without knowing its bits.
TEST_P(PrecisionTest, YOfSixteenBitsIsRounded) {
  Random random(1);
  const Shape shape = {20, 90, 601};
  const size_t tokens = 3;
  const PackedFfn ffn = PackAs(Precision::kF32, RandomBlock(shape, &random).weights());
  const std::vector<float> x = RandomTokens(shape, tokens, &random);
  const std::vector<float> want = RunDense(ffn, x.data(), tokens);
  for (const Type16& type : kTypes16) {
    std::vector<uint16_t> y(want.size());
    ASSERT_TRUE(
        fusedffn::Run(ffn, x.data(), DType::kF32, shape.dim, tokens, y.data(), type.dtype, shape.out, {1})
            .ok());
    for (size_t i = 0; i < y.size(); ++i) {
      const float error = std::fabs(type.widen(y[i]) - want[i]);
      const float below = std::fabs(type.widen(static_cast<uint16_t>(y[i] - 1)) - want[i]);
      const float above = std::fabs(type.widen(static_cast<uint16_t>(y[i] + 1)) - want[i]);
      ASSERT_LE(error, std::min(below, above)) << want[i];
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Targets, PrecisionTest, testing::ValuesIn(SupportedTargets()), TargetAsName());

}  // namespace
}  // namespace fusedffn

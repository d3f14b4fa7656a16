// PackedLinear, y = activation(x weight^T + bias): the bits of the scalar models row by row in every
// precision, for every shape, way to divide the work, element type and way to lie in memory; and numbers that
// are none. Its norms and residuals are in transformer_test.cc, what it refuses is in linear_api_test.cc.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <set>
#include <vector>

#include "fusedffn/fusedffn.h"
#include "kernels/gemm.h"
#include "kernels/kernels.h"
#include "src/plan.h"
#include "src/system/cpu.h"
#include "tests/activations.h"
#include "tests/chain.h"
#include "tests/compare.h"
#include "tests/effort.h"
#include "tests/element_types.h"
#include "tests/executors.h"
#include "tests/guarded_buffer.h"
#include "tests/int8_model.h"
#include "tests/reference.h"
#include "tests/targets.h"
#include "tests/test_block.h"
#include "tests/widen.h"

namespace fusedffn {
namespace {

struct Size {
  size_t in, out;
};

std::ostream& operator<<(std::ostream& out, const Size& size) { return out << size.in << "/" << size.out; }

class LinearTest : public TargetTest {
 protected:
  const Kernels& kernels() const { return KernelsNamed(GetParam()); }
  const GemmKernel& gemm(Precision precision = Precision::kF32) const { return *kernels().Gemm(precision); }
  bool HasDot() const { return kernels().Gemm(Precision::kBF16Dot) != nullptr; }

  // y of one row after the other, by the scalar chain.
  std::vector<float> Chain(const TestLinear& linear, const std::vector<float>& x) const {
    return EachRow(linear, x, [&](const float* row) {
      return ChainLinear(kernels().fma, linear.weights(), linear.out, linear.in, row);
    });
  }

  // apply(row), activated, of all rows of x.
  template <class Apply>
  std::vector<float> EachRow(const TestLinear& linear, const std::vector<float>& x,
                             const Apply& apply) const {
    std::vector<float> y;
    for (size_t i = 0; i < x.size(); i += linear.in) {
      const std::vector<float> row = Activated(kernels(), linear.activation, apply(&x[i]));
      y.insert(y.end(), row.begin(), row.end());
    }
    return y;
  }

  // The first rows of x give those of `want`, for each number of tokens and of threads.
  void ExpectRows(const PackedLinear& packed, const std::vector<float>& x, const std::vector<float>& want,
                  const std::set<size_t>& token_counts, const std::vector<int>& all_threads) const {
    const size_t out = packed.out();
    for (const size_t tokens : token_counts) {
      for (const int threads : all_threads) {
        const std::vector<float> y = RunDense(packed, x.data(), tokens, {threads});
        ASSERT_TRUE(SameBits(y.data(), out, want.data(), out, tokens, out))
            << "size " << Size{packed.in(), out} << ", " << PrecisionName(packed.precision()) << ", "
            << tokens << " tokens, " << threads << " threads";
      }
    }
  }

  // Around one and two row tiles, and many of them.
  std::set<size_t> TokenCounts(Precision precision = Precision::kF32) const {
    const size_t mr = gemm(precision).mr;
    std::set<size_t> counts = {1, 2, 3, mr, mr + 1, 2 * mr - 1, 2 * mr, 2 * mr + 1, 100};
    if (LightRun()) return counts;
    for (size_t tokens = mr; tokens <= 2 * mr + 1; ++tokens) counts.insert(tokens);
    counts.insert(300);
    return counts;
  }

  // Around chunks of k; around a vector, a panel and a pair of them: each with each, or with any number.
  std::vector<Size> Sizes(Precision precision = Precision::kF32) const {
    const BLayout& b = gemm(precision).b;
    const size_t nr = b.nr, lanes = b.n_align, kc = gemm(precision).a.kc;
    const std::vector<size_t> ins = {1, 3, 31, kc - 1, kc, kc + 1, 2 * kc + 1};
    const std::vector<size_t> outs = {1,      lanes + 1,  nr - 1,         nr,     nr + 1,    2 * nr - 1,
                                      2 * nr, 2 * nr + 1, 3 * nr + lanes, 4 * nr, 5 * nr - 1};
    Random random(1);
    std::vector<Size> sizes;
    for (const size_t in : ins) {
      if (LightRun()) sizes.push_back({in, random.Bits() % 100 + 1});
      for (const size_t out : outs) {
        if (!LightRun()) sizes.push_back({in, out});
      }
    }
    for (const size_t out : outs) sizes.push_back({random.Bits() % 100 + 1, out});
    return sizes;
  }
};

const std::vector<int> kThreads = {1, 2, 3, 5};

// --- Sizes and ways to divide the work ---------------------------------------------------------------------

TEST_P(LinearTest, SizesThatStraddleTheTiles) {
  Random random(1);
  for (const Size& size : Sizes()) {
    const TestLinear linear = RandomLinear(size.in, size.out, &random);
    const std::set<size_t> token_counts = TokenCounts();
    const std::vector<float> x = RandomTokens(size.in, *token_counts.rbegin(), &random);
    ExpectRows(PackFor(GetParam(), linear), x, Chain(linear, x), token_counts, kThreads);
    ASSERT_FALSE(HasFatalFailure());
  }
}

TEST_P(LinearTest, EveryActivationWithAndWithoutABias) {
  const size_t nr = gemm().b.nr, kc = gemm().a.kc;
  for (const Activation activation : AllActivations()) {
    for (const Size& size : {Size{33, 3 * nr + 1}, Size{2 * kc + 1, nr - 1}}) {
      for (const bool bias : {false, true}) {
        Random random(size.in);
        TestLinear linear = RandomLinear(size.in, size.out, &random);
        linear.activation = activation;
        if (!bias) linear.b.clear();
        const std::vector<float> x = RandomTokens(size.in, 60, &random);
        ExpectRows(PackFor(GetParam(), linear), x, Chain(linear, x), {1, 2, 19, 60}, {1, 3});
        ASSERT_FALSE(HasFatalFailure()) << activation << ", bias " << bias;
      }
    }
  }
}

// Rows and panels divided among threads, several blocks of rows, and more tasks than there are workers: the
// plan is asked whether all of that has happened.
TEST_P(LinearTest, EveryWayToDivideTheWork) {
  Random random(1);
  const Size size = {35, 9 * gemm().b.nr + 1};
  const TestLinear linear = RandomLinear(size.in, size.out, &random);
  const std::vector<float> x = RandomTokens(size.in, 700, &random);
  const std::vector<float> want = Chain(linear, x);
  const PackedLinear packed = PackFor(GetParam(), linear);
  bool seen[2][2] = {};  // [row parallel][more tasks than workers]
  size_t most_blocks = 0;
  for (const size_t tokens : {13u, 40u, 100u, 300u, 700u}) {
    for (const int threads : {1, 2, 3, 5}) {
      ExpectRows(packed, x, want, {tokens}, {threads});
      ASSERT_FALSE(HasFatalFailure());
      const size_t count = static_cast<size_t>(threads);
      const Plan plan = MakePlan({size.in, 0, size.out, false}, tokens, gemm(), L2Bytes(), count);
      seen[plan.row_parallel][plan.tasks > plan.workers] = true;
      if (plan.row_parallel) most_blocks = std::max(most_blocks, plan.tasks / plan.workers);
    }
  }
  EXPECT_TRUE(seen[false][false] && seen[false][true] && seen[true][false] && seen[true][true]);
  EXPECT_GE(most_blocks, 3u);
}

TEST_P(LinearTest, AProjectionOfAModel) {
  Random random(1);
  const TestLinear linear = RandomLinear(1152, 3 * 1152, &random);
  const std::vector<float> x = RandomTokens(linear.in, 5, &random);
  ExpectRows(PackFor(GetParam(), linear), x, Chain(linear, x), {1, 5}, {1, 3});
}

// --- The other precisions ----------------------------------------------------------------------------------

TEST_P(LinearTest, BF16GivesTheChainOfItsWeights) {
  Random random(1);
  const auto all_threads = FullOrLight<std::vector<int>>({1, 2, 5}, {3});
  for (const Size& size : Sizes(Precision::kBF16)) {
    const TestLinear linear = RandomLinear(size.in, size.out, &random);
    TestLinear rounded = linear;
    rounded.w = Rounded(linear.w);
    const std::set<size_t> token_counts = TokenCounts(Precision::kBF16);
    const std::vector<float> x = RandomTokens(size.in, *token_counts.rbegin(), &random);
    const std::vector<float> want = Chain(rounded, x);
    for (const TestLinear& weights : {rounded, linear}) {
      const PackedLinear packed = PackFor(GetParam(), weights, Precision::kBF16);
      ExpectRows(packed, x, want, token_counts, all_threads);
      ASSERT_FALSE(HasFatalFailure());
    }
  }
}

TEST_P(LinearTest, Int8GivesTheBitsOfTheModel) {
  Random random(1);
  const auto all_threads = FullOrLight<std::vector<int>>({1, 2, 5}, {3});
  for (const Size& size : Sizes(Precision::kInt8)) {
    TestLinear linear = RandomLinear(size.in, size.out, &random);
    linear.activation = AllActivations()[size.out % kActivationCount];
    const std::set<size_t> token_counts = TokenCounts(Precision::kInt8);
    const std::vector<float> x = RandomTokens(size.in, *token_counts.rbegin(), &random);
    for (const size_t group : {kInt8GroupSize, kSmallInt8GroupSize}) {
      const Int8Layer model(kernels().fma, linear.weights(), size.out, size.in, group);
      const std::vector<float> want = EachRow(linear, x, [&](const float* row) { return model.Apply(row); });
      ExpectRows(PackFor(GetParam(), linear, Precision::kInt8, group), x, want, token_counts, all_threads);
      ASSERT_FALSE(HasFatalFailure());
    }
  }
}

// Integers whose sums are exact in any order.
TEST_P(LinearTest, DotIsExactOnIntegers) {
  if (!HasDot()) GTEST_SKIP() << "no bf16 dot product";
  Random random(1);
  const auto integers = [&](size_t count, int64_t most) {
    return random.Fill(count, [=](Random& r) { return static_cast<float>(r.Integer(-most, most)); });
  };
  for (const Size& size : Sizes(Precision::kBF16Dot)) {
    const TestLinear linear = {size.in, size.out, integers(size.in * size.out, 100), integers(size.out, 99),
                               Activation::kRelu};
    const std::set<size_t> token_counts = TokenCounts(Precision::kBF16Dot);
    const std::vector<float> x = integers(size.in * *token_counts.rbegin(), 50);
    std::vector<float> want;
    for (size_t i = 0; i < x.size(); i += size.in) {
      for (const double sum : ReferenceLinear(linear.weights(), size.out, size.in, &x[i])) {
        want.push_back(static_cast<float>(ReferenceActivation(linear.activation, sum)));
      }
    }
    ExpectRows(PackFor(GetParam(), linear, Precision::kBF16Dot), x, want, token_counts, kThreads);
    ASSERT_FALSE(HasFatalFailure());
  }
}

// x and weights are off by 2^-9 / sqrt(3) of themselves, at random: y by sqrt(2) of that, twice as much
// allowed.
TEST_P(LinearTest, DotIsWithinItsRoundings) {
  if (!HasDot()) GTEST_SKIP() << "no bf16 dot product";
  Random random(1);
  TestLinear linear = RandomLinear(1300, 200, &random);
  linear.b.clear();
  linear.activation = Activation::kIdentity;
  const std::vector<float> x = RandomTokens(linear.in, 30, &random);
  std::vector<double> want;
  for (size_t i = 0; i < x.size(); i += linear.in) {
    const std::vector<double> row = ReferenceLinear(linear.weights(), linear.out, linear.in, &x[i]);
    want.insert(want.end(), row.begin(), row.end());
  }
  const std::vector<float> y = RunDense(PackFor(GetParam(), linear, Precision::kBF16Dot), x.data(), 30);
  const double relative = RelativeL2(y, want);
  std::printf("%s: relative error %.2e\n", GetParam().c_str(), relative);
  EXPECT_LE(relative, 2 * 0x1p-9 * std::sqrt(2.0 / 3));
  EXPECT_GE(relative, 0x1p-12);  // else it was not bf16 that ran
}

TEST_P(LinearTest, AmxSumsEvenAndOddK) {
  if (GetParam() != "AVX3_AMX") GTEST_SKIP() << "not with AMX";
  Random random(1);
  for (const Size& size : Sizes(Precision::kBF16Dot)) {
    TestLinear linear = RandomLinear(size.in, size.out, &random);
    linear.w = Rounded(linear.w);
    const std::vector<float> x = RandomTokens(size.in, 100, &random);
    const std::vector<float> want = EachRow(linear, x, [&](const float* row) {
      return AmxLinear(linear.w, linear.b, Rounded({row, row + size.in}));
    });
    ExpectRows(PackFor(GetParam(), linear, Precision::kBF16Dot), x, want, {1, 17, 33, 100}, {1, 3});
    ASSERT_FALSE(HasFatalFailure());
  }
}

// --- Memory and element types ------------------------------------------------------------------------------

std::vector<float> Spread(const std::vector<float>& values, size_t cols, size_t stride) {
  std::vector<float> rows(values.size() / cols * stride, FloatOf(kPoisonBits));
  for (size_t i = 0; i < values.size(); ++i) rows[i / cols * stride + i % cols] = values[i];
  return rows;
}

// Rows apart by more than their columns: NaN between them must not be read, nor overwritten in y.
TEST_P(LinearTest, NothingBetweenRowsMatters) {
  Random random(1);
  const size_t ldx = 80, ldy = 164, ldw = 93;
  const TestLinear linear = RandomLinear(77, 145, &random);
  const std::vector<float> x = RandomTokens(linear.in, 60, &random);
  const std::vector<float> w = Spread(linear.w, linear.in, ldw), x_rows = Spread(x, linear.in, ldx);
  for (const Precision precision : PrecisionsOn(GetParam())) {
    const std::vector<float> want =
        Spread(RunDense(PackFor(GetParam(), linear, precision), x.data(), 60), linear.out, ldy);
    const PackedLinear packed = PackFor(GetParam(), {w.data(), linear.b.data(), DType::kF32, ldw}, linear.in,
                                        linear.out, linear.activation, precision);
    for (const size_t tokens : {1u, 2u, 60u}) {
      for (const int threads : {1, 2, 5}) {
        std::vector<float> y(tokens * ldy, FloatOf(kPoisonBits));
        ASSERT_TRUE(fusedffn::Run(packed, x_rows.data(), ldx, tokens, y.data(), ldy, {threads}).ok());
        ASSERT_TRUE(SameBits(y.data(), ldy, want.data(), ldy, tokens, ldy))
            << PrecisionName(precision) << ", " << tokens << " tokens, " << threads << " threads";
      }
    }
  }
}

// From denormals to 1, of either sign: the bits that the same values in fp32 give.
TEST_P(LinearTest, SixteenBitWeightsEqualWidenedOnes) {
  Random random(1);
  const size_t in = 131, out = 70, stride = 140;
  const std::vector<float> x = RandomTokens(in, 20, &random);
  for (const Type16& type : kTypes16) {
    const std::vector<uint16_t> w = Draw16(type, (out - 1) * stride + in, &random);
    const std::vector<uint16_t> b = Draw16(type, out, &random);
    const std::vector<float> wide_w = Widened(type, w), wide_b = Widened(type, b);
    for (const Precision precision : PrecisionsOn(GetParam())) {
      const Linear narrow = {w.data(), b.data(), type.dtype, stride},
                   wide = {wide_w.data(), wide_b.data(), DType::kF32, stride};
      const auto run = [&](const Linear& weights) {
        return RunDense(PackFor(GetParam(), weights, in, out, Activation::kSilu, precision), x.data(), 20);
      };
      EXPECT_TRUE(SameBits(run(narrow).data(), out, run(wide).data(), out, 20, out))
          << PrecisionName(precision) << ", dtype " << static_cast<int>(type.dtype);
    }
  }
}

// x is widened, y is rounded as the kernels round arrays, in any combination.
TEST_P(LinearTest, EveryElementTypeOfXAndY) {
  Random random(1);
  const TestLinear linear = RandomLinear(1203, 77, &random);
  const size_t in = linear.in, out = linear.out;
  const std::vector<float> x = SevenBits(130 * in, &random);
  for (const Precision precision : PrecisionsOn(GetParam())) {
    const PackedLinear packed = PackFor(GetParam(), linear, precision);
    for (const size_t tokens : {1u, 20u, FullOrLight(130u, 60u)}) {
      const std::vector<float> want = RunDense(packed, x.data(), tokens);
      for (const DType from : kDTypes) {
        for (const DType to : kDTypes) {
          const std::vector<unsigned char> stored = Stored(kernels(), x, from);
          std::vector<unsigned char> y(want.size() * ElementBytes(to), 0xA5);
          ASSERT_TRUE(fusedffn::Run(packed, stored.data(), from, in, tokens, y.data(), to, out, {2}).ok());
          ASSERT_EQ(y, Stored(kernels(), want, to))
              << PrecisionName(precision) << ", " << tokens << " tokens, dtypes " << static_cast<int>(from)
              << " and " << static_cast<int>(to);
        }
      }
    }
  }
}

TEST_P(LinearTest, NoTokens) {
  Random random(1);
  const PackedLinear packed = PackFor(GetParam(), RandomLinear(5, 7, &random));
  for (const int threads : {0, 1, 2, 16, kOwnThreads}) {
    EXPECT_TRUE(fusedffn::Run(packed, nullptr, 5, 0, nullptr, 7, OptionsOn(threads)).ok())
        << threads << " threads";
  }
}

// --- NaN and infinity --------------------------------------------------------------------------------------

TEST_P(LinearTest, BadWeightsSpoilTheirOutputOnly) {
  Random random(1);
  const TestLinear linear = RandomLinear(53, 40, &random);
  const std::vector<float> x = RandomTokens(linear.in, 10, &random);
  for (const Precision precision : PrecisionsOn(GetParam())) {
    const std::vector<float> want = RunDense(PackFor(GetParam(), linear, precision), x.data(), 10);
    TestLinear bad = linear;
    bad.w[17 * linear.in + 5] = NAN;
    const std::vector<float> y = RunDense(PackFor(GetParam(), bad, precision), x.data(), 10);
    for (size_t i = 0; i < y.size(); ++i) {
      const bool spoilt = i % linear.out == 17;
      ASSERT_TRUE(spoilt ? std::isnan(y[i]) : BitsOf(y[i]) == BitsOf(want[i]))
          << PrecisionName(precision) << ", element " << i;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Targets, LinearTest, testing::ValuesIn(SupportedTargets()), TargetAsName());

}  // namespace
}  // namespace fusedffn

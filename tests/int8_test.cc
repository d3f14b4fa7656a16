// Precision::kInt8: the bits of the scalar model, the distance from double precision, and what becomes of
// rows and weights that are not fit for it.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "fusedffn/fusedffn.h"
#include "tests/compare.h"
#include "tests/effort.h"
#include "tests/int8_model.h"
#include "tests/reference.h"
#include "tests/targets.h"
#include "tests/test_block.h"
#include "tests/widen.h"

namespace fusedffn {
namespace {

// Tails of k, n and rows; one and several groups of k in either layer, whole ones among them, and several
// chunks of these; more than one block of rows.
constexpr Shape kShapes[] = {{1, 1, 1},        {7, 33, 5},          {530, 70, 97},         {1061, 1200, 49},
                             {64, 2200, 130},  {256, 129, 20},      {127, 2304, 33},       {1, 1, 1, true},
                             {7, 33, 5, true}, {530, 70, 97, true}, {1061, 1200, 49, true}};
constexpr size_t kTokens[] = {1, 5, 9, 40, 130, 300};
constexpr size_t kMostTokens = 300;

testing::AssertionResult Same(const std::vector<float>& got, const std::vector<float>& want) {
  return SameBits(got.data(), got.size(), want.data(), want.size(), 1, got.size());
}

class Int8Test : public Int8TargetTest {
 protected:
  const Kernels& kernels() const { return KernelsNamed(target()); }
  PackedFfn Packed(const Weights& weights) const {
    return PackFor(target(), weights, Precision::kInt8, group());
  }

  // Of every batch and several numbers of threads.
  testing::AssertionResult SameAsModel(const TestBlock& block, const std::vector<float>& x,
                                       size_t most_tokens) const {
    const Shape& shape = block.shape;
    const PackedFfn ffn = Packed(block.weights());
    const std::vector<float> model = Int8Ffn(kernels(), block.weights(), group(), x.data(), most_tokens);
    for (const size_t tokens : kTokens) {
      if (tokens > most_tokens) break;
      const std::vector<float> want(model.begin(),
                                    model.begin() + static_cast<ptrdiff_t>(tokens * shape.out));
      for (const int threads : FullOrLight<std::vector<int>>({1, 2, 7}, {3})) {
        const auto same = Same(RunDense(ffn, x.data(), tokens, {threads}), want);
        if (!same) {
          return testing::AssertionFailure() << same.message() << ", shape " << shape << ", " << tokens
                                             << " tokens, " << threads << " threads";
        }
      }
    }
    return testing::AssertionSuccess();
  }
};

TEST_P(Int8Test, GivesTheBitsOfTheModelForAnyThreadsAndBatch) {
  Random random(1);
  for (const Shape& shape : kShapes) {
    ASSERT_TRUE(SameAsModel(RandomBlock(shape, &random), RandomTokens(shape, kMostTokens, &random),
                            FullOrLight<size_t>(kMostTokens, 130)));
  }
}

// Every product at its largest, of either sign: nothing may saturate, up to a whole group of them.
TEST_P(Int8Test, NothingSaturates) {
  Random random(1);
  for (const size_t dim : {2u, 4u, 37u, 128u, 129u, 1152u, 1153u}) {
    TestBlock block = RandomBlock({dim, 40, 17}, &random);
    for (size_t n = 0; n < 40; ++n) {
      for (size_t k = 0; k < dim; ++k) {
        const bool negative = n % 3 == 1 || (n % 3 == 2 && k % 2 == 1);
        block.w1[n * dim + k] = negative ? -1.0f : 1.0f;
      }
    }
    block.activation = Activation::kIdentity;
    std::vector<float> x(9 * dim, 1.0f);
    for (size_t k = 0; k < dim; ++k) x[4 * dim + k] = k % 2 == 0 ? 1.0f : -1.0f;
    ASSERT_TRUE(SameAsModel(block, x, 9)) << "dim " << dim;
  }
}

TEST_P(Int8Test, TakesAQuarterOfTheBytes) {
  Random random(1);
  const PackedFfn ffn = Packed(RandomBlock(kClipL, &random).weights());
  const double scales = 2 * sizeof(float) / static_cast<double>(group());  // and sums, for each weight
  EXPECT_LE(static_cast<double>(ffn.packed_bytes()), (1.015 + scales) * (2 * 1024 * 4096 + 4096 + 1024));
}

TEST_P(Int8Test, XOfSixteenBitsIsWidened) {
  Random random(1);
  const Shape shape = {1201, 90, 50};
  const PackedFfn ffn = Packed(RandomBlock(shape, &random).weights());
  for (const size_t tokens : {1u, 70u}) {
    std::vector<uint16_t> x(tokens * shape.dim);
    std::vector<float> wide(x.size()), y(tokens * shape.out);
    for (size_t i = 0; i < x.size(); ++i) {
      x[i] = UpperHalf(random.Symmetric());
      wide[i] = WidenBf16(x[i]);
    }
    const Status status =
        fusedffn::Run(ffn, x.data(), DType::kBF16, shape.dim, tokens, y.data(), DType::kF32, shape.out, {2});
    ASSERT_TRUE(status.ok()) << status.message();
    EXPECT_TRUE(Same(y, RunDense(ffn, wide.data(), tokens)));
  }
}

// --- Distance from double precision
// --------------------------------------------------------------------------

// Quantizing an element is off by half a step at most, and by step / sqrt(12) in the root mean square, if it
// is off at random. The sum of squares of the errors that a layer's output gets so from its input `x` and its
// weights, for an input that was off by sqrt(x_error2) already.
class ErrorBudget {
 public:
  ErrorBudget(const Linear& layer, size_t rows, size_t cols, size_t group)
      : rows_(rows), cols_(cols), group_(group) {
    const auto* weight = static_cast<const float*>(layer.weight);
    for (size_t n = 0; n < rows; ++n) {
      for (size_t k = 0; k < cols; ++k) {
        const size_t count = std::min(group, cols - k);
        if (k % group == 0) scale_.push_back(QuantizeWeights(weight + n * cols + k, count).scale);
        weight2_.push_back(weight[n * cols + k] * weight[n * cols + k]);
      }
    }
  }

  std::vector<double> Squares(const std::vector<double>& x, const std::vector<double>& x_error2) const {
    std::vector<float> narrow(x.begin(), x.end());
    std::vector<double> errors(rows_);
    const size_t groups = Int8Groups(cols_, group_);
    for (size_t g = 0; g < groups; ++g) {
      const size_t k0 = g * group_, k1 = std::min(k0 + group_, cols_);
      const double step = QuantizeRow(&narrow[k0], k1 - k0).scale;
      for (size_t n = 0; n < rows_; ++n) {
        const double weight_step = scale_[n * groups + g];
        for (size_t k = k0; k < k1; ++k) {
          errors[n] += weight2_[n * cols_ + k] * (step * step / 12 + x_error2[k]);
          errors[n] += x[k] * x[k] * weight_step * weight_step / 12;
        }
      }
    }
    return errors;
  }

 private:
  size_t rows_, cols_, group_;
  std::vector<double> scale_, weight2_;
};

struct RelativeErrors {
  double measured, expected;  // L2, of all of y
};

RelativeErrors ErrorsOf(const PackedFfn& ffn, const Weights& weights, size_t group,
                        const std::vector<float>& x) {
  const Shape& shape = weights.shape;
  const size_t tokens = x.size() / shape.dim;
  const std::vector<float> y = RunDense(ffn, x.data(), tokens);
  const ErrorBudget fc1(weights.fc1, shape.hidden, shape.dim, group);
  const ErrorBudget fc2(weights.fc2, shape.out, shape.hidden, group);
  const ErrorBudget up(weights.up, shape.gated ? shape.hidden : 0, shape.dim, group);
  double error2 = 0, expected2 = 0, norm2 = 0;
  for (size_t t = 0; t < tokens; ++t) {
    const std::vector<double> row(&x[t * shape.dim], &x[t * shape.dim] + shape.dim);
    std::vector<double> hidden = ReferenceLinear(weights.fc1, shape.hidden, shape.dim, row.data());
    std::vector<double> hidden_error2 = fc1.Squares(row, std::vector<double>(shape.dim));
    for (size_t n = 0; n < shape.hidden; ++n) {
      const ValueAndSlope f = ReferenceActivationAndSlope(weights.activation, hidden[n]);
      hidden[n] = f.value;
      hidden_error2[n] *= f.slope * f.slope;
    }
    const std::vector<double> factors =
        ReferenceLinear(weights.up, shape.gated ? shape.hidden : 0, shape.dim, row.data());
    const std::vector<double> factors_error2 = up.Squares(row, std::vector<double>(shape.dim));
    for (size_t n = 0; n < factors.size(); ++n) {
      hidden_error2[n] =
          factors[n] * factors[n] * hidden_error2[n] + hidden[n] * hidden[n] * factors_error2[n];
      hidden[n] *= factors[n];
    }
    const std::vector<double> want = ReferenceLinear(weights.fc2, shape.out, shape.hidden, hidden.data());
    const std::vector<double> budget = fc2.Squares(hidden, hidden_error2);
    for (size_t n = 0; n < shape.out; ++n) {
      const double error = y[t * shape.out + n] - want[n];
      error2 += error * error;
      expected2 += budget[n];
      norm2 += want[n] * want[n];
    }
  }
  return {std::sqrt(error2 / norm2), std::sqrt(expected2 / norm2)};
}

// What independent roundings come to, and not less than half of it: else it was not int8 that ran.
TEST_P(Int8Test, IsAsFarFromDoublePrecisionAsItsStepsSay) {
  Random random(1);
  for (const auto& [activation, gated] :
       {std::pair(Activation::kQuickGelu, false), std::pair(Activation::kGelu, false),
        std::pair(Activation::kSilu, false), std::pair(Activation::kSilu, true)}) {
    TestBlock block = RandomBlock({300, 1300, 200, gated}, &random);
    block.activation = activation;
    const std::vector<float> even = RandomTokens(block.shape, 20, &random);
    for (const float outlier : {1.0f, 20.0f, 100.0f}) {
      std::vector<float> x = even;
      for (size_t t = 0; t < 20; ++t) x[t * 300 + 17] *= outlier;
      const RelativeErrors errors = ErrorsOf(Packed(block.weights()), block.weights(), group(), x);
      std::printf("%s, groups of %zu, %s%s, a channel %g times larger: relative error %.2e, expected %.2e\n",
                  target().c_str(), group(), ActivationName(activation), gated ? ", gated" : "", outlier,
                  errors.measured, errors.expected);
      EXPECT_LE(errors.measured, 1.3 * errors.expected);
      EXPECT_GE(errors.measured, 0.5 * errors.expected);
    }
  }
}

// --- Rows and weights that are not fit for it
// ----------------------------------------------------------------

TEST_P(Int8Test, AWeightThatIsNotFiniteGivesNaN) {
  Random random(1);
  const Shape shape = {9, 20, 30};
  const std::vector<float> x = RandomTokens(shape, 3, &random);
  for (const float bad : {NAN, HUGE_VALF, -HUGE_VALF}) {
    TestBlock block = RandomBlock(shape, &random);
    block.w2[17 * shape.hidden + 5] = bad;
    std::vector<float> y = RunDense(Packed(block.weights()), x.data(), 3);
    for (size_t i = 0; i < y.size(); ++i)
      ASSERT_EQ(std::isnan(y[i]), i % shape.out == 17) << bad << ", " << i;

    block = RandomBlock(shape, &random);
    block.w1[17 * shape.dim + 5] = bad;  // one of the hidden values, and every output needs all of them
    y = RunDense(Packed(block.weights()), x.data(), 3);
    for (const float value : y) ASSERT_TRUE(std::isnan(value)) << bad;

    block = RandomBlock({9, 20, 30, true}, &random);
    block.up_w[17 * shape.dim + 5] = bad;
    y = RunDense(Packed(block.weights()), x.data(), 3);
    for (const float value : y) ASSERT_TRUE(std::isnan(value)) << bad;
  }
}

// Zeros, one constant, one value among zeros; values that lie below and at the ends of what fp32 has.
TEST_P(Int8Test, UnusualRows) {
  Random random(1);
  const TestBlock block = RandomBlock({70, 90, 50}, &random);
  std::vector<float> x(70 * 8, 0.0f);
  const auto row = [&](size_t t) { return x.begin() + static_cast<ptrdiff_t>(t * 70); };
  std::fill(row(1), row(2), 3.0f);
  std::fill(row(2), row(3), -3.0f);
  *row(3) = 5.0f;
  std::fill(row(4), row(5), 0x1p-140f);
  std::fill(row(5), row(6), 0x1p-112f);
  std::fill(row(6), row(7), std::numeric_limits<float>::max());
  for (size_t k = 0; k < 70; ++k) row(7)[static_cast<ptrdiff_t>(k)] = k % 2 == 0 ? 1e30f : -1e30f;
  ASSERT_TRUE(SameAsModel(block, x, 5));
  // A row on one of 256 steps is exact: the error is of the weights and of fc2.
  const std::vector<double> want = ReferenceFfn(block.weights(), x.data(), 70, 4);
  const std::vector<float> y = RunDense(Packed(block.weights()), x.data(), 8);
  for (size_t i = 0; i < want.size(); ++i) EXPECT_NEAR(y[i], want[i], 0.1) << i;
  for (size_t i = 0; i < 50; ++i) {
    EXPECT_EQ(BitsOf(y[4 * 50 + i]), BitsOf(y[i])) << "a row of nearly nothing is one of zeros";
    EXPECT_TRUE(std::isfinite(y[7 * 50 + i]));
  }
}

TEST_P(Int8Test, WeightsOfZeroLeaveTheBias) {
  Random random(1);
  TestBlock block = RandomBlock({70, 90, 50}, &random);
  block.w2.assign(block.w2.size(), 0.0f);
  const std::vector<float> x = RandomTokens(block.shape, 2, &random);
  const std::vector<float> y = RunDense(Packed(block.weights()), x.data(), 2);
  for (size_t i = 0; i < y.size(); ++i) ASSERT_EQ(y[i], block.b2[i % 50]);
}

INSTANTIATE_TEST_SUITE_P(Targets, Int8Test, Int8Targets(), TargetAndGroupAsName());

}  // namespace
}  // namespace fusedffn

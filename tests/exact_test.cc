// Exact data, exact results. With x, W1 and W2 in {-1, 0, 1} and b1 = 1040, fc1's outputs are integers in
// [16, 2064], where quick_gelu(h) == h, and no sum of fc2 reaches 2^24. Every float operation is then exact,
// in any order, and y must equal the integer result bit for bit: one lost or doubled product shows. In a
// gated block `up` is ternary as well, so that the hidden values have either sign and their sums stay in
// range.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <utility>
#include <vector>

#include "tests/compare.h"
#include "tests/effort.h"
#include "tests/targets.h"
#include "tests/test_block.h"

namespace fusedffn {
namespace {

using Integers = std::vector<int16_t>;

Integers Ternary(size_t count, Random* random) {
  return random->Fill(count, [](Random& r) { return static_cast<int16_t>(r.Integer(-1, 1)); });
}

std::vector<float> Widened(const Integers& values) { return {values.begin(), values.end()}; }

// No sum may reach 2^24 on its way, where floats end to be exact.
template <class X>
std::vector<int32_t> IntegerLinear(const std::vector<X>& x, size_t tokens, const Integers& weight,
                                   const std::vector<int32_t>& bias, size_t k) {
  std::vector<int32_t> y;
  int32_t largest = 0;
  for (size_t t = 0; t < tokens; ++t) {
    for (size_t n = 0; n < bias.size(); ++n) {
      const int16_t* row = &weight[n * k];
      int32_t sum = bias[n];
      for (size_t i = 0; i < k; ++i) {
        sum += int32_t{row[i]} * int32_t{x[t * k + i]};
        largest = std::max(largest, std::abs(sum));
      }
      y.push_back(sum);
    }
  }
  EXPECT_LT(largest, 1 << 24);
  return y;
}

struct ExactCase {
  TestBlock block;
  std::vector<float> x, y;  // [tokens, dim], [tokens, out]
};

ExactCase MakeExactCase(const Shape& shape, size_t tokens, uint64_t seed) {
  Random random(seed);
  const Integers x = Ternary(tokens * shape.dim, &random);
  const Integers w1 = Ternary(shape.hidden * shape.dim, &random);
  const Integers w2 = Ternary(shape.out * shape.hidden, &random);
  const std::vector<int32_t> b1(shape.hidden, 1040);
  const auto b2 =
      random.Fill(shape.out, [](Random& r) { return static_cast<int32_t>(r.Integer(-100000, 100000)); });
  std::vector<int32_t> hidden = IntegerLinear(x, tokens, w1, b1, shape.dim);
  TestBlock block = {shape, Widened(w1), {b1.begin(), b1.end()}, Widened(w2), {b2.begin(), b2.end()}};
  if (shape.gated) {
    const Integers up_w = Ternary(shape.hidden * shape.dim, &random);
    const std::vector<int32_t> up =
        IntegerLinear(x, tokens, up_w, std::vector<int32_t>(shape.hidden), shape.dim);
    for (size_t i = 0; i < hidden.size(); ++i) hidden[i] *= up[i];
    block.up_w = Widened(up_w);
  }
  const std::vector<int32_t> y = IntegerLinear(hidden, tokens, w2, b2, shape.hidden);
  return {std::move(block), Widened(x), {y.begin(), y.end()}};
}

class ExactTest : public TargetTest {
 protected:
  void Check(const ExactCase& exact, const std::vector<size_t>& token_counts) {
    const PackedFfn ffn = PackFor(GetParam(), exact.block.weights());
    const size_t out = exact.block.shape.out;
    for (const size_t tokens : token_counts) {
      for (const int threads : {1, 2, 3, 7, 16}) {
        const std::vector<float> y = RunDense(ffn, exact.x.data(), tokens, {threads});
        ASSERT_TRUE(SameBits(y.data(), out, exact.y.data(), out, tokens, out))
            << tokens << " tokens, " << threads << " threads";
      }
    }
  }
};

std::vector<size_t> AllTokenCounts() {
  std::vector<size_t> counts = {127, 128, 129, 257, 577};
  for (size_t tokens = 1; tokens <= 70; ++tokens) counts.push_back(tokens);
  return counts;
}

// dim <= 1024 and hidden <= 8000 keep the sums in range.
constexpr Shape kShapes[] = {{64, 400, 64}, {100, 769, 97}, {385, 385, 33}, {1024, 50, 17}, {31, 1153, 131}};
constexpr Shape kGatedShapes[] = {
    {64, 400, 64, true}, {100, 769, 97, true}, {1061, 50, 17, true}, {31, 1153, 131, true}};

TEST_P(ExactTest, EqualsIntegers) {
  const size_t seeds = FullOrLight<size_t>(20, 2);
  const std::vector<size_t> token_counts =
      FullOrLight<std::vector<size_t>>(AllTokenCounts(), {1, 2, 7, 33, 70, 129});
  for (size_t seed = 1; seed <= seeds; ++seed) {
    const Shape& shape = kShapes[seed % std::size(kShapes)];
    SCOPED_TRACE(testing::Message() << "seed " << seed << ", shape " << shape);
    Check(MakeExactCase(shape, FullOrLight<size_t>(577, 129), seed), token_counts);
    if (HasFatalFailure()) return;
  }
}

TEST_P(ExactTest, EqualsIntegersInAGatedBlock) {
  for (const Shape& shape : kGatedShapes) {
    SCOPED_TRACE(testing::Message() << "shape " << shape);
    Check(MakeExactCase(shape, FullOrLight<size_t>(257, 129), shape.dim), {1, 2, 7, 8, 33, 70, 129});
    if (HasFatalFailure()) return;
  }
}

TEST_P(ExactTest, EqualsIntegersAtAGatedModelsShape) {
  Check(MakeExactCase({1280, 896, 1280, true}, 65, 101), {1, 17, 65});
}

TEST_P(ExactTest, EqualsIntegersAtClipL) {
  SCOPED_TRACE("seed 100");
  Check(MakeExactCase(kClipL, FullOrLight<size_t>(577, 17), 100),
        FullOrLight<std::vector<size_t>>({1, 16, 65, 257, 577}, {1, 17}));
}

INSTANTIATE_TEST_SUITE_P(Targets, ExactTest, testing::ValuesIn(SupportedTargets()), TargetAsName());

}  // namespace
}  // namespace fusedffn

// README's examples as they stand there, with the results that they should have: readme_test.py compares the
// lines.
#include <gtest/gtest.h>

#include <cstdint>
#include <cstdio>
#include <utility>
#include <vector>

#include "fusedffn/fusedffn.h"
#include "tests/compare.h"
#include "tests/error_bounds.h"
#include "tests/random.h"
#include "tests/targets.h"
#include "tests/test_block.h"
#include "tests/widen.h"

namespace {

constexpr size_t tokens = 9;

bool Right(const std::vector<fusedffn::RowBound>& rows, const std::vector<float>& y) {
  return fusedffn::MeasureErrors(rows, y.data(), tokens).Pass();
}

std::vector<uint16_t> InBF16(const std::vector<float>& rounded) {
  std::vector<uint16_t> stored;
  for (const float value : rounded) stored.push_back(fusedffn::UpperHalf(value));
  return stored;
}

TEST(ReadmeTest, Block) {
  fusedffn::Random random(1);
  fusedffn::TestBlock block = fusedffn::RandomBlock({1024, 4096, 1024}, &random);
  for (std::vector<float>* array : {&block.w1, &block.b1, &block.w2, &block.b2})
    *array = fusedffn::Rounded(*array);
  const std::vector<uint16_t> w1s = InBF16(block.w1), b1s = InBF16(block.b1);
  const std::vector<uint16_t> w2s = InBF16(block.w2), b2s = InBF16(block.b2);
  const uint16_t *w1 = w1s.data(), *b1 = b1s.data(), *w2 = w2s.data(), *b2 = b2s.data();
  const std::vector<float> xs = fusedffn::RandomTokens(1024, tokens, &random);
  std::vector<float> ys(tokens * 1024);
  const float* const x = xs.data();
  float* const y = ys.data();

  // clang-format off
  fusedffn::Weights weights;                       // tensors as nn.Linear stores them: [out, in], row-major
  weights.shape = {1024, 4096, 1024};              // dim, hidden, out
  weights.fc1 = {w1, b1, fusedffn::DType::kBF16};  // weight, bias, element type
  weights.fc2 = {w2, b2, fusedffn::DType::kBF16};

  fusedffn::PackedFfn ffn;                         // once, at load: in fp32, for the best instruction set here
  fusedffn::Status status = fusedffn::Pack(weights, {}, &ffn);
  if (status.ok()) status = fusedffn::Run(ffn, x, 1024, tokens, y, 1024);  // any time, from any thread
  if (!status.ok()) std::puts(status.message());
  // clang-format on

  EXPECT_TRUE(Right(BoundRows(block.weights(), x, tokens), ys));
}

TEST(ReadmeTest, GatedBlock) {
  fusedffn::Random random(2);
  fusedffn::TestBlock block = fusedffn::RandomBlock({1280, 6848, 1280, true}, &random);
  block.b1.clear(), block.b2.clear(), block.up_b.clear();
  const float *gate = block.w1.data(), *up = block.up_w.data(), *down = block.w2.data();
  const std::vector<float> xs = fusedffn::RandomTokens(1280, tokens, &random);
  std::vector<float> ys(tokens * 1280);
  const float* const x = xs.data();
  float* const y = ys.data();

  // clang-format off
  fusedffn::Weights weights;
  weights.shape = {1280, 6848, 1280, true};        // gated, as in DeepseekV2MLP, Llama, Qwen2
  weights.activation = fusedffn::Activation::kSilu;
  weights.fc1.weight = gate, weights.up.weight = up, weights.fc2.weight = down;

  fusedffn::PackedFfn ffn;
  fusedffn::Status status = fusedffn::Pack(weights, {}, &ffn);
  if (status.ok()) status = fusedffn::Run(ffn, x, 1280, tokens, y, 1280);
  // clang-format on

  EXPECT_TRUE(status.ok()) << status.message();
  EXPECT_TRUE(Right(BoundRows(block.weights(), x, tokens), ys));
}

TEST(ReadmeTest, NormAndResidual) {
  fusedffn::Random random(3);
  const fusedffn::TestBlock block = fusedffn::RandomBlock({1024, 4096, 1024}, &random);
  const fusedffn::PackedFfn ffn = fusedffn::PackFor(fusedffn::SupportedTargets()[0], block.weights());
  const std::vector<float> weight = fusedffn::Rounded(random.SymmetricVector(1024, 2));
  const std::vector<float> bias = fusedffn::Rounded(random.SymmetricVector(1024, 1));
  const std::vector<uint16_t> weights = InBF16(weight), biases = InBF16(bias);
  const uint16_t *norm_weight = weights.data(), *norm_bias = biases.data();
  std::vector<float> hs = fusedffn::RandomTokens(1024, tokens, &random);
  const std::vector<fusedffn::RowBound> want = BoundTransformerRows(
      block.weights(), {fusedffn::NormKind::kLayerNorm, weight.data(), bias.data()}, hs.data(), tokens);
  float* const h = hs.data();

  // clang-format off
  fusedffn::Norm norm = {fusedffn::NormKind::kLayerNorm, norm_weight, norm_bias, fusedffn::DType::kBF16, 1e-5};
  fusedffn::RunOptions options;
  options.norm = &norm;                            // applied while x is copied in
  options.residual.data = h;                       // added in fp32 before y is rounded
  fusedffn::Status status = fusedffn::Run(ffn, h, 1024, tokens, h, 1024, options);
  // clang-format on

  EXPECT_TRUE(status.ok()) << status.message();
  EXPECT_TRUE(Right(want, hs));
}

// Against the same experts one by one.
TEST(ReadmeTest, Experts) {
  constexpr size_t kTop = 6, kExperts = 8;
  fusedffn::Random random(4);
  std::vector<fusedffn::PackedFfn> experts;
  for (size_t e = 0; e < kExperts; ++e) {
    const fusedffn::TestBlock block = fusedffn::RandomBlock({1280, 96, 1280, true}, &random);
    experts.push_back(fusedffn::PackFor(fusedffn::SupportedTargets()[0], block.weights()));
  }
  std::vector<int32_t> id;
  for (size_t i = 0; i < tokens * kTop; ++i) id.push_back(static_cast<int32_t>((i * 5) % kExperts));
  const std::vector<float> gate = random.SymmetricVector(tokens * kTop, 1);
  const std::vector<float> xs = fusedffn::RandomTokens(1280, tokens, &random);
  const std::vector<float> first = fusedffn::RandomTokens(1280, tokens, &random);
  std::vector<float> ys(tokens * 1280);
  const int32_t* const ids = id.data();
  const float *gates = gate.data(), *x = xs.data(), *shared = first.data();
  float* const y = ys.data();

  // clang-format off
  fusedffn::ExpertChoices choices = {ids, gates, 6, {}};  // [tokens, 6] both: y[t] = sum of gates[t][j] *
  choices.start = {shared};                               // experts[ids[t][j]](x[t]) + the shared experts' output
  fusedffn::Status status = fusedffn::RunExperts(experts.data(), experts.size(), choices, x, 1280, tokens, y, 1280);
  // clang-format on

  EXPECT_TRUE(status.ok()) << status.message();
  for (size_t t = 0; t < tokens; ++t) {
    std::vector<double> want(&first[t * 1280], &first[t * 1280] + 1280);
    for (size_t j = 0; j < kTop; ++j) {
      const size_t i = t * kTop + j;
      const std::vector<float> row =
          fusedffn::RunDense(experts[static_cast<size_t>(ids[i])], &xs[t * 1280], 1);
      for (size_t n = 0; n < want.size(); ++n) want[n] += double{gates[i]} * double{row[n]};
    }
    // Seven roundings of numbers below 32.
    for (size_t n = 0; n < want.size(); ++n) ASSERT_NEAR(ys[t * 1280 + n], want[n], 7 * 32 * 0x1p-24);
  }
}

}  // namespace

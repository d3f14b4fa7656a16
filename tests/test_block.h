// A block's weights in memory, random ones, and calls that check their status.
#ifndef FUSEDFFN_TESTS_TEST_BLOCK_H_
#define FUSEDFFN_TESTS_TEST_BLOCK_H_

#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <ostream>
#include <vector>

#include "fusedffn/fusedffn.h"
#include "tests/random.h"

namespace fusedffn {

inline std::ostream& operator<<(std::ostream& out, const Shape& shape) {
  return out << shape.dim << "/" << shape.hidden << "/" << shape.out << (shape.gated ? " gated" : "");
}

inline constexpr Shape kClipL = {1024, 4096, 1024};

struct TestBlock {
  Shape shape;
  std::vector<float> w1, b1, w2, b2;
  Activation activation = Activation::kQuickGelu;
  std::vector<float> up_w = {}, up_b = {};  // if shape.gated

  Weights weights() const {
    Weights view;
    view.shape = shape;
    view.fc1.weight = w1.data();
    view.fc1.bias = b1.empty() ? nullptr : b1.data();
    view.fc2.weight = w2.data();
    view.fc2.bias = b2.empty() ? nullptr : b2.data();
    view.activation = activation;
    if (shape.gated) {
      view.up.weight = up_w.data();
      view.up.bias = up_b.empty() ? nullptr : up_b.data();
    }
    return view;
  }
};

// Zero-mean weights of the size that keeps both layers' outputs near 1 for inputs near 1.
inline TestBlock RandomBlock(const Shape& shape, Random* random) {
  const auto scale = [](size_t fan_in) { return std::sqrt(3.0f / static_cast<float>(fan_in)); };
  TestBlock block;
  block.shape = shape;
  block.w1 = random->SymmetricVector(shape.hidden * shape.dim, scale(shape.dim));
  block.b1 = random->SymmetricVector(shape.hidden, 0.5f);
  block.w2 = random->SymmetricVector(shape.out * shape.hidden, scale(shape.hidden));
  block.b2 = random->SymmetricVector(shape.out, 0.5f);
  if (shape.gated) {
    block.activation = Activation::kSilu;
    block.up_w = random->SymmetricVector(shape.hidden * shape.dim, scale(shape.dim));
    block.up_b = random->SymmetricVector(shape.hidden, 0.5f);
  }
  return block;
}

inline std::vector<float> RandomTokens(const Shape& shape, size_t tokens, Random* random) {
  return random->SymmetricVector(tokens * shape.dim, 2.0f);
}

// y [tokens, out] of x [tokens, dim], both without gaps.
inline std::vector<float> RunDense(const PackedFfn& ffn, const float* x, size_t tokens,
                                   const RunOptions& options = {1}) {
  const Shape shape = ffn.shape();
  std::vector<float> y(tokens * shape.out, NAN);
  const Status status = Run(ffn, x, shape.dim, tokens, y.data(), shape.out, options);
  EXPECT_TRUE(status.ok()) << status.message();
  return y;
}

}  // namespace fusedffn

#endif  // FUSEDFFN_TESTS_TEST_BLOCK_H_

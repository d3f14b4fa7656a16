// A block's or a linear's weights in memory, random ones, and calls that check their status.
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

struct TestLinear {
  size_t in, out;
  std::vector<float> w, b;
  Activation activation = Activation::kQuickGelu;

  Linear weights() const { return {w.data(), b.empty() ? nullptr : b.data()}; }
};

inline TestLinear RandomLinear(size_t in, size_t out, Random* random) {
  const float scale = std::sqrt(3.0f / static_cast<float>(in));
  return {in, out, random->SymmetricVector(out * in, scale), random->SymmetricVector(out, 0.5f)};
}

inline std::vector<float> RandomTokens(size_t dim, size_t tokens, Random* random) {
  return random->SymmetricVector(tokens * dim, 2.0f);
}
inline std::vector<float> RandomTokens(const Shape& shape, size_t tokens, Random* random) {
  return RandomTokens(shape.dim, tokens, random);
}

// Columns of x and of y.
inline size_t InOf(const PackedFfn& ffn) { return ffn.shape().dim; }
inline size_t InOf(const PackedLinear& linear) { return linear.in(); }
inline size_t OutOf(const PackedFfn& ffn) { return ffn.shape().out; }
inline size_t OutOf(const PackedLinear& linear) { return linear.out(); }

// y [tokens, out] of x [tokens, dim], both without gaps.
template <class Packed>
std::vector<float> RunDense(const Packed& packed, const float* x, size_t tokens,
                            const RunOptions& options = {1}) {
  std::vector<float> y(tokens * OutOf(packed), NAN);
  const Status status = Run(packed, x, InOf(packed), tokens, y.data(), OutOf(packed), options);
  EXPECT_TRUE(status.ok()) << status.message();
  return y;
}

}  // namespace fusedffn

#endif  // FUSEDFFN_TESTS_TEST_BLOCK_H_

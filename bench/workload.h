// What every benchmark and every peer computes: the shape, the token counts, the data, the cost and the
// check.
#ifndef FUSEDFFN_BENCH_WORKLOAD_H_
#define FUSEDFFN_BENCH_WORKLOAD_H_

#include <sys/mman.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <new>
#include <random>
#include <string>
#include <vector>

#include "fusedffn/fusedffn.h"
#include "tests/reference.h"

namespace fusedffn::bench {

// A block of DeepSeek-OCR's CLIP-L tower.
inline constexpr Shape kClipL = {1024, 4096, 1024};

// Gated ones, without biases: DeepSeek-OCR's decoder (its dense layer, a routed expert, the shared ones) and
// Qwen2's of 0.5 B.
inline constexpr Shape kGatedShapes[] = {
    {1280, 6848, 1280, true}, {1280, 896, 1280, true}, {1280, 1792, 1280, true}, {896, 4864, 896, true}};

// 273 to 903: what a page comes to. 1: the next word.
inline constexpr size_t kGatedTokenGrid[] = {1, 4, 16, 64, 273, 903};

// DeepSeek-OCR's routed experts: of this shape, so many in a layer, and of them for each token.
inline constexpr Shape kExpert = {1280, 896, 1280, true};
inline constexpr size_t kExperts = 64, kTopExperts = 6;

// 257: an image. 101 to 909: one to nine local tiles. 577: CLIP at 336 pixels. 1028: four images. 4096: SAM.
inline constexpr size_t kTokenGrid[] = {1, 4, 8, 16, 32, 64, 101, 202, 257, 404, 577, 606, 909, 1028, 4096};

// As many layers as the tower has, so that no cache holds their weights: 805 MB in fp32. Of other shapes as
// many as have as many weights.
inline constexpr size_t kColdLayers = 24;

// Elements from a cache line's start. Large buffers ask for huge pages, so that a peer whose buffers are
// given to it pays no more for address translation than a library that asks for them itself.
template <class T>
class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(size_t size) : size_(size) {
    constexpr size_t kHugePage = size_t{2} << 20;
    const size_t bytes = size * sizeof(T);
    const size_t align = bytes >= kHugePage ? kHugePage : 64;
    const size_t rounded = (bytes + align - 1) / align * align;
    data_.reset(static_cast<T*>(std::aligned_alloc(align, rounded)));
    if (size != 0 && data_ == nullptr) throw std::bad_alloc();
    if (align == kHugePage) madvise(data_.get(), rounded, MADV_HUGEPAGE);
  }

  Buffer Copy() const {
    Buffer copy(size_);
    std::copy_n(data(), size_, copy.data());
    return copy;
  }

  T* data() { return data_.get(); }
  const T* data() const { return data_.get(); }
  size_t size() const { return size_; }

 private:
  struct Free {
    void operator()(T* p) const { std::free(p); }
  };
  std::unique_ptr<T[], Free> data_;
  size_t size_ = 0;
};

using Floats = Buffer<float>;

inline Floats RandomFloats(size_t size, float deviation, unsigned seed) {
  Floats values(size);
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal(0.0f, deviation);
  std::generate_n(values.data(), size, [&] { return normal(generator); });
  return values;
}

// One block's weights as nn.Linear stores them: w1 and up [hidden, dim], w2 [out, hidden]. `up` is empty in a
// block that is not gated, and the biases in one that is.
struct Block {
  Shape shape;
  Floats w1, b1, w2, b2;
  Floats up = {};
  Activation activation = Activation::kQuickGelu;
};

inline size_t WeightCount(const Shape& shape) {
  return shape.hidden * ((shape.gated ? 2 : 1) * shape.dim + shape.out);
}

// Scales of a trained block: inputs as a LayerNorm leaves them, and all layers' outputs near 1. Its
// activation is CLIP's, gated SiLU.
inline Block RandomBlock(const Shape& shape, unsigned seed) {
  const auto deviation = [](size_t fan_in) { return 1.0f / std::sqrt(static_cast<float>(fan_in)); };
  const size_t biased = shape.gated ? 0 : 1;
  return {shape,
          RandomFloats(shape.hidden * shape.dim, deviation(shape.dim), seed),
          RandomFloats(shape.hidden * biased, 0.1f, seed + 1),
          RandomFloats(shape.out * shape.hidden, deviation(shape.hidden), seed + 2),
          RandomFloats(shape.out * biased, 0.1f, seed + 3),
          RandomFloats(shape.gated ? shape.hidden * shape.dim : 0, deviation(shape.dim), seed + 4),
          shape.gated ? Activation::kSilu : Activation::kQuickGelu};
}

inline Floats RandomTokens(const Shape& shape, size_t tokens, unsigned seed) {
  return RandomFloats(tokens * shape.dim, 1.0f, seed);
}

inline Weights WeightsOf(const Block& block) {
  Weights weights;
  weights.shape = block.shape;
  weights.fc1 = {block.w1.data(), block.b1.data(), DType::kF32, 0};
  weights.fc2 = {block.w2.data(), block.b2.data(), DType::kF32, 0};
  weights.activation = block.activation;
  if (block.shape.gated) {
    weights.fc1.bias = weights.fc2.bias = nullptr;
    weights.up = {block.up.data(), nullptr, DType::kF32, 0};
  }
  return weights;
}

// Multiplies and adds of all layers; those of the activation and the gate are not counted.
inline double Flops(const Shape& shape, size_t tokens) {
  return 2.0 * static_cast<double>(tokens) * static_cast<double>(WeightCount(shape));
}

// What has to cross the memory bus at least once: weights; and biases, input and output in fp32.
inline double Bytes(const Shape& shape, size_t tokens, size_t weight_bytes = 4) {
  const size_t biases = shape.gated ? 0 : shape.hidden + shape.out;
  return static_cast<double>(weight_bytes * WeightCount(shape) +
                             4 * (biases + tokens * (shape.dim + shape.out)));
}

// All rows if there are few; else the first, the last and some between: a check takes under a second.
inline std::vector<size_t> RowsToCheck(size_t tokens) {
  constexpr size_t kMost = 8;
  const size_t count = std::min(tokens, kMost);
  std::vector<size_t> rows;
  for (size_t i = 0; i < count; ++i) rows.push_back(count == 1 ? 0 : i * (tokens - 1) / (count - 1));
  return rows;
}

// ||y - reference|| / ||reference|| over RowsToCheck(), against the oracle in double precision.
inline double RelativeError(const Block& block, const float* x, size_t tokens, const float* y) {
  double difference = 0, norm = 0;
  for (const size_t row : RowsToCheck(tokens)) {
    const float* x_row = x + row * block.shape.dim;
    const std::vector<double> expected = ReferenceFfn(WeightsOf(block), x_row, block.shape.dim, 1);
    for (size_t n = 0; n < block.shape.out; ++n) {
      const double d = y[row * block.shape.out + n] - expected[n];
      difference += d * d;
      norm += expected[n] * expected[n];
    }
  }
  return std::sqrt(difference / norm);
}

// Rounding to fp32 leaves a relative error of 2.5e-8, in the root of the mean square over a binade, and a sum
// of K products, one after the other, the worst of all orders, sqrt(K / 2) times as much: its partial sums
// grow as sqrt(k / K). That is 1.5e-6 for K = 6848, the largest here, and with fc1 and up before it, of K =
// 1280, at 0.64e-6 each, 1.74e-6. A lost product or a wrong row does not stay below this.
inline constexpr double kMaxRelativeError = 2e-6;

// bf16 rounds by at most 2^-9 of a value, and independent errors add as squares: here those of x, of fc1's
// output, of three steps and the result of the activation, and of y, where all of these are bf16 (PyTorch's
// are), give sqrt(7) * 2^-9. So do those of a gated block: x twice, fc1's and up's output, the activation,
// the product and y. The weights are bf16 to begin with.
inline constexpr double kMaxRelativeErrorBf16 = 3.0 / 512;

// A step of 1/127 or 1/255 of a range leaves an error of step / sqrt(12). The coarsest quantization that is
// in use (PyTorch's) has 7 bits for activations and one scale for a whole weight: x within +-5.5 of its
// deviation gives 0.025, the hidden array within -0.1..5.5 at a root mean square of 0.6 gives 0.021, and each
// layer's weights within +-5.2 of their deviation 0.012. The root of the sum of the squares is 0.037.
inline constexpr double kMaxRelativeErrorInt8 = 0.04;

// The same where the hidden array is a product, silu(g) * u of two normal variables: its tail is longer.
// Among 2 million it reaches about 13, at a root mean square of 0.6, and a step of 26/127 leaves 0.099; with
// x, which counts for g and u, and all weights the root of the sum of the squares is 0.107.
inline constexpr double kMaxRelativeErrorInt8Gated = 0.12;

}  // namespace fusedffn::bench

#endif  // FUSEDFFN_BENCH_WORKLOAD_H_

// The arithmetic that the public header promises, one scalar operation at a time: every output is one chain
// of multiply-adds, bias first, then k in order; and that of kernels/norm-inl.h. Kernels of any tile
// shape, vector and blocking must give its bits.
#ifndef FUSEDFFN_TESTS_CHAIN_H_
#define FUSEDFFN_TESTS_CHAIN_H_

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

#include "fusedffn/fusedffn.h"
#include "kernels/kernels.h"
#include "tests/test_block.h"
#include "tests/widen.h"

namespace fusedffn {

// y[n] of one layer in fp32 for one row x.
inline std::vector<float> ChainLinear(bool fma, const Linear& layer, size_t rows, size_t cols,
                                      const float* x) {
  const size_t stride = layer.stride == 0 ? cols : layer.stride;
  std::vector<float> y(rows);
  for (size_t n = 0; n < rows; ++n) {
    const float* weight = static_cast<const float*>(layer.weight) + n * stride;
    float sum = layer.bias == nullptr ? 0.0f : static_cast<const float*>(layer.bias)[n];
    for (size_t k = 0; k < cols; ++k) sum = fma ? std::fma(x[k], weight[k], sum) : x[k] * weight[k] + sum;
    y[n] = sum;
  }
  return y;
}

// activation(values), by the function of `kernels`.
inline std::vector<float> Activated(const Kernels& kernels, Activation activation,
                                    std::vector<float> values) {
  kernels.ops.activations[static_cast<size_t>(activation)].map(values.data(), values.size(), values.data());
  return values;
}

// Numbers of bf16 that are multiplied by the same weights; their products, times `factor`, go to the same
// sums.
struct AmxChunk {
  std::vector<std::vector<float>> pieces;  // [pieces][columns]
  float factor = 1;
};

// y[n] of one layer in the order that src/numerics.md promises for AMX. of_chunk(first, columns) is some of
// x.
template <class F>
std::vector<float> AmxLinear(const std::vector<float>& weight, const std::vector<float>& bias, size_t k_end,
                             const F& of_chunk) {
  const size_t chunks = DivideUp(k_end, 576), chunk = RoundUp(DivideUp(k_end, chunks), 32);
  std::vector<float> y = bias;
  for (size_t begin = 0; begin < k_end; begin += chunk) {
    const AmxChunk x = of_chunk(begin, std::min(chunk, k_end - begin));
    for (size_t n = 0; n < y.size(); ++n) {
      const float* const w = &weight[n * k_end + begin];
      float total = 0;
      for (size_t k0 = 0; k0 < x.pieces[0].size(); k0 += 32) {
        for (const std::vector<float>& piece : x.pieces) {
          float sums[2] = {};
          for (size_t k = k0; k < std::min(k0 + 32, piece.size()); ++k) {
            sums[k % 2] = std::fma(piece[k], w[k], sums[k % 2]);
          }
          total += sums[0] + sums[1];
        }
      }
      y[n] = std::fma(total, x.factor, y[n]);
    }
  }
  return y;
}

// Of kBF16Dot: rows that are bf16 already.
inline std::vector<float> AmxLinear(const std::vector<float>& weight, const std::vector<float>& bias,
                                    const std::vector<float>& x) {
  return AmxLinear(weight, bias, x.size(), [&x](size_t first, size_t columns) {
    const auto begin = x.begin() + static_cast<ptrdiff_t>(first);
    return AmxChunk{{{begin, begin + static_cast<ptrdiff_t>(columns)}}};
  });
}

// Of kBF16x3: finite rows, cut into three pieces. Those of a chunk that is small are multiplied by a power of
// two first.
inline std::vector<float> AmxX3Linear(const std::vector<float>& weight, const std::vector<float>& bias,
                                      const std::vector<float>& x) {
  return AmxLinear(weight, bias, x.size(), [&x](size_t first, size_t columns) {
    AmxChunk chunk = {std::vector<std::vector<float>>(3)};
    float largest = 0;
    for (size_t k = first; k < first + columns; ++k) largest = std::max(largest, std::fabs(x[k]));
    if (largest != 0 && largest < 0x1p-78f) chunk.factor = std::ldexp(1.0f, 78 + std::ilogb(largest));
    for (size_t k = first; k < first + columns; ++k) {
      float rest = x[k] / chunk.factor;
      for (std::vector<float>& piece : chunk.pieces) {
        piece.push_back(WidenBf16(UpperHalf(rest)));
        rest -= piece.back();
      }
    }
    return chunk;
  });
}

// A random block whose weights are bf16 already.
inline TestBlock RoundedBlock(const Shape& shape, Random* random) {
  TestBlock block = RandomBlock(shape, random);
  block.w1 = Rounded(block.w1);
  block.w2 = Rounded(block.w2);
  block.up_w = Rounded(block.up_w);
  return block;
}

// A whole block of rows x, with the activation of `kernels`, of layers as linear(weight, bias, x) has them.
template <class F>
std::vector<float> AmxFfn(const Kernels& kernels, const TestBlock& block, const std::vector<float>& x,
                          const F& linear) {
  std::vector<float> y;
  for (auto row = x.begin(); row != x.end(); row += static_cast<ptrdiff_t>(block.shape.dim)) {
    const std::vector<float> in(row, row + static_cast<ptrdiff_t>(block.shape.dim));
    std::vector<float> hidden = Activated(kernels, block.activation, linear(block.w1, block.b1, in));
    if (block.shape.gated) {
      const std::vector<float> up = linear(block.up_w, block.up_b, in);
      for (size_t n = 0; n < hidden.size(); ++n) hidden[n] *= up[n];
    }
    const std::vector<float> out = linear(block.w2, block.b2, hidden);
    y.insert(y.end(), out.begin(), out.end());
  }
  return y;
}

// Of kBF16Dot: x and hidden values are rounded; weights are bf16 already.
inline std::vector<float> AmxFfn(const Kernels& kernels, const TestBlock& block,
                                 const std::vector<float>& x) {
  return AmxFfn(kernels, block, x, [](const auto& weight, const auto& bias, const std::vector<float>& in) {
    return AmxLinear(weight, bias, Rounded(in));
  });
}

// Of kBF16x3.
inline std::vector<float> AmxX3Ffn(const Kernels& kernels, const TestBlock& block,
                                   const std::vector<float>& x) {
  return AmxFfn(kernels, block, x, AmxX3Linear);
}

// The whole block, [tokens, out], with the activation of `kernels`.
inline std::vector<float> ChainFfn(const Kernels& kernels, const Weights& weights, const float* x, size_t ldx,
                                   size_t tokens) {
  const Shape& shape = weights.shape;
  std::vector<float> y;
  for (size_t t = 0; t < tokens; ++t) {
    std::vector<float> hidden =
        Activated(kernels, weights.activation,
                  ChainLinear(kernels.fma, weights.fc1, shape.hidden, shape.dim, x + t * ldx));
    if (shape.gated) {
      const std::vector<float> up =
          ChainLinear(kernels.fma, weights.up, shape.hidden, shape.dim, x + t * ldx);
      for (size_t n = 0; n < shape.hidden; ++n) hidden[n] *= up[n];
    }
    const std::vector<float> row =
        ChainLinear(kernels.fma, weights.fc2, shape.out, shape.hidden, hidden.data());
    y.insert(y.end(), row.begin(), row.end());
  }
  return y;
}

// add(sum, x) for all x of a row, in 16 partial sums.
template <class Add>
double ChainSum(const float* x, size_t count, const Add& add) {
  double sums[16] = {};
  for (size_t i = 0; i < count; ++i) sums[i % 16] = add(sums[i % 16], double{x[i]});
  for (const size_t h : {8, 4, 2, 1}) {
    for (size_t j = 0; j < h; ++j) sums[j] += sums[j + h];
  }
  return sums[0];
}

inline constexpr NormKind kNormKinds[] = {NormKind::kLayerNorm, NormKind::kRmsNorm};

inline const char* NameOf(NormKind kind) { return kind == NormKind::kRmsNorm ? "RMSNorm" : "LayerNorm"; }

// One row normalized, in double, and rounded. Weight and bias are in fp32.
inline std::vector<float> ChainNorm(bool fma, const Norm& norm, const float* x, size_t dim) {
  const auto mul_add = [fma](double a, double b, double c) { return fma ? std::fma(a, b, c) : a * b + c; };
  const double n = static_cast<double>(dim);
  double mean = 0;
  if (norm.kind == NormKind::kLayerNorm) {
    mean = ChainSum(x, dim, [](double sum, double value) { return sum + value; }) / n;
  }
  const double squares =
      ChainSum(x, dim, [&](double sum, double value) { return mul_add(value - mean, value - mean, sum); });
  const double inverse = 1 / std::sqrt(squares / n + norm.eps);
  const auto *weight = static_cast<const float*>(norm.weight), *bias = static_cast<const float*>(norm.bias);
  std::vector<float> y(dim);
  for (size_t k = 0; k < dim; ++k) {
    double w = weight == nullptr ? 1 : weight[k], b = bias == nullptr ? 0 : bias[k];
    if (norm.weight_offset != 0) w += norm.weight_offset;
    y[k] = static_cast<float>(mul_add((x[k] - mean) * inverse, w, b));
  }
  return y;
}

}  // namespace fusedffn

#endif  // FUSEDFFN_TESTS_CHAIN_H_

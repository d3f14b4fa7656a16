// Precision::kInt8 one scalar operation at a time, as the public header, kernels/quantize-inl.h and
// kernels/int8_weights.h describe it. The kernels must give these bits.
#ifndef FUSEDFFN_TESTS_INT8_MODEL_H_
#define FUSEDFFN_TESTS_INT8_MODEL_H_

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "fusedffn/fusedffn.h"
#include "kernels/kernels.h"
#include "tests/chain.h"

namespace fusedffn {

struct QuantizedGroup {
  float scale = 0;
  std::vector<int> steps;  // element = scale * step
};

inline float Int8Scale(bool finite, float scale) {
  if (!finite) return NAN;
  return scale < 0x1p-120f ? 0 : scale;
}

inline bool AllFinite(const float* values, size_t count) {
  return std::all_of(values, values + count, [](float value) { return std::isfinite(value); });
}

// Activations: 256 steps from the smallest to the largest value, with 0 among them.
inline QuantizedGroup QuantizeRow(const float* x, size_t count) {
  float lo = 0, hi = 0;
  for (size_t i = 0; i < count; ++i) {
    lo = std::min(lo, x[i]);
    hi = std::max(hi, x[i]);
  }
  QuantizedGroup group = {Int8Scale(AllFinite(x, count), hi / 255 - lo / 255), std::vector<int>(count)};
  if (!(group.scale > 0)) return group;
  const float inverse = 1 / group.scale;
  const int zero = static_cast<int>(std::nearbyint(-lo * inverse));
  for (size_t i = 0; i < count; ++i) {
    group.steps[i] = std::min(static_cast<int>(std::nearbyint(x[i] * inverse)), 255 - zero);
  }
  return group;
}

// Weights: -127 to 127 steps.
inline QuantizedGroup QuantizeWeights(const float* w, size_t count) {
  float largest = 0;
  for (size_t i = 0; i < count; ++i) largest = std::max(largest, std::fabs(w[i]));
  QuantizedGroup group = {Int8Scale(AllFinite(w, count), largest / 127), std::vector<int>(count)};
  if (!(group.scale > 0)) return group;
  for (size_t i = 0; i < count; ++i) {
    group.steps[i] = static_cast<int>(std::nearbyint(w[i] * (1 / group.scale)));
  }
  return group;
}

// One layer in fp32, quantized in groups of `group` when made.
class Int8Layer {
 public:
  Int8Layer(bool fma, const Linear& layer, size_t rows, size_t cols, size_t group)
      : fma_(fma), cols_(cols), group_(group) {
    const auto* bias = static_cast<const float*>(layer.bias);
    bias_.assign(rows, 0.0f);
    if (bias != nullptr) bias_.assign(bias, bias + rows);
    for (size_t n = 0; n < rows; ++n) {
      for (size_t k = 0; k < cols; k += group) {
        weights_.push_back(QuantizeWeights(static_cast<const float*>(layer.weight) + n * cols + k, Count(k)));
      }
    }
  }

  std::vector<float> Apply(const float* x) const {
    std::vector<float> y = bias_;
    for (size_t k = 0; k < cols_; k += group_) {
      const QuantizedGroup row = QuantizeRow(x + k, Count(k));
      for (size_t n = 0; n < y.size(); ++n) {
        const QuantizedGroup& weights = weights_[n * Int8Groups(cols_, group_) + k / group_];
        int64_t sum = 0;
        for (size_t i = 0; i < Count(k); ++i) sum += row.steps[i] * weights.steps[i];
        const float scale = row.scale * weights.scale, value = static_cast<float>(sum);
        y[n] = fma_ ? std::fma(value, scale, y[n]) : value * scale + y[n];
      }
    }
    return y;
  }

 private:
  size_t Count(size_t k) const { return std::min(group_, cols_ - k); }

  bool fma_;
  size_t cols_, group_;
  std::vector<float> bias_;
  std::vector<QuantizedGroup> weights_;  // [rows][groups]
};

// The whole block, [tokens, out], with the activation of `kernels`.
inline std::vector<float> Int8Ffn(const Kernels& kernels, const Weights& weights, size_t group,
                                  const float* x, size_t tokens) {
  const Shape& shape = weights.shape;
  const Int8Layer fc1(kernels.fma, weights.fc1, shape.hidden, shape.dim, group);
  const Int8Layer up(kernels.fma, weights.up, shape.gated ? shape.hidden : 0, shape.dim, group);
  const Int8Layer fc2(kernels.fma, weights.fc2, shape.out, shape.hidden, group);
  std::vector<float> y;
  for (size_t t = 0; t < tokens; ++t) {
    std::vector<float> hidden = Activated(kernels, weights.activation, fc1.Apply(x + t * shape.dim));
    if (shape.gated) {
      const std::vector<float> factors = up.Apply(x + t * shape.dim);
      for (size_t n = 0; n < shape.hidden; ++n) hidden[n] *= factors[n];
    }
    const std::vector<float> row = fc2.Apply(hidden.data());
    y.insert(y.end(), row.begin(), row.end());
  }
  return y;
}

}  // namespace fusedffn

#endif  // FUSEDFFN_TESTS_INT8_MODEL_H_

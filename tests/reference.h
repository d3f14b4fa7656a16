// The oracle: the block in double precision, in the plainest loops there are. Tests and benchmarks compare
// with it; its own error is about 2^-29 of theirs.
#ifndef FUSEDFFN_TESTS_REFERENCE_H_
#define FUSEDFFN_TESTS_REFERENCE_H_

#include <cmath>
#include <cstddef>
#include <limits>
#include <vector>

#include "fusedffn/fusedffn.h"

namespace fusedffn {

// Those that are nearly 0 for negative numbers and nearly x for others, and tend to -0 at -inf.
inline bool IsSmooth(Activation activation) {
  return activation == Activation::kQuickGelu || activation == Activation::kGelu ||
         activation == Activation::kGeluTanh || activation == Activation::kSilu;
}

// f(x) for a float x, to 2^-44 or better, and f'(x). Every f is written so that nothing cancels: exp and erfc
// of large numbers are tiny, or infinite, but never 1 minus something.
struct ValueAndSlope {
  double value, slope;
};

// x * sigmoid(z), where z has the derivative dz.
inline ValueAndSlope TimesSigmoid(double x, double z, double dz) {
  const double e = std::exp(-z), sigmoid = 1 / (1 + e);
  return {x / (1 + e), sigmoid + x * sigmoid * (1 / (1 + 1 / e)) * dz};
}

inline ValueAndSlope ReferenceActivationAndSlope(Activation activation, double x) {
  constexpr double kSqrtHalf = 0.70710678118654752, kSqrt2OverPi = 0.79788456080286536;
  const bool negative = x < 0;  // so not for NaN
  switch (activation) {
    case Activation::kQuickGelu:
      return TimesSigmoid(x, 1.702 * x, 1.702);
    case Activation::kGelu: {
      const double half_erfc = 0.5 * std::erfc(-x * kSqrtHalf);
      return {x * half_erfc, half_erfc + x * 0.5 * kSqrt2OverPi * std::exp(-0.5 * x * x)};
    }
    case Activation::kGeluTanh:  // (1 + tanh(u)) / 2 = sigmoid(2 u)
      return TimesSigmoid(x, 2 * kSqrt2OverPi * (x + 0.044715 * x * x * x),
                          2 * kSqrt2OverPi * (1 + 3 * 0.044715 * x * x));
    case Activation::kSilu:
      return TimesSigmoid(x, x, 1);
    case Activation::kRelu:
      return {negative ? 0 : x, negative ? 0.0 : 1.0};
    case Activation::kRelu2:
      return {negative ? 0 : x * x, negative ? 0 : 2 * x};
    case Activation::kHardSwish:
      if (x <= -3) return {-0.0, 0};
      if (x < 3) return {x * (x + 3) / 6, (2 * x + 3) / 6};
      break;
    case Activation::kIdentity:
      break;
  }
  return {x, 1};
}

inline double ReferenceActivation(Activation activation, double x) {
  // The formulas would give -inf * 0 at -inf.
  const bool at_limit = x == -std::numeric_limits<double>::infinity() && IsSmooth(activation);
  return at_limit ? -0.0 : ReferenceActivationAndSlope(activation, x).value;
}

// y[n] = bias[n] + sum over k of weight[n][k] x[k], of a layer in fp32. (Widen bf16 and fp16 first: exact.)
template <class T>
std::vector<double> ReferenceLinear(const Linear& layer, size_t rows, size_t cols, const T* x) {
  const size_t stride = layer.stride == 0 ? cols : layer.stride;
  std::vector<double> y(rows);
  for (size_t n = 0; n < rows; ++n) {
    const float* weight = static_cast<const float*>(layer.weight) + n * stride;
    if (layer.bias != nullptr) y[n] = static_cast<const float*>(layer.bias)[n];
    for (size_t k = 0; k < cols; ++k) y[n] += static_cast<double>(weight[k]) * static_cast<double>(x[k]);
  }
  return y;
}

// (x - mean) / sqrt(variance + eps) * (weight + weight_offset) + bias, of one row, with weight and bias in
// fp32. RMSNorm is the same with a mean of 0.
inline std::vector<double> ReferenceNorm(const Norm& norm, const float* x, size_t dim) {
  const double n = static_cast<double>(dim);
  const auto *weight = static_cast<const float*>(norm.weight), *bias = static_cast<const float*>(norm.bias);
  double mean = 0, variance = 0;
  if (norm.kind == NormKind::kLayerNorm) {
    for (size_t k = 0; k < dim; ++k) mean += x[k] / n;
  }
  for (size_t k = 0; k < dim; ++k) variance += (x[k] - mean) * (x[k] - mean) / n;
  std::vector<double> y(dim);
  for (size_t k = 0; k < dim; ++k) {
    y[k] = (x[k] - mean) / std::sqrt(variance + norm.eps);
    if (weight != nullptr) y[k] *= double{weight[k]} + norm.weight_offset;
    if (bias != nullptr) y[k] += double{bias[k]};
  }
  return y;
}

// y[t] = fc2(activation(fc1(x[t]))), gated fc2(activation(fc1(x[t])) * up(x[t])), for t in [0, tokens), as
// [tokens, out].
template <class T>
std::vector<double> ReferenceFfn(const Weights& weights, const T* x, size_t ldx, size_t tokens) {
  const Shape& shape = weights.shape;
  std::vector<double> y;
  for (size_t t = 0; t < tokens; ++t) {
    std::vector<double> hidden = ReferenceLinear(weights.fc1, shape.hidden, shape.dim, x + t * ldx);
    for (double& h : hidden) h = ReferenceActivation(weights.activation, h);
    if (shape.gated) {
      const std::vector<double> up = ReferenceLinear(weights.up, shape.hidden, shape.dim, x + t * ldx);
      for (size_t n = 0; n < shape.hidden; ++n) hidden[n] *= up[n];
    }
    const std::vector<double> row = ReferenceLinear(weights.fc2, shape.out, shape.hidden, hidden.data());
    y.insert(y.end(), row.begin(), row.end());
  }
  return y;
}

}  // namespace fusedffn

#endif  // FUSEDFFN_TESTS_REFERENCE_H_

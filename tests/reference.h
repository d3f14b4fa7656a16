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

// x * sigmoid(1.702 x). The formula would give -inf * 0 at -inf, where the limit is -0.
inline double ReferenceQuickGelu(double x) {
  return x == -std::numeric_limits<double>::infinity() ? -0.0 : x / (1.0 + std::exp(-1.702 * x));
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

// y[t] = fc2(quick_gelu(fc1(x[t]))) for t in [0, tokens), as [tokens, out].
inline std::vector<double> ReferenceFfn(const Weights& weights, const float* x, size_t ldx, size_t tokens) {
  const Shape& shape = weights.shape;
  std::vector<double> y;
  for (size_t t = 0; t < tokens; ++t) {
    std::vector<double> hidden = ReferenceLinear(weights.fc1, shape.hidden, shape.dim, x + t * ldx);
    for (double& h : hidden) h = ReferenceQuickGelu(h);
    const std::vector<double> row = ReferenceLinear(weights.fc2, shape.out, shape.hidden, hidden.data());
    y.insert(y.end(), row.begin(), row.end());
  }
  return y;
}

}  // namespace fusedffn

#endif  // FUSEDFFN_TESTS_REFERENCE_H_

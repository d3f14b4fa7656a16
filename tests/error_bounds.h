// How far fp32 may be from the oracle, derived from the data. u = 2^-24 is the error of one rounding; the
// sum of n products and a bias, in any order, is off by at most gamma(n + 1) times the sum of magnitudes.
#ifndef FUSEDFFN_TESTS_ERROR_BOUNDS_H_
#define FUSEDFFN_TESTS_ERROR_BOUNDS_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <string>
#include <vector>

#include "fusedffn/fusedffn.h"
#include "tests/reference.h"

namespace fusedffn {

inline constexpr double kUnit = 0x1p-24;
inline constexpr double kMaxRandomRatio = 4;       // G2
inline constexpr double kMaxRelativeError = 2e-6;  // G3

// Relative: 4 ULP, or half of one, or none.
inline double ActivationError(Activation activation) {
  if (IsSmooth(activation) || activation == Activation::kHardSwish) return 8 * kUnit;
  return activation == Activation::kRelu2 ? kUnit : 0;
}

// The largest |f'(h)| for h up to `highest`: 1.09984 of quick_gelu and silu, 1.12900 of both gelu, 1.5 of
// hardswish.
inline double MaxSlope(Activation activation, double highest) {
  if (activation == Activation::kHardSwish) return 1.5;
  if (IsSmooth(activation)) return 1.13;
  return activation == Activation::kRelu2 ? 2 * std::max(highest, 0.0) : 1;
}

inline double Gamma(size_t n) {
  const double nu = static_cast<double>(n) * kUnit;
  return nu / (1 - nu);
}

// One output of a layer: the sum, and the sums of its terms' magnitudes and squares.
struct Sums {
  double value = 0, magnitude = 0, square = 0;

  void Add(double term) {
    value += term;
    magnitude += std::fabs(term);
    square += term * term;
  }
};

template <class T>
std::vector<Sums> LayerSums(const Linear& layer, size_t rows, size_t cols, const T* x) {
  std::vector<Sums> sums(rows);
  for (size_t n = 0; n < rows; ++n) {
    const float* weight = static_cast<const float*>(layer.weight) + n * cols;
    if (layer.bias != nullptr) sums[n].Add(static_cast<const float*>(layer.bias)[n]);
    for (size_t k = 0; k < cols; ++k) sums[n].Add(static_cast<double>(weight[k]) * static_cast<double>(x[k]));
  }
  return sums;
}

// Bound on one layer for any data, with room for products that underflow.
inline double AnyDataBound(const Sums& sums, size_t k) {
  return Gamma(k + 1) * sums.magnitude + static_cast<double>(k + 1) * 0x1p-149;
}

struct ValueAndError {
  double value, error;
};

// A normalized row of double arithmetic, h = 2^-53 the error of one rounding in it, rounded to fp32 at the
// end. Two ways of adding n numbers up differ by 2 n h of their magnitudes, so two means by `shift`. A
// difference of x and its mean is off by that, the variance by its square and by 2 (n + 4) h of itself, the
// root by half. RMSNorm has no mean, so no shift, and its mean square for a variance. Two sums of a weight
// and its offset differ by 2 h.
inline std::vector<ValueAndError> NormBound(const Norm& norm, const float* x, size_t dim) {
  constexpr double h = 0x1p-53;
  const double n = static_cast<double>(dim);
  double mean = 0, magnitude = 0, variance = norm.eps;
  if (norm.kind == NormKind::kLayerNorm) {
    for (size_t k = 0; k < dim; ++k) mean += x[k] / n, magnitude += std::fabs(x[k]) / n;
  }
  for (size_t k = 0; k < dim; ++k) variance += (x[k] - mean) * (x[k] - mean) / n;
  const double shift = 2 * (n + 2) * h * magnitude;
  const double relative = 2 * (n + 9) * h + 3 * shift * shift / variance;
  const std::vector<double> value = ReferenceNorm(norm, x, dim);
  const auto *weights = static_cast<const float*>(norm.weight),
             *biases = static_cast<const float*>(norm.bias);
  std::vector<ValueAndError> row;
  for (size_t k = 0; k < dim; ++k) {
    const double weight = weights == nullptr ? 1 : std::fabs(double{weights[k]} + norm.weight_offset);
    const double bias = biases == nullptr ? 0 : std::fabs(double{biases[k]});
    const double error =
        weight * (shift + std::fabs(x[k] - mean) * relative) / std::sqrt(variance) + 2 * h * bias;
    row.push_back({value[k], error + kUnit * (std::fabs(value[k]) + error) + 0x1p-149});
  }
  return row;
}

// activation(fc1(x)) from the sums of one output of fc1, of k terms.
inline ValueAndError ActivatedBound(Activation activation, const Sums& sums, size_t k) {
  const double want = ReferenceActivation(activation, sums.value);
  const double h_bound = AnyDataBound(sums, k);
  // The activation's error is relative to what it was given.
  const double a_bound = MaxSlope(activation, sums.value + h_bound) * h_bound;
  return {want, a_bound + ActivationError(activation) * (std::fabs(want) + a_bound) + 4 * 0x1p-149};
}

// What is left of two factors and of one rounding.
inline ValueAndError ProductBound(const ValueAndError& a, const ValueAndError& b) {
  const double value = a.value * b.value;
  const double error = std::fabs(a.value) * b.error + std::fabs(b.value) * a.error + a.error * b.error;
  return {value, error + kUnit * (std::fabs(value) + error) + 0x1p-149};
}

// a[hidden] = activation(fc1(x)), or that * up(x), as the library computed it.
inline testing::AssertionResult HiddenWithinBound(const Weights& weights, const float* x, const float* a) {
  const Shape& shape = weights.shape;
  const std::vector<Sums> sums = LayerSums(weights.fc1, shape.hidden, shape.dim, x);
  const std::vector<Sums> up = LayerSums(weights.up, shape.gated ? shape.hidden : 0, shape.dim, x);
  for (size_t n = 0; n < shape.hidden; ++n) {
    ValueAndError want = ActivatedBound(weights.activation, sums[n], shape.dim);
    if (shape.gated) want = ProductBound(want, {up[n].value, AnyDataBound(up[n], shape.dim)});
    const double error = std::fabs(a[n] - want.value);
    if (error <= want.error) continue;
    return testing::AssertionFailure()
           << "hidden " << n << " of shape " << shape.dim << "/" << shape.hidden << " is " << a[n]
           << ", should be " << want.value << ": error " << error << ", bound " << want.error;
  }
  return testing::AssertionSuccess();
}

// y[out] = fc2(a), of the library's own a.
inline testing::AssertionResult Fc2WithinBound(const Weights& weights, const float* a, const float* y) {
  const Shape& shape = weights.shape;
  const std::vector<Sums> sums = LayerSums(weights.fc2, shape.out, shape.hidden, a);
  for (size_t n = 0; n < shape.out; ++n) {
    const double error = std::fabs(y[n] - sums[n].value), bound = AnyDataBound(sums[n], shape.hidden);
    if (error <= bound) continue;
    return testing::AssertionFailure()
           << "output " << n << " of shape " << shape.hidden << "/" << shape.out << " is " << y[n]
           << ", should be " << sums[n].value << ": error " << error << ", bound " << bound;
  }
  return testing::AssertionSuccess();
}

// One row of y: what it should be, and for each element u times the root of the sum of squares of the
// rounding errors if every one of them is u and their signs are random.
struct RowBound {
  std::vector<double> value, deviation;
};

// Each x has been rounded `x_roundings` times before.
template <class T>
RowBound BoundRow(const Weights& weights, const T* x, size_t x_roundings = 0) {
  const Shape& shape = weights.shape;
  const double terms = static_cast<double>(shape.dim + 1 + x_roundings);
  std::vector<double> a, variance;  // of the hidden values
  for (const Sums& h : LayerSums(weights.fc1, shape.hidden, shape.dim, x)) {
    const auto [value, slope] = ReferenceActivationAndSlope(weights.activation, h.value);
    const double error = ActivationError(weights.activation) / kUnit * value;
    a.push_back(value);
    variance.push_back(slope * slope * terms * h.square + error * error);
  }
  const std::vector<Sums> up = LayerSums(weights.up, shape.gated ? shape.hidden : 0, shape.dim, x);
  for (size_t n = 0; n < up.size(); ++n) {
    const double factor = up[n].value, product = a[n] * factor;
    variance[n] = factor * factor * variance[n] + a[n] * a[n] * terms * up[n].square + product * product;
    a[n] = product;
  }
  RowBound row;
  const std::vector<Sums> sums = LayerSums(weights.fc2, shape.out, shape.hidden, a.data());
  for (size_t n = 0; n < shape.out; ++n) {
    const float* weight = static_cast<const float*>(weights.fc2.weight) + n * shape.hidden;
    double sum = static_cast<double>(shape.hidden + 1) * sums[n].square;
    for (size_t k = 0; k < shape.hidden; ++k) sum += double{weight[k]} * double{weight[k]} * variance[k];
    row.value.push_back(sums[n].value);
    row.deviation.push_back(kUnit * std::sqrt(sum));
  }
  return row;
}

inline std::vector<RowBound> BoundRows(const Weights& weights, const float* x, size_t tokens) {
  std::vector<RowBound> rows;
  for (size_t t = 0; t < tokens; ++t) rows.push_back(BoundRow(weights, x + t * weights.shape.dim));
  return rows;
}

// h + mlp(norm(h)): x is rounded once when it is normalized, and y once more when h is added to it.
inline std::vector<RowBound> BoundTransformerRows(const Weights& weights, const Norm& norm, const float* h,
                                                  size_t tokens) {
  std::vector<RowBound> rows;
  for (size_t t = 0; t < tokens; ++t, h += weights.shape.dim) {
    RowBound row = BoundRow(weights, ReferenceNorm(norm, h, weights.shape.dim).data(), 1);
    for (size_t n = 0; n < weights.shape.out; ++n) {
      row.value[n] += double{h[n]};
      row.deviation[n] = std::hypot(row.deviation[n], kUnit * row.value[n]);
    }
    rows.push_back(row);
  }
  return rows;
}

// The two gates for random data.
struct ErrorGates {
  double ratio = 0;     // largest error of an element, in deviations
  double relative = 0;  // norm of all errors to the norm of y
  size_t row = 0, column = 0;
  double got = 0, want = 0;

  testing::AssertionResult Pass() const {
    if (ratio <= kMaxRandomRatio && relative <= kMaxRelativeError) return testing::AssertionSuccess();
    return testing::AssertionFailure()
           << "error of " << ratio << " deviations (at most " << kMaxRandomRatio << ") at row " << row
           << ", column " << column << ": " << got << " instead of " << want << "; relative error of all "
           << relative << " (at most " << kMaxRelativeError << ")";
  }

  void Merge(const ErrorGates& other) {
    ratio = std::max(ratio, other.ratio);
    relative = std::max(relative, other.relative);
  }

  void Report(const std::string& target) const {
    std::printf("%s: largest error %.2f deviations; relative %.2e\n", target.c_str(), ratio, relative);
    testing::Test::RecordProperty("largest_deviations", std::to_string(ratio));
    testing::Test::RecordProperty("relative_error", std::to_string(relative * 1e6) + "e-6");
  }
};

// y is [tokens, out] without gaps, for the first `tokens` of the rows.
inline ErrorGates MeasureErrors(const std::vector<RowBound>& rows, const float* y, size_t tokens) {
  ErrorGates gates;
  double error_norm = 0, norm = 0;
  for (size_t t = 0; t < tokens; ++t) {
    for (size_t n = 0; n < rows[t].value.size(); ++n, ++y) {
      const double want = rows[t].value[n], error = std::fabs(*y - want);
      error_norm += error * error;
      norm += want * want;
      const double ratio = error / rows[t].deviation[n];
      if (ratio <= gates.ratio) continue;  // NaN passes here, and is found by the second gate
      gates = {ratio, 0, t, n, *y, want};
    }
  }
  gates.relative = std::sqrt(error_norm / norm);
  return gates;
}

}  // namespace fusedffn

#endif  // FUSEDFFN_TESTS_ERROR_BOUNDS_H_

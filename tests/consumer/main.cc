// A stranger's program: only the public headers, and its own plain loops to check the result with.
#include <cmath>
#include <cstdio>
#include <vector>

#include "fusedffn/fusedffn.h"
#include "fusedffn/tbb_executor.h"

// [n, k] values from -1 to 1 that do not repeat.
std::vector<float> Matrix(size_t n, size_t k, unsigned seed) {
  std::vector<float> values(n * k);
  for (float& v : values) v = static_cast<float>((seed = seed * 1664525u + 1013904223u) >> 8) / 8388608.f - 1;
  return values;
}

double Dot(const float* w, const double* x, size_t k) {
  double sum = 0;
  for (size_t i = 0; i < k; ++i) sum += w[i] * x[i];
  return sum;
}

int main() {
  const size_t tokens = 5, dim = 33, hidden = 130, out = 17;
  const std::vector<float> x = Matrix(tokens, dim, 1), w1 = Matrix(hidden, dim, 2), b1 = Matrix(1, hidden, 3);
  const std::vector<float> w2 = Matrix(out, hidden, 4), b2 = Matrix(1, out, 5);
  std::vector<float> y(tokens * out);

  fusedffn::Weights weights;
  weights.shape = {dim, hidden, out};
  weights.fc1.weight = w1.data(), weights.fc1.bias = b1.data();
  weights.fc2.weight = w2.data(), weights.fc2.bias = b2.data();
  fusedffn::PackedFfn ffn;
  fusedffn::Status status = fusedffn::Pack(weights, {}, &ffn);
  fusedffn::RunOptions options;
  options.executor = fusedffn::CallersArena();
  if (status.ok()) status = fusedffn::Run(ffn, x.data(), dim, tokens, y.data(), out, options);
  if (!status.ok()) return std::fprintf(stderr, "%s\n", status.message()), 1;

  double error = 0, norm = 0;
  for (size_t t = 0; t < tokens; ++t) {
    std::vector<double> h(hidden), row(&x[t * dim], &x[t * dim] + dim);
    for (size_t j = 0; j < hidden; ++j) {
      const double v = b1[j] + Dot(&w1[j * dim], row.data(), dim);
      h[j] = v / (1 + std::exp(-1.702 * v));
    }
    for (size_t o = 0; o < out; ++o) {
      const double expected = b2[o] + Dot(&w2[o * hidden], h.data(), hidden);
      error += std::pow(y[t * out + o] - expected, 2);
      norm += expected * expected;
    }
  }
  const double relative = std::sqrt(error / norm);
  std::printf("%s: relative L2 error %.2g\n", ffn.target(), relative);
  return relative <= 2e-6 ? 0 : 1;  // a NaN fails too
}

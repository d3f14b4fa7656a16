// Any block of up to 40 -> 80 -> 40 on any values: the same bits on every target with FMA, any threads and
// any batch; and, of ordinary values, near the oracle in every precision.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

#include "fusedffn/fusedffn.h"
#include "kernels/kernels.h"
#include "tests/fuzz/fuzz_input.h"
#include "tests/reference.h"

namespace fusedffn {
namespace {

constexpr float kSpecial[] = {0.0f,
                              -0.0f,
                              1e-45f,
                              -1e-40f,
                              1.17549435e-38f,
                              3e38f,
                              -3e38f,
                              1e20f,
                              1e-20f,
                              std::numeric_limits<float>::infinity(),
                              -std::numeric_limits<float>::infinity(),
                              std::numeric_limits<float>::quiet_NaN()};

struct Case {
  Shape shape;
  Activation activation;
  size_t tokens, ldx, ldy;
  bool special, norm, residual, in_place;
  std::vector<float> w1, b1, w2, b2, up, x;

  explicit Case(FuzzInput* in) {
    shape = {1 + in->UpTo(39), 1 + in->UpTo(79), 1 + in->UpTo(39), in->Flag()};
    in_place = in->Flag();
    if (in_place) shape.out = shape.dim;
    activation = static_cast<Activation>(in->UpTo(kActivationCount - 1));
    tokens = 1 + in->UpTo(19);
    ldx = shape.dim + in->UpTo(3);
    ldy = in_place ? ldx : shape.out + in->UpTo(3);
    special = in->Flag(), norm = in->Flag(), residual = in->Flag() && shape.out == shape.dim;
    for (auto [values, count] : {std::pair{&w1, shape.hidden * shape.dim},
                                 {&b1, shape.hidden},
                                 {&w2, shape.out * shape.hidden},
                                 {&b2, shape.out},
                                 {&up, shape.gated ? shape.hidden * shape.dim : 0},
                                 {&x, tokens * ldx}}) {
      Fill(in, count, values);
    }
  }

  void Fill(FuzzInput* in, size_t count, std::vector<float>* values) const {
    uint32_t seed = 1 + static_cast<uint32_t>(in->UpTo(65535));
    values->resize(count);
    for (float& value : *values) {
      seed = seed * 1664525u + 1013904223u;
      value = static_cast<float>(static_cast<int32_t>(seed)) * 0x1p-31f;
    }
    for (size_t i = special ? in->UpTo(4) : 0; i > 0 && count > 0; --i) {
      (*values)[in->UpTo(count - 1)] = kSpecial[in->UpTo(std::size(kSpecial) - 1)];
    }
  }

  Weights weights() const {
    Weights weights;
    weights.shape = shape;
    weights.activation = activation;
    weights.fc1 = {w1.data(), b1.data()};
    weights.fc2 = {w2.data(), b2.data()};
    if (shape.gated) weights.up = {up.data(), nullptr};
    return weights;
  }
};

void Must(const Status& status) {
  if (!status.ok()) Found(status.message());
}

// Rows [first, first + count), as [tokens, out] without gaps.
std::vector<float> RunRows(const Case& c, const PackedFfn& ffn, size_t first, size_t count, int threads) {
  const float poison = -12345;
  std::vector<float> x(c.x.begin() + static_cast<ptrdiff_t>(first * c.ldx),
                       c.x.begin() + static_cast<ptrdiff_t>((first + count) * c.ldx));
  std::vector<float> apart(count * c.ldy, poison);
  std::vector<float>& y = c.in_place ? x : apart;
  const std::vector<float> before = y;
  RunOptions options = {threads};
  const Norm norm;
  if (c.norm) options.norm = &norm;
  if (c.residual) options.residual = {x.data(), DType::kF32, c.ldx};
  Must(Run(ffn, x.data(), c.ldx, count, y.data(), c.ldy, options));
  std::vector<float> rows;
  for (size_t t = 0; t < count; ++t) {
    const auto row = y.begin() + static_cast<ptrdiff_t>(t * c.ldy);
    rows.insert(rows.end(), row, row + static_cast<ptrdiff_t>(c.shape.out));
    if (std::memcmp(&y[t * c.ldy + c.shape.out], &before[t * c.ldy + c.shape.out],
                    (c.ldy - c.shape.out) * sizeof(float)) != 0) {
      Found("something was written between the rows");
    }
  }
  return rows;
}

// NaNs are equal, whichever they are.
bool SameBits(const std::vector<float>& a, const std::vector<float>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](float one, float other) {
    return std::memcmp(&one, &other, sizeof(one)) == 0 || (std::isnan(one) && std::isnan(other));
  });
}

// Of ordinary values without a norm or a residual: sums of up to 80 products of at most 1, whose errors are
// far below this part of the largest that they could be.
void CompareWithOracle(const Case& c, const std::vector<float>& y, double part) {
  const auto& [dim, hidden, out, gated] = c.shape;
  const double most = static_cast<double>(dim) + 1;
  const double largest = static_cast<double>(hidden) *
                             (c.activation == Activation::kRelu2 ? most * most : most) * (gated ? most : 1) +
                         1;
  const std::vector<double> want = ReferenceFfn(c.weights(), c.x.data(), c.ldx, c.tokens);
  for (size_t i = 0; i < y.size(); ++i) {
    if (!(std::fabs(y[i] - want[i]) <= part * largest)) Found("far from the oracle");
  }
}

void Compare(const Case& c, Precision precision) {
  std::vector<float> first;
  for (size_t i = 0; i < AllKernels().count; ++i) {
    const Kernels& kernels = AllKernels().kernels[i];
    if (!kernels.supported()) continue;
    PackOptions options;
    options.target = kernels.name;
    options.precision = precision;
    PackedFfn ffn;
    const Status status = Pack(c.weights(), options, &ffn);
    if (kernels.Gemm(precision) == nullptr) continue;
    Must(status);
    const std::vector<float> y = RunRows(c, ffn, 0, c.tokens, 1);
    if (!SameBits(y, RunRows(c, ffn, 0, c.tokens, 3))) Found("threads change bits");
    const size_t row = c.tokens / 2;
    const std::vector<float> alone = RunRows(c, ffn, row, 1, 1);
    const auto at = y.begin() + static_cast<ptrdiff_t>(row * c.shape.out);
    if (!SameBits(alone, {at, at + static_cast<ptrdiff_t>(c.shape.out)})) Found("the batch changes bits");
    if (!c.special && !c.norm && !c.residual) {
      const double part = precision == Precision::kF32 ? 1e-6 : precision == Precision::kInt8 ? 0.1 : 0.03;
      CompareWithOracle(c, y, part);
    }
    if (precision == Precision::kBF16Dot || !kernels.fma) continue;
    if (first.empty()) first = y;
    if (!SameBits(y, first)) Found("targets differ");
  }
}

}  // namespace
}  // namespace fusedffn

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace fusedffn;
  FuzzInput in(data, size);
  const auto precision = static_cast<Precision>(in.UpTo(kPrecisionCount - 1));
  Compare(Case(&in), precision);
  return 0;
}

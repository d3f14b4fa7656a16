#include "bench/peers/activation_pass.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace fusedffn {
namespace {

// 2^t for t in [-126, 126] with about 1 ULP: 2^round(t) by exponent bits, the rest by its Taylor series.
inline float Exp2(float t) {
  constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: adding it leaves the nearest integer in the low bits
  const float shifted = t + kRound;
  const float r = t - (shifted - kRound);
  float p = 1.5403530e-4f;
  p = p * r + 1.3333558e-3f;
  p = p * r + 9.6181291e-3f;
  p = p * r + 5.5504109e-2f;
  p = p * r + 2.4022651e-1f;
  p = p * r + 6.9314718e-1f;
  p = p * r + 1.0f;
  int32_t bits;
  std::memcpy(&bits, &shifted, sizeof(bits));
  bits = (bits + 127) << 23;
  float scale;
  std::memcpy(&scale, &bits, sizeof(scale));
  return p * scale;
}

[[gnu::target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")]] void AddBiasQuickGeluSpan(
    float* h, const float* bias, size_t count) {
#pragma omp simd
  for (size_t i = 0; i < count; ++i) {
    const float v = h[i] + bias[i];
    const float t = std::min(std::max(v * -2.4554669f, -126.0f), 126.0f);  // -1.702 log2(e)
    h[i] = v / (1.0f + Exp2(t));
  }
}

}  // namespace

void AddBiasQuickGelu(float* h, size_t tokens, size_t hidden, const float* bias, int threads) {
  constexpr size_t kSpan = 1024;  // so that one token's row is shared out as well
  const size_t spans = (hidden + kSpan - 1) / kSpan;
#pragma omp parallel for num_threads(threads) schedule(static)
  for (size_t i = 0; i < tokens * spans; ++i) {
    const size_t row = i / spans, column = i % spans * kSpan;
    AddBiasQuickGeluSpan(h + row * hidden + column, bias + column, std::min(kSpan, hidden - column));
  }
}

void FillWithBias(float* y, size_t tokens, size_t out, const float* bias, int threads) {
#pragma omp parallel for num_threads(threads) schedule(static) if (tokens > 16)
  for (size_t t = 0; t < tokens; ++t) std::copy_n(bias, out, y + t * out);
}

}  // namespace fusedffn

#include "bench/peers/activation_pass.h"

#include <algorithm>
#include <cstring>

#include "kernels/dtype_traits.h"

// These functions once for each of these levels of x86-64; the loader picks.
#define FUSEDFFN_CLONES [[gnu::target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")]]

namespace fusedffn::bench {
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

inline float QuickGelu(float v) {
  const float t = std::min(std::max(v * -2.4554669f, -126.0f), 126.0f);  // -1.702 log2(e)
  return v / (1.0f + Exp2(t));
}

FUSEDFFN_CLONES void SpanToF32(const float* sums, const float* bias, size_t count, float* hidden) {
#pragma omp simd
  for (size_t i = 0; i < count; ++i) hidden[i] = QuickGelu(sums[i] + bias[i]);
}

// With RoundToBF16(), which asks for NaNs, this takes twice as long.
FUSEDFFN_CLONES void SpanToBf16(const float* sums, const float* bias, size_t count, uint16_t* hidden) {
#pragma omp simd
  for (size_t i = 0; i < count; ++i) hidden[i] = RoundNumberToBF16(QuickGelu(sums[i] + bias[i]));
}

FUSEDFFN_CLONES void SpanToU8(const int32_t* sums, const float* scale, const float* offset, size_t count,
                              float inverse, float zero, uint8_t* hidden) {
#pragma omp simd
  for (size_t i = 0; i < count; ++i) {
    const float v = QuickGelu(scale[i] * static_cast<float>(sums[i]) + offset[i]);
    const float stored = std::min(std::max(v * inverse + zero + 0.5f, 0.0f), 255.0f);
    hidden[i] = static_cast<uint8_t>(static_cast<int32_t>(stored));
  }
}

FUSEDFFN_CLONES void DequantizeSpan(const int32_t* sums, const float* scale, const float* offset,
                                    size_t count, float* y) {
#pragma omp simd
  for (size_t i = 0; i < count; ++i) y[i] = scale[i] * static_cast<float>(sums[i]) + offset[i];
}

// span(first element, first column, count), for all spans of an array.
template <class Span>
void ForSpans(size_t tokens, size_t columns, int threads, const Span& span) {
  constexpr size_t kSpan = 1024;  // so that one token's row is shared out as well
  const size_t spans = (columns + kSpan - 1) / kSpan;
#pragma omp parallel for num_threads(threads) schedule(static)
  for (size_t i = 0; i < tokens * spans; ++i) {
    const size_t row = i / spans, column = i % spans * kSpan;
    span(row * columns + column, column, std::min(kSpan, columns - column));
  }
}

}  // namespace

void AddBiasQuickGelu(const float* sums, size_t tokens, size_t columns, const float* bias, int threads,
                      float* hidden) {
  ForSpans(tokens, columns, threads, [&](size_t first, size_t column, size_t count) {
    SpanToF32(sums + first, bias + column, count, hidden + first);
  });
}

void AddBiasQuickGelu(const float* sums, size_t tokens, size_t columns, const float* bias, int threads,
                      uint16_t* hidden) {
  ForSpans(tokens, columns, threads, [&](size_t first, size_t column, size_t count) {
    SpanToBf16(sums + first, bias + column, count, hidden + first);
  });
}

void DequantizeQuickGelu(const int32_t* sums, size_t tokens, size_t columns, const Dequantizer& dequantizer,
                         const U8Format& format, int threads, uint8_t* hidden) {
  const float inverse = 1.0f / format.scale, zero = static_cast<float>(format.zero);
  ForSpans(tokens, columns, threads, [&](size_t first, size_t column, size_t count) {
    SpanToU8(sums + first, dequantizer.scale.data() + column, dequantizer.offset.data() + column, count,
             inverse, zero, hidden + first);
  });
}

void Dequantize(const int32_t* sums, size_t tokens, size_t columns, const Dequantizer& dequantizer,
                int threads, float* y) {
  ForSpans(tokens, columns, threads, [&](size_t first, size_t column, size_t count) {
    DequantizeSpan(sums + first, dequantizer.scale.data() + column, dequantizer.offset.data() + column, count,
                   y + first);
  });
}

void FillWithBias(float* y, size_t tokens, size_t out, const float* bias, int threads) {
#pragma omp parallel for num_threads(threads) schedule(static) if (tokens > 16)
  for (size_t t = 0; t < tokens; ++t) std::copy_n(bias, out, y + t * out);
}

}  // namespace fusedffn::bench

// What a matrix product leaves to its caller: bias and QuickGELU, as one pass over the hidden array, with the
// conversions that a low precision needs in the same pass. Arrays are [tokens, columns], dense; everything is
// vectorised and runs on `threads` OpenMP threads.
#ifndef FUSEDFFN_BENCH_PEERS_ACTIVATION_PASS_H_
#define FUSEDFFN_BENCH_PEERS_ACTIVATION_PASS_H_

#include <cstddef>
#include <cstdint>

#include "bench/peers/static_int8.h"

namespace fusedffn::bench {

// hidden[t][n] = quick_gelu(sums[t][n] + bias[n]); may be in place.
void AddBiasQuickGelu(const float* sums, size_t tokens, size_t columns, const float* bias, int threads,
                      float* hidden);

// The same, rounded to bf16.
void AddBiasQuickGelu(const float* sums, size_t tokens, size_t columns, const float* bias, int threads,
                      uint16_t* hidden);

// hidden[t][n] = format.Quantize(quick_gelu(scale[n] * sums[t][n] + offset[n]))
void DequantizeQuickGelu(const int32_t* sums, size_t tokens, size_t columns, const Dequantizer& dequantizer,
                         const U8Format& format, int threads, uint8_t* hidden);

// y[t][n] = scale[n] * sums[t][n] + offset[n]
void Dequantize(const int32_t* sums, size_t tokens, size_t columns, const Dequantizer& dequantizer,
                int threads, float* y);

// Every row of y [tokens, out] = bias: what a GEMM that adds to y starts from.
void FillWithBias(float* y, size_t tokens, size_t out, const float* bias, int threads);

}  // namespace fusedffn::bench

#endif  // FUSEDFFN_BENCH_PEERS_ACTIVATION_PASS_H_

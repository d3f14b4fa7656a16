// What a BLAS leaves to its caller: fc1's bias and QuickGELU, as one pass over the hidden array.
#ifndef FUSEDFFN_BENCH_PEERS_ACTIVATION_PASS_H_
#define FUSEDFFN_BENCH_PEERS_ACTIVATION_PASS_H_

#include <cstddef>

namespace fusedffn {

// h[t][n] = quick_gelu(h[t][n] + bias[n]), h [tokens, hidden] dense; vectorised, on `threads` OpenMP threads.
void AddBiasQuickGelu(float* h, size_t tokens, size_t hidden, const float* bias, int threads);

// Every row of y [tokens, out] = bias: what a GEMM that adds to y starts from.
void FillWithBias(float* y, size_t tokens, size_t out, const float* bias, int threads);

}  // namespace fusedffn

#endif  // FUSEDFFN_BENCH_PEERS_ACTIVATION_PASS_H_

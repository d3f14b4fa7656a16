// What blas_peer.cc needs of a library that multiplies matrices.
#ifndef FUSEDFFN_BENCH_PEERS_BLAS_LIBRARY_H_
#define FUSEDFFN_BENCH_PEERS_BLAS_LIBRARY_H_

#include <cstddef>
#include <memory>
#include <string>

#include "bench/workload.h"

namespace fusedffn {

// One nn.Linear's weights, [out, in], as the library wants them.
class Gemm {
 public:
  virtual ~Gemm() = default;

  // y [tokens, out] = beta * y + x [tokens, in] * weights^T
  virtual void Run(const float* x, size_t tokens, float beta, float* y) const = 0;
};

std::unique_ptr<Gemm> MakeGemm(const Floats& weights, size_t out, size_t in);

void SetBlasThreads(int threads);
std::string BlasVersion();
std::string BlasConfig();  // how it is called, and the kernels that it has chosen for this CPU

}  // namespace fusedffn

#endif  // FUSEDFFN_BENCH_PEERS_BLAS_LIBRARY_H_

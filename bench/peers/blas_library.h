// Where OpenBLAS and BLIS differ for cblas.cc; defined in openblas.cc and blis.cc.
#ifndef FUSEDFFN_BENCH_PEERS_BLAS_LIBRARY_H_
#define FUSEDFFN_BENCH_PEERS_BLAS_LIBRARY_H_

#include <string>

namespace fusedffn {

void SetBlasThreads(int threads);
std::string BlasVersion();
std::string BlasCodePath();  // the kernels that the library has chosen for this CPU

}  // namespace fusedffn

#endif  // FUSEDFFN_BENCH_PEERS_BLAS_LIBRARY_H_

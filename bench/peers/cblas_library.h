// What OpenBLAS and BLIS do not have in common.
#ifndef FUSEDFFN_BENCH_PEERS_CBLAS_LIBRARY_H_
#define FUSEDFFN_BENCH_PEERS_CBLAS_LIBRARY_H_

#include <string>

namespace fusedffn::bench {

void SetCblasThreads(int threads);
std::string CblasVersion();
std::string CblasKernels();  // those that it has chosen for this CPU

}  // namespace fusedffn::bench

#endif  // FUSEDFFN_BENCH_PEERS_CBLAS_LIBRARY_H_

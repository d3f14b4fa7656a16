#include <cblas.h>

#include "bench/peers/blas_library.h"

namespace fusedffn {

void SetBlasThreads(int threads) { openblas_set_num_threads(threads); }

// "OpenBLAS 0.3.21 NO_LAPACKE ...": the second word.
std::string BlasVersion() {
  const std::string config = openblas_get_config();
  const size_t begin = config.find(' ') + 1;
  return config.substr(begin, config.find(' ', begin) - begin);
}

std::string BlasConfig() { return std::string("cblas_sgemm; OpenMP; for ") + openblas_get_corename(); }

}  // namespace fusedffn

#include <cblas.h>

#include "bench/peers/cblas_library.h"

namespace fusedffn::bench {

void SetCblasThreads(int threads) { openblas_set_num_threads(threads); }

// "OpenBLAS 0.3.21 NO_LAPACKE ...": the second word.
std::string CblasVersion() {
  const std::string config = openblas_get_config();
  const size_t begin = config.find(' ') + 1;
  return config.substr(begin, config.find(' ', begin) - begin);
}

std::string CblasKernels() { return openblas_get_corename(); }

}  // namespace fusedffn::bench

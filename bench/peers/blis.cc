#include <blis.h>

#include "bench/peers/blas_library.h"

namespace fusedffn {

void SetBlasThreads(int threads) { bli_thread_set_num_threads(threads); }

std::string BlasVersion() { return bli_info_get_version_str(); }

std::string BlasConfig() {
  return std::string("cblas_sgemm; OpenMP; for ") + bli_arch_string(bli_arch_query_id());
}

}  // namespace fusedffn

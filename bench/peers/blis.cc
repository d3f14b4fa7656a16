#include <blis.h>

#include "bench/peers/cblas_library.h"

namespace fusedffn::bench {

void SetCblasThreads(int threads) { bli_thread_set_num_threads(threads); }

std::string CblasVersion() { return bli_info_get_version_str(); }

std::string CblasKernels() { return bli_arch_string(bli_arch_query_id()); }

}  // namespace fusedffn::bench

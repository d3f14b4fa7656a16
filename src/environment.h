// Compiled once. What the process's environment says, read once, at the first call that needs any of it.
#ifndef FUSEDFFN_SRC_ENVIRONMENT_H_
#define FUSEDFFN_SRC_ENVIRONMENT_H_

#include "fusedffn/fusedffn.h"

namespace fusedffn {
inline namespace v0_2 {

struct Environment {
  int threads = 0;           // FUSEDFFN_THREADS; 0: not set, or ignored
  int openmp_threads = 0;    // OMP_NUM_THREADS, likewise
  size_t first_kernels = 0;  // the index in AllKernels() of FUSEDFFN_TARGET; 0: of the best one
  Status status;             // of our own variables
};

// Of variables' values, null for one that is not set.
Environment ReadEnvironment(const char* target, const char* threads, const char* openmp_threads) noexcept;

const Environment& TheEnvironment() noexcept;

}  // namespace v0_2
}  // namespace fusedffn

#endif  // FUSEDFFN_SRC_ENVIRONMENT_H_

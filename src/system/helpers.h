// Compiled once. The threads that the library starts itself, for calls that bring none.
//
// Not oneTBB's: its workers start each other, and one that cannot be started ends the process (2021.8,
// measured; 2023.2 by its source); their number is fixed at the first use, and a child after fork() has none.
#ifndef FUSEDFFN_SRC_SYSTEM_HELPERS_H_
#define FUSEDFFN_SRC_SYSTEM_HELPERS_H_

#include <cstddef>

#include "fusedffn/fusedffn.h"

namespace fusedffn {
inline namespace v0_2 {

// What each thread of a call does; it does not throw.
struct Job {
  void (*work)(void* context, size_t thread);  // thread 0 is the calling one
  void* context;
};

// job.work(context, i) on the calling thread with i = 0, and on up to `threads` - 1 others with i = 1, 2,
// ...: as many as are idle or can be started, which may be none. There are never more of them than CPUs (by
// the calling thread's affinity and the cgroup's quota) less one, and they run on the CPUs that the calling
// thread may run on. Returns when all have returned; one that has not begun by the time the calling thread is
// done is not waited for.
void RunWithHelpers(size_t threads, const Job& job) noexcept;

}  // namespace v0_2
}  // namespace fusedffn

#endif  // FUSEDFFN_SRC_SYSTEM_HELPERS_H_

// Makes the process see as many CPUs as a test likes. For one source of a program: it replaces a system call.
#ifndef FUSEDFFN_TESTS_PRETENDED_CPUS_H_
#define FUSEDFFN_TESTS_PRETENDED_CPUS_H_

#include <sched.h>

#include <atomic>
#include <cstddef>
#include <cstring>

namespace fusedffn {

inline std::atomic<size_t> pretended_cpus{1};

}  // namespace fusedffn

extern "C" int sched_getaffinity(pid_t, size_t bytes, cpu_set_t* set) noexcept {
  std::memset(set, 0, bytes);
  for (size_t cpu = 0; cpu < fusedffn::pretended_cpus; ++cpu) CPU_SET_S(cpu, bytes, set);
  return 0;
}

#endif  // FUSEDFFN_TESTS_PRETENDED_CPUS_H_

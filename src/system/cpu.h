// Compiled once. How many CPUs, and how much cache, this process may use.
#ifndef FUSEDFFN_SRC_SYSTEM_CPU_H_
#define FUSEDFFN_SRC_SYSTEM_CPU_H_

#include <cstddef>

namespace fusedffn {
inline namespace v0_2 {

// CPUs in this process's affinity mask, at least 1.
int AffinityCpus();

// CPUs' worth of time that the process's cgroup and its parents allow, for example 1.5; 0 if unlimited.
double CgroupQuotaCpus();

// The same in whole threads, rounded up; 0 if unlimited. Read once.
int CgroupThreads() noexcept;

// Bytes of one core's L2 cache; 1 MiB where the system does not say.
size_t L2Bytes();

}  // namespace v0_2
}  // namespace fusedffn

#endif  // FUSEDFFN_SRC_SYSTEM_CPU_H_

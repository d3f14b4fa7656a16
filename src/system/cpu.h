// Compiled once. How many CPUs, and how much cache, this process may use.
#ifndef FUSEDFFN_SRC_SYSTEM_CPU_H_
#define FUSEDFFN_SRC_SYSTEM_CPU_H_

#include <cstddef>

namespace fusedffn {
inline namespace v0_2 {

// CPUs in this process's affinity mask, at least 1.
int AffinityCpus();

// CPUs' worth of time that the process's cgroup and its parents allow, for example 1.5; 0 if unlimited.
// Older oneTBB ignores it and would start a thread for every CPU of a container's host.
double CgroupQuotaCpus();

// Bytes of one core's L2 cache; 1 MiB where the system does not say.
size_t L2Bytes();

}  // namespace v0_2
}  // namespace fusedffn

#endif  // FUSEDFFN_SRC_SYSTEM_CPU_H_

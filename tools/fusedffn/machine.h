// What the operating system says about this machine.
#ifndef FUSEDFFN_TOOLS_FUSEDFFN_MACHINE_H_
#define FUSEDFFN_TOOLS_FUSEDFFN_MACHINE_H_

#include <cstdint>
#include <string>
#include <vector>

namespace fusedffn::program {

std::string CpuModel();

// "L1 Data 32K, CPUs 0" and so on, of the first CPU; empty if the system does not say.
std::vector<std::string> Caches();

// The most memory that this process has held so far, in bytes; 0 if the system does not say.
uint64_t PeakMemory();

}  // namespace fusedffn::program

#endif  // FUSEDFFN_TOOLS_FUSEDFFN_MACHINE_H_

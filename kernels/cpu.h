// Compiled once. What must be known of this CPU beyond its instruction sets.
#ifndef FUSEDFFN_KERNELS_CPU_H_
#define FUSEDFFN_KERNELS_CPU_H_

namespace fusedffn {
inline namespace v0_2 {

bool IsAmdCpu();
bool IsIntelCpu();

// Null if the CPU has AMX's tile registers, with products of bf16 and of 8-bit integers, and Linux can save
// them; else why they cannot be used. Asks for nothing.
const char* AmxIsMissing();

// Asks Linux for the tile registers, for all threads of the process, unless it has been granted before; null
// if they may be used, else why not, which may change. From then on signal frames of threads that have used
// them are 8 KB larger, and sigaltstack() refuses stacks that are too small for that.
const char* AskForAmx();

// What the last AskForAmx() returned; null if there was none.
const char* AmxRefusal();

}  // namespace v0_2
}  // namespace fusedffn

#endif  // FUSEDFFN_KERNELS_CPU_H_

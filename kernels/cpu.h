// Compiled once. What must be known of this CPU beyond its instruction sets.
#ifndef FUSEDFFN_KERNELS_CPU_H_
#define FUSEDFFN_KERNELS_CPU_H_

namespace fusedffn {
inline namespace v0_2 {

bool IsAmdCpu();
bool IsIntelCpu();

// The CPU has AMX's tile registers, with products of bf16 and of 8-bit integers, and Linux (5.16 and later)
// lets this process use them: the first call asks, for all threads of the process. From then on signal frames
// of threads that have used them are 8 KB larger; Linux refuses if a thread's alternate signal stack is too
// small for that.
bool MayUseAmx();
const char* AmxIsMissing();  // why not; null if it may

}  // namespace v0_2
}  // namespace fusedffn

#endif  // FUSEDFFN_KERNELS_CPU_H_

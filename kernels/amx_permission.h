// Compiled once. Whether this process may use AMX's tile registers.
#ifndef FUSEDFFN_KERNELS_AMX_PERMISSION_H_
#define FUSEDFFN_KERNELS_AMX_PERMISSION_H_

namespace fusedffn {

// The CPU has them, with products of bf16 and of 8-bit integers, and Linux (5.16 and later) lets this process
// use them: the first call asks, for all threads of the process. From then on signal frames of threads that
// have used them are 8 KB larger; Linux refuses if a thread's alternate signal stack is too small for that.
bool MayUseAmx();

}  // namespace fusedffn

#endif  // FUSEDFFN_KERNELS_AMX_PERMISSION_H_

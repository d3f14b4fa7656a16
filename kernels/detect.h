// Compiled once. Which instruction sets this CPU and its operating system run. Highway has a function for
// that too, but only in its library, which programs would then have to bring along; of Highway headers are
// used and nothing else.
#ifndef FUSEDFFN_KERNELS_DETECT_H_
#define FUSEDFFN_KERNELS_DETECT_H_

#include <cstdint>

namespace fusedffn {
inline namespace v0_2 {

// Highway's bits, whether compiled or not, of x86-64's and AArch64's targets but SVE; elsewhere what the
// compiler assumes. Found out at the first call.
int64_t DetectedTargets();

// Takes these from DetectedTargets(), as a system that does not save their registers: for tests.
void HideTargets(int64_t targets);

}  // namespace v0_2
}  // namespace fusedffn

#endif  // FUSEDFFN_KERNELS_DETECT_H_

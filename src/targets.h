// Compiled once. Instruction sets by their names.
#ifndef FUSEDFFN_SRC_TARGETS_H_
#define FUSEDFFN_SRC_TARGETS_H_

#include "fusedffn/fusedffn.h"
#include "kernels/kernels.h"

namespace fusedffn {
inline namespace v0_2 {

// The supported target of that name in any case, or the default one for null.
Status FindKernels(const char* name, const Kernels** kernels) noexcept;

// Why there is no target of that name in this build.
const char* WhyMissing(const char* name) noexcept;

// " AVX3 AVX2 ..." of all targets, or of those that run here.
struct TargetNames {
  char text[160] = "";
  explicit TargetNames(bool supported_only) noexcept;
};

}  // namespace v0_2
}  // namespace fusedffn

#endif  // FUSEDFFN_SRC_TARGETS_H_

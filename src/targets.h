// Compiled once. Instruction sets by their names.
#ifndef FUSEDFFN_SRC_TARGETS_H_
#define FUSEDFFN_SRC_TARGETS_H_

#include "fusedffn/fusedffn.h"
#include "kernels/kernels.h"

namespace fusedffn {

// The supported target of that name in any case, or the best one for null.
Status FindKernels(const char* name, const Kernels** kernels) noexcept;

}  // namespace fusedffn

#endif  // FUSEDFFN_SRC_TARGETS_H_

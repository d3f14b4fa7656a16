// Compiled once. What the arguments of Run() must be.
#ifndef FUSEDFFN_SRC_CHECK_CALL_H_
#define FUSEDFFN_SRC_CHECK_CALL_H_

#include "fusedffn/fusedffn.h"
#include "src/arguments.h"
#include "src/execute.h"

namespace fusedffn {
inline namespace v0_2 {

// All of `call` but its plan and scratch.
Status CheckCall(const Call& call) noexcept;

// A norm, or null, of rows of `dim` elements.
Status CheckNorm(const Norm* norm, size_t dim, const Rows& y) noexcept;

// Rows of a call, or null data, that are added to y, and may be y itself.
Status CheckAddend(const Rows& addend, const Rows& y) noexcept;

}  // namespace v0_2
}  // namespace fusedffn

#endif  // FUSEDFFN_SRC_CHECK_CALL_H_

// Compiled once. What the arguments of Run() must be.
#ifndef FUSEDFFN_SRC_CHECK_CALL_H_
#define FUSEDFFN_SRC_CHECK_CALL_H_

#include "fusedffn/fusedffn.h"
#include "src/execute.h"

namespace fusedffn {

// All of `call` but its plan and scratch.
Status CheckCall(const Call& call) noexcept;

}  // namespace fusedffn

#endif  // FUSEDFFN_SRC_CHECK_CALL_H_

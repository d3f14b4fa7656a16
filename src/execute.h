// Compiled once. One call, divided as its plan says.
#ifndef FUSEDFFN_SRC_EXECUTE_H_
#define FUSEDFFN_SRC_EXECUTE_H_

#include <cstddef>

#include "fusedffn/fusedffn.h"
#include "src/packed_block.h"
#include "src/plan.h"

namespace fusedffn {

struct Call {
  const PackedBlock& block;
  const void* x;
  DType x_dtype;
  size_t ldx;
  void* y;
  DType y_dtype;
  size_t ldy;
  size_t tokens;
  const Norm* norm;   // or null
  Residual residual;  // with its stride
  Plan plan = {};
  unsigned char* scratch = nullptr;  // plan.scratch_bytes, on a cache line
};

// `threads` as in ParallelFor().
void Execute(const Call& call, int threads);

}  // namespace fusedffn

#endif  // FUSEDFFN_SRC_EXECUTE_H_

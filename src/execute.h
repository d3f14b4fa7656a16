// Compiled once. One call, divided as its plan says.
#ifndef FUSEDFFN_SRC_EXECUTE_H_
#define FUSEDFFN_SRC_EXECUTE_H_

#include <cstddef>

#include "fusedffn/fusedffn.h"
#include "src/packed_block.h"
#include "src/plan.h"
#include "src/system/parallel.h"

namespace fusedffn {
inline namespace v0_2 {

// How a call with this block is divided on this machine.
Plan PlanFor(const PackedBlock& block, size_t tokens, size_t threads);

// See plan.h.
size_t MostScratchBytes(const PackedBlock& block, size_t tokens, size_t threads);

struct Call {
  const PackedBlock& block;
  const void* x;
  DType x_dtype;
  size_t ldx;
  void* y;
  DType y_dtype;
  size_t ldy;
  size_t tokens;
  const Norm* norm;  // or null
  Addend residual;   // with its stride
  Plan plan = {};
  unsigned char* scratch = nullptr;  // plan.scratch_bytes, on a cache line
};

void Execute(const Call& call, const Team& team);

// Adds the residual, or null data, to some columns of a row of y, which are `values`, and writes them. The
// residual may lie where y goes: nothing of it is read later than the same element of y is written.
struct OutputRows {
  const ElementwiseFns& ops;
  const Addend& residual;  // with its stride
  void* y;
  DType dtype;
  size_t ld;

  void Write(size_t row, Range columns, float* values) const;
};

}  // namespace v0_2
}  // namespace fusedffn

#endif  // FUSEDFFN_SRC_EXECUTE_H_

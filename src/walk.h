// Compiled once. The walk through one call, as plan.h divides it.
#ifndef FUSEDFFN_SRC_WALK_H_
#define FUSEDFFN_SRC_WALK_H_

#include <cstddef>

#include "fusedffn/fusedffn.h"
#include "src/packed_ffn.h"
#include "src/plan.h"

namespace fusedffn {

struct Call {
  const PackedFfn::Impl& ffn;
  const void* x;
  DType x_dtype;
  size_t ldx;
  void* y;
  DType y_dtype;
  size_t ldy;
  size_t tokens;
  const LayerNorm* layer_norm;  // or null
  Residual residual;            // with its stride
  Plan plan = {};
  float* scratch = nullptr;  // plan.scratch_floats
};

inline Tiling TilingOf(const PackedFfn::Impl& ffn) {
  const Kernels& kernels = *ffn.kernels;
  return {kernels.mr[static_cast<size_t>(ffn.precision)], kernels.nr, kernels.lanes};
}

// `threads` as in ParallelFor().
void RunPlan(const Call& call, int threads);

}  // namespace fusedffn

#endif  // FUSEDFFN_SRC_WALK_H_

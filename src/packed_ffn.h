// Compiled once. What a PackedFfn holds.
#ifndef FUSEDFFN_SRC_PACKED_FFN_H_
#define FUSEDFFN_SRC_PACKED_FFN_H_

#include <cstddef>
#include <vector>

#include "fusedffn/fusedffn.h"
#include "kernels/kernels.h"
#include "src/pack.h"
#include "src/workspace.h"

namespace fusedffn {

inline constexpr size_t kLayerCount = 3;

struct PackedLayer {
  PackedLayout layout;
  PackedWeight weight;
  float* bias;  // layout.padded_n()
  std::vector<bool> row_packed;
  size_t rows_left;

  // In whole vectors, so that each array begins where one may. The first of those whose panels lie in turns
  // has the memory of all of them.
  size_t weight_floats() const {
    if (layout.turn != 0) return 0;
    const size_t vector_bytes = layout.lanes * sizeof(float);
    return (layout.bytes() + vector_bytes - 1) / vector_bytes * layout.lanes;
  }
  size_t floats() const { return layout.padded_n() + weight_floats() + 2 * layout.scales(); }
  void PlaceAt(float* memory, const PackedLayer& first);  // floats() of it; `first` may be this one
};

struct PackedFfn::Impl {
  const Kernels* kernels;  // those that the weights are packed for, and the only ones that may read them
  Shape shape;
  Precision precision;
  Operands operands;  // of that precision
  GemmBlockFn gemm;
  ActivateFn activate;
  PackedLayer layers[kLayerCount];  // by Layer; kUp is empty in a block that is not gated
  AlignedFloats memory;             // of all
};

Status CheckDType(DType dtype) noexcept;

// Of `rows` rows of a matrix called `name`.
Status CheckStride(const char* name, size_t rows, size_t stride, size_t cols, size_t element_bytes) noexcept;

// The supported target of that name in any case, or the best one for null.
Status FindKernels(const char* name, const Kernels** kernels) noexcept;

}  // namespace fusedffn

#endif  // FUSEDFFN_SRC_PACKED_FFN_H_

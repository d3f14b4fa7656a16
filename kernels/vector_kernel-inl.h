// Compiled once per target. What the GemmKernels of the vector family have in common.
#if defined(FUSEDFFN_KERNELS_VECTOR_KERNEL_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef FUSEDFFN_KERNELS_VECTOR_KERNEL_INL_H_
#undef FUSEDFFN_KERNELS_VECTOR_KERNEL_INL_H_
#else
#define FUSEDFFN_KERNELS_VECTOR_KERNEL_INL_H_
#endif

#include <cstddef>

#include "hwy/highway.h"
#include "kernels/gemm.h"
#include "kernels/gemm_kernels-inl.h"
#include "kernels/mma-inl.h"
#include "kernels/pack_b.h"
#include "kernels/tuning-inl.h"
#include "kernels/vector_gemm-inl.h"

HWY_BEFORE_NAMESPACE();
namespace fusedffn {
inline namespace v0_2 {
namespace HWY_NAMESPACE {
constexpr BLayout PanelsOf(size_t element_bytes, size_t kr, size_t scale_group = 0) {
  return {element_bytes, kr, kNr, kLanes, scale_group};
}

// What all kernels of this family have in common.
template <class Mma>
constexpr GemmKernel VectorKernel(const char* name, Precision precision) {
  GemmKernel kernel = {};
  kernel.name = name;
  kernel.precision = precision;
  kernel.mr = kTileRows;
  kernel.dual_panel_rows = Mma::kDualPanel ? kDualPanelRows : 0;
  kernel.row_parallel_rows = kRowParallelRows;
  kernel.a = {4 / Mma::kStep, kKc * Mma::kStep, kNr * Mma::kStep, kAStride * 4, 1};
  return kernel;
}

// A chunk is one or more groups of elements that are quantized together.
template <class Mma>
constexpr void QuantizesGroups(size_t group, GemmKernel* kernel) {
  kernel->a.kc = kernel->a.k_align = Int8Chunk(group);
  kernel->b = PanelsOf(1, Mma::kStep, group);
  kernel->pack_a = group == kInt8GroupSize ? PackAInt8 : PackASmallInt8;
  kernel->store_hidden = group == kInt8GroupSize ? StoreHiddenInt8 : StoreHiddenSmallInt8;
  kernel->pack_b = PackBInt8<Mma::kStep>;
}

}  // namespace HWY_NAMESPACE
}  // namespace v0_2
}  // namespace fusedffn
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard

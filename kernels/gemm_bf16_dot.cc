// Compiled once per target by Highway's foreach_target. The dot-product instruction of bf16.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/gemm_bf16_dot.cc"
#include "hwy/foreach_target.h"  // must come before highway.h
#include "hwy/highway.h"
#include "kernels/gemm_kernels-inl.h"
#include "kernels/pack_b.h"
#include "kernels/vector_gemm-inl.h"
#include "kernels/vector_kernel-inl.h"

// Nothing at all for other targets: clang warns of a namespace without functions.
#if FUSEDFFN_HAVE_BF16_DOT
HWY_BEFORE_NAMESPACE();
namespace fusedffn {
inline namespace v0_2 {
namespace HWY_NAMESPACE {

void RunBF16Dot(const GemmBlock& block) { RunGemm<BF16Dot>(block); }

// C waits in scratch until it is rounded: a panel, or two for few rows.
constexpr GemmKernel MakeBF16DotKernel() {
  GemmKernel kernel = VectorKernel<BF16Dot>("dot products of 2", Precision::kBF16Dot);
  kernel.b = PanelsOf(2, 2);
  kernel.pack_a = PackABF16;
  kernel.pack_b = PackBBF16;
  kernel.scratch_fixed = kDualPanelRows * kNr * sizeof(float);
  kernel.scratch_row = kNr * sizeof(float);
  kernel.run = RunBF16Dot;
  return kernel;
}
constexpr GemmKernel kBF16DotKernel = MakeBF16DotKernel();

}  // namespace HWY_NAMESPACE
}  // namespace v0_2
}  // namespace fusedffn
HWY_AFTER_NAMESPACE();
#endif

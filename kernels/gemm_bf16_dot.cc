// Compiled once per target by Highway's foreach_target. The dot-product instruction of bf16.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/gemm_bf16_dot.cc"
#include "hwy/foreach_target.h"  // must come before highway.h
#include "hwy/highway.h"
#include "kernels/gemm-inl.h"
#include "kernels/gemm_block-inl.h"

// Nothing at all for other targets: clang warns of a namespace without functions.
#if FUSEDFFN_HAVE_BF16_DOT
HWY_BEFORE_NAMESPACE();
namespace fusedffn {
namespace HWY_NAMESPACE {

void GemmBF16Dot(const GemmBlock& block) { Gemm<BF16Dot>(block); }

}  // namespace HWY_NAMESPACE
}  // namespace fusedffn
HWY_AFTER_NAMESPACE();
#endif

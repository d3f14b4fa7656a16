// Compiled once per target by Highway's foreach_target. The dot-product instruction of bf16.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/gemm_bf16_dot.cc"
#include "hwy/foreach_target.h"  // must come before highway.h
#include "hwy/highway.h"
#include "kernels/gemm-inl.h"
#include "kernels/gemm_block-inl.h"

HWY_BEFORE_NAMESPACE();
namespace fusedffn {
namespace HWY_NAMESPACE {

#if FUSEDFFN_HAVE_BF16_DOT
void GemmBF16Dot(const GemmBlock& block) { Gemm<BF16Dot>(block); }
#endif

}  // namespace HWY_NAMESPACE
}  // namespace fusedffn
HWY_AFTER_NAMESPACE();

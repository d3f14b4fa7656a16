// Compiled once per target by Highway's foreach_target. Products and sums in fp32. Weights of bf16 that are
// widened once are multiplied by the tiles of fp32, so the two are compiled together.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/gemm_float.cc"
#include "hwy/foreach_target.h"  // must come before highway.h
#include "hwy/highway.h"
#include "kernels/gemm-inl.h"
#include "kernels/gemm_block-inl.h"

HWY_BEFORE_NAMESPACE();
namespace fusedffn {
namespace HWY_NAMESPACE {

void GemmF32(const GemmBlock& block) { Gemm<F32>(block); }
void GemmBF16Widened(const GemmBlock& block) { Gemm<BF16Widened>(block); }

}  // namespace HWY_NAMESPACE
}  // namespace fusedffn
HWY_AFTER_NAMESPACE();

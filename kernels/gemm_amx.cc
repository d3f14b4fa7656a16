// Compiled once per target by Highway's foreach_target. bf16 and 8-bit integers in AMX's tile registers.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/gemm_amx.cc"
#include "hwy/foreach_target.h"  // must come before highway.h
#include "hwy/highway.h"
#include "kernels/amx-inl.h"
#include "kernels/gemm-inl.h"

// Nothing at all for other targets: clang warns of a namespace without functions.
#if FUSEDFFN_HAVE_AMX
HWY_BEFORE_NAMESPACE();
namespace fusedffn {
namespace HWY_NAMESPACE {

void GemmBF16Amx(const GemmBlock& block) {
  Gemm<BF16Amx>(block);
  ReleaseAmx();
}

void GemmInt8Amx(const GemmBlock& block) {
  Gemm<Int8Amx>(block);
  ReleaseAmx();
}

}  // namespace HWY_NAMESPACE
}  // namespace fusedffn
HWY_AFTER_NAMESPACE();
#endif

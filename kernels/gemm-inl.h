// Compiled once per target. A block of C in each kind of arithmetic: GemmBlockFn, see kernels.h. Each kind
// has a file of its own, gemm_*.cc, since its tiles, of every height and width, take a compiler a minute.
#if defined(FUSEDFFN_KERNELS_GEMM_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef FUSEDFFN_KERNELS_GEMM_INL_H_
#undef FUSEDFFN_KERNELS_GEMM_INL_H_
#else
#define FUSEDFFN_KERNELS_GEMM_INL_H_
#endif

#include "hwy/highway.h"
#include "kernels/arithmetic-inl.h"
#include "kernels/kernels.h"

HWY_BEFORE_NAMESPACE();
namespace fusedffn {
namespace HWY_NAMESPACE {

void GemmF32(const GemmBlock& block);
void GemmBF16Widened(const GemmBlock& block);
#if FUSEDFFN_HAVE_BF16_DOT
void GemmBF16Dot(const GemmBlock& block);
#endif
void GemmInt8(const GemmBlock& block);
void GemmBF16Amx(const GemmBlock& block);  // these two where FUSEDFFN_HAVE_AMX
void GemmInt8Amx(const GemmBlock& block);

}  // namespace HWY_NAMESPACE
}  // namespace fusedffn
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard

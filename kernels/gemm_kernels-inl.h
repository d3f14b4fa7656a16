// Compiled once per target. The ways to multiply of one target, a GemmKernel each (see gemm.h), and what they
// share. Each has a file of its own, gemm_*.cc, since its tiles, of every height and width, take a compiler a
// minute.
#if defined(FUSEDFFN_KERNELS_GEMM_KERNELS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef FUSEDFFN_KERNELS_GEMM_KERNELS_INL_H_
#undef FUSEDFFN_KERNELS_GEMM_KERNELS_INL_H_
#else
#define FUSEDFFN_KERNELS_GEMM_KERNELS_INL_H_
#endif

#include "hwy/highway.h"
#include "kernels/gemm.h"
#include "kernels/mma-inl.h"

// AMX is no target of Highway's: its kernels are compiled with those of AVX3_SPR.
#undef FUSEDFFN_HAVE_AMX
#define FUSEDFFN_HAVE_AMX (HWY_TARGET == HWY_AVX3_SPR && HWY_ARCH_X86_64 && HWY_OS_LINUX)

HWY_BEFORE_NAMESPACE();
namespace fusedffn {
inline namespace v0_2 {
namespace HWY_NAMESPACE {

extern const GemmKernel kF32Kernel;
extern const GemmKernel kBF16OnceKernel;  // widens a panel's chunk once for all row tiles
extern const GemmKernel kBF16Kernel;      // widens it in each of them
#if FUSEDFFN_HAVE_BF16_DOT
extern const GemmKernel kBF16DotKernel;
#endif
extern const GemmKernel kInt8Kernel;
extern const GemmKernel kSmallInt8Kernel;  // the same in groups of kSmallInt8GroupSize
#if FUSEDFFN_HAVE_AMX
extern const GemmKernel kBF16DotAmxKernel;
extern const GemmKernel kBF16x3AmxKernel;
extern const GemmKernel kInt8AmxKernel;
extern const GemmKernel kSmallInt8AmxKernel;
#endif

// GemmKernel::pack_a and store_hidden: see pack_a-inl.h.
void PackAF32(const ARows& from, Range rows, const PackedA& a, size_t a_row);
void PackABF16(const ARows& from, Range rows, const PackedA& a, size_t a_row);
void PackABF16x3(const ARows& from, Range rows, const PackedA& a, size_t a_row);
void PackAInt8(const ARows& from, Range rows, const PackedA& a, size_t a_row);
void PackASmallInt8(const ARows& from, Range rows, const PackedA& a, size_t a_row);
void StoreHiddenBF16x3(const float* values, size_t ld, Range rows, size_t k0, size_t count, const PackedA& a);
void StoreHiddenInt8(const float* values, size_t ld, Range rows, size_t k0, size_t count, const PackedA& a);
void StoreHiddenSmallInt8(const float* values, size_t ld, Range rows, size_t k0, size_t count,
                          const PackedA& a);

}  // namespace HWY_NAMESPACE
}  // namespace v0_2
}  // namespace fusedffn
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard

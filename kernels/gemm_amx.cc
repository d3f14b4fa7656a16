// Compiled once per target by Highway's foreach_target. bf16 and 8-bit integers in AMX's tile registers.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/gemm_amx.cc"
#include "hwy/foreach_target.h"  // must come before highway.h
#include "hwy/highway.h"
#include "kernels/amx_gemm-inl.h"
#include "kernels/amx_tiles.h"
#include "kernels/cpu.h"
#include "kernels/gemm_kernels-inl.h"

// Nothing at all for other targets: clang warns of a namespace without functions.
#if FUSEDFFN_HAVE_AMX
HWY_BEFORE_NAMESPACE();
namespace fusedffn {
inline namespace v0_2 {
namespace HWY_NAMESPACE {

constexpr GemmKernel Asking(GemmKernel kernel) {
  kernel.ask = AskForAmx;
  return kernel;
}
constexpr GemmKernel kBF16DotAmxKernel = Asking(BF16DotAmxKernel<AmxTiles>());
constexpr GemmKernel kBF16x3AmxKernel = Asking(BF16x3AmxKernel<AmxTiles>());
constexpr GemmKernel kInt8AmxKernel = Asking(Int8AmxKernel<AmxTiles>(kInt8GroupSize));
constexpr GemmKernel kSmallInt8AmxKernel = Asking(Int8AmxKernel<AmxTiles>(kSmallInt8GroupSize));

}  // namespace HWY_NAMESPACE
}  // namespace v0_2
}  // namespace fusedffn
HWY_AFTER_NAMESPACE();
#endif

// Compiled once per target by Highway's foreach_target. bf16 and 8-bit integers in AMX's tile registers.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/gemm_amx.cc"
#include "hwy/foreach_target.h"  // must come before highway.h
#include "hwy/highway.h"
#include "kernels/amx_gemm-inl.h"
#include "kernels/cpu.h"
#include "kernels/gemm_kernels-inl.h"
#include "kernels/pack_b.h"
#include "kernels/vector_kernel-inl.h"

// Nothing at all for other targets: clang warns of a namespace without functions.
#if FUSEDFFN_HAVE_AMX
HWY_BEFORE_NAMESPACE();
namespace fusedffn {
inline namespace v0_2 {
namespace HWY_NAMESPACE {

void RunBF16Amx(const GemmBlock& block) { RunGemm<BF16Amx>(block); }
void RunInt8Amx(const GemmBlock& block) { RunGemm<Int8Amx>(block); }

constexpr GemmKernel MakeBF16DotAmxKernel() {
  GemmKernel kernel = VectorKernel<BF16Amx>("AMX", Precision::kBF16Dot);
  kernel.b = PanelsOf(2, 2);
  RoundsHidden(&kernel);
  kernel.pack_a = PackABF16;
  kernel.pack_b = PackBBF16;
  kernel.run = RunBF16Amx;
  kernel.ask = AskForAmx;
  kernel.enter = EnterAmx;
  kernel.leave = LeaveAmx;
  return kernel;
}
constexpr GemmKernel kBF16DotAmxKernel = MakeBF16DotAmxKernel();

constexpr GemmKernel MakeInt8AmxKernel(size_t group) {
  GemmKernel kernel = VectorKernel<Int8Amx>("AMX", Precision::kInt8);
  QuantizesGroups<Int8Amx>(group, &kernel);
  kernel.run = RunInt8Amx;
  kernel.ask = AskForAmx;
  kernel.enter = EnterAmx;
  kernel.leave = LeaveAmx;
  return kernel;
}
constexpr GemmKernel kInt8AmxKernel = MakeInt8AmxKernel(kInt8GroupSize);
constexpr GemmKernel kSmallInt8AmxKernel = MakeInt8AmxKernel(kSmallInt8GroupSize);

}  // namespace HWY_NAMESPACE
}  // namespace v0_2
}  // namespace fusedffn
HWY_AFTER_NAMESPACE();
#endif

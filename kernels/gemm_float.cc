// Compiled once per target by Highway's foreach_target. Products and sums in fp32. Weights of bf16 that are
// widened once are multiplied by the tiles of fp32, so the two are compiled together.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/gemm_float.cc"
#include "hwy/foreach_target.h"  // must come before highway.h
#include "hwy/highway.h"
#include "kernels/cpu.h"
#include "kernels/gemm_kernels-inl.h"
#include "kernels/pack_b.h"
#include "kernels/vector_gemm-inl.h"
#include "kernels/vector_kernel-inl.h"

HWY_BEFORE_NAMESPACE();
namespace fusedffn {
inline namespace v0_2 {
namespace HWY_NAMESPACE {

void RunF32(const GemmBlock& block) { RunGemm<F32>(block); }
void RunBF16Widened(const GemmBlock& block) { RunGemm<BF16Widened>(block); }

constexpr GemmKernel MakeF32Kernel() {
  GemmKernel kernel = VectorKernel<F32>("FMA", Precision::kF32);
  kernel.b = PanelsOf(4, 1);
  kernel.pack_a = PackAF32;
  kernel.pack_b = PackBF32;
  kernel.run = RunF32;
  return kernel;
}
constexpr GemmKernel kF32Kernel = MakeF32Kernel();

constexpr GemmKernel MakeBF16Kernel() {
  GemmKernel kernel = VectorKernel<BF16Widened>("FMA, widened in each tile", Precision::kBF16);
  kernel.b = PanelsOf(2, 2);
  kernel.pack_a = PackAF32;
  kernel.pack_b = PackBBF16;
  kernel.run = RunBF16Widened;
  return kernel;
}
constexpr GemmKernel kBF16Kernel = MakeBF16Kernel();

// Intel's integer instructions have the FMAs' ports: 257 tokens 1.06 times as fast on AVX-512, 1.16 on AVX2;
// on Zen 4, which has ports for them, 0.97. See bench/results/tuning.md.
constexpr GemmKernel MakeBF16OnceKernel() {
  GemmKernel kernel = MakeBF16Kernel();
  kernel.name = "FMA, a panel widened at once";
  kernel.preferred = IsIntelCpu;
  kernel.scratch_fixed = kKc * kNr * sizeof(float);
  return kernel;
}
constexpr GemmKernel kBF16OnceKernel = MakeBF16OnceKernel();

}  // namespace HWY_NAMESPACE
}  // namespace v0_2
}  // namespace fusedffn
HWY_AFTER_NAMESPACE();

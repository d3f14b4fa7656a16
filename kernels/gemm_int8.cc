// Compiled once per target by Highway's foreach_target. Products of 8-bit integers.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/gemm_int8.cc"
#include "hwy/foreach_target.h"  // must come before highway.h
#include "hwy/highway.h"
#include "kernels/gemm_kernels-inl.h"
#include "kernels/pack_b.h"
#include "kernels/vector_gemm-inl.h"
#include "kernels/vector_kernel-inl.h"

HWY_BEFORE_NAMESPACE();
namespace fusedffn {
inline namespace v0_2 {
namespace HWY_NAMESPACE {

void RunInt8(const GemmBlock& block) { RunGemm<Int8>(block); }

constexpr GemmKernel MakeInt8Kernel(size_t group) {
  constexpr const char* kName = Int8::kStep == 4 ? "dot products of 4" : "dot products of 2, in 16 bits";
  GemmKernel kernel = VectorKernel<Int8>(kName, Precision::kInt8);
  QuantizesGroups<Int8>(group, &kernel);
  kernel.run = RunInt8;
  return kernel;
}
constexpr GemmKernel kInt8Kernel = MakeInt8Kernel(kInt8GroupSize);
constexpr GemmKernel kSmallInt8Kernel = MakeInt8Kernel(kSmallInt8GroupSize);

}  // namespace HWY_NAMESPACE
}  // namespace v0_2
}  // namespace fusedffn
HWY_AFTER_NAMESPACE();

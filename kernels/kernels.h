// Compiled once. The only door to the SIMD code: one table of plain functions per instruction set.
//
//   "AVX2" or null      PackOptions::target
//   -> FindKernels()    src/targets.cc: the first of AllKernels() of that name that is supported()
//   -> Kernels::Gemm()  by PackOptions::precision and int8_group: a GemmKernel, kept in the PackedBlock
//   -> gemm->run()      a block of C: RunGemm<Mma>() in vector_gemm-inl.h, compiled for that target
//   -> Tile<...>()      microkernel-inl.h, by rows, vectors and panels: the only loop that multiplies
#ifndef FUSEDFFN_KERNELS_KERNELS_H_
#define FUSEDFFN_KERNELS_KERNELS_H_

#include <cstddef>
#include <cstdint>

#include "fusedffn/fusedffn.h"
#include "kernels/gemm.h"

namespace fusedffn {
inline namespace v0_2 {

inline constexpr size_t kDTypeCount = 3;
inline constexpr size_t kNormKindCount = 2;

using MapFn = void (*)(const float* in, size_t count, float* out);

// By fusedffn::Activation.
struct ActivationFns {
  ActivateFn tile;  // null for the identity
  MapFn map;        // the same on an array, for the tests
};

// A norm's two numbers for one row: (x - mean) * inverse is what the weight is multiplied with. RMSNorm's
// mean is 0.
struct RowStats {
  double mean, inverse;
};

// Some elements of a row of x normalized. `weight` and `bias` begin at these elements; null stands for ones,
// without the offset, and zeros.
using NormalizeFn = void (*)(const void* in, size_t count, const RowStats& stats, const void* weight,
                             double weight_offset, const void* bias, float* out);

// By fusedffn::DType of x.
struct NormFns {
  // Of a whole row, by fusedffn::NormKind.
  RowStats (*stats[kNormKindCount])(const void* row, size_t count, double eps);
  NormalizeFn normalize[kDTypeCount];  // by DType of weight and bias
};

// The rows that one token's experts have made of it, and what each counts.
struct WeightedRows {
  const float* rows;
  size_t stride;
  const uint32_t* row;  // which of them, `count`
  const float* weight;
  size_t count;
};

// What is done to single elements. Arrays are by fusedffn::DType.
struct ElementwiseFns {
  void (*to_f32[kDTypeCount])(const void* in, size_t count, float* out);    // exact
  void (*from_f32[kDTypeCount])(const float* in, size_t count, void* out);  // to nearest, ties to even
  void (*add[kDTypeCount])(const void* in, size_t count, float* sum);       // sum += in
  NormFns norm[kDTypeCount];
  // y = ((y0 + weight[0] * row 0) + weight[1] * row 1) + ..., each a fused multiply-add; y0 is y if `add`,
  // else 0.
  void (*weighted_sum)(const WeightedRows& rows, size_t columns, bool add, float* y);
  ActivationFns activations[kActivationCount];
};

inline constexpr size_t kMaxGemmKernels = 7;

bool IsTargetSupported(int64_t target);  // of Highway's

// One target: its name, what it does to single elements, and its ways to multiply.
struct Kernels {
  const char* name;          // Highway's: "AVX3", "AVX2", "NEON", ...; or "AVX3_AMX"
  int64_t target;            // Highway's bit
  const char* (*missing)();  // why what else there must be is not; it returns null if it is, or is null
  bool fma;                  // MulAdd rounds once: same bits as on every other such target
  ElementwiseFns ops;
  const GemmKernel* gemm[kMaxGemmKernels];  // up to the first null

  // By this CPU and operating system.
  bool supported() const { return why_missing() == nullptr; }
  const char* why_missing() const {
    if (!IsTargetSupported(target)) return "not supported by this CPU";
    return missing == nullptr ? nullptr : missing();
  }
  // Null where the CPU lacks the instruction. `int8_group`: of kInt8.
  const GemmKernel* Gemm(Precision precision, size_t int8_group = kInt8GroupSize) const {
    const size_t group = precision == Precision::kInt8 ? int8_group : 0;
    for (const GemmKernel* kernel : gemm) {
      if (kernel == nullptr) break;
      const bool preferred = kernel->preferred == nullptr || kernel->preferred();
      if (kernel->precision == precision && kernel->b.scale_group == group && preferred) return kernel;
    }
    return nullptr;
  }
};

// More than Highway has for any CPU, and AMX.
inline constexpr size_t kMaxTargets = 32;

struct KernelList {
  size_t count = 0;
  Kernels kernels[kMaxTargets] = {};
};

// The targets compiled in, best first, whether or not this CPU has them. The functions of one that is not
// supported() end in an illegal instruction.
const KernelList& AllKernels();

// The rows of one of Highway's targets, best first: filled in by kernels.cc, once per target.
template <int64_t kTarget>
struct KernelsOf {
  static constexpr const Kernels* kBegin = nullptr;
  static constexpr const Kernels* kEnd = nullptr;
};

}  // namespace v0_2
}  // namespace fusedffn

#endif  // FUSEDFFN_KERNELS_KERNELS_H_

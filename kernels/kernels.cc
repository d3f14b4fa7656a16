// Compiled once per target by Highway's foreach_target, as gemm_*.cc are. The table of each target, and the
// list of the tables: where dispatch lives.
#include "kernels/kernels.h"

#include <type_traits>
#include <utility>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/kernels.cc"
#include "hwy/foreach_target.h"  // must come before highway.h
#include "hwy/highway.h"
#include "kernels/activation-inl.h"
#include "kernels/convert-inl.h"
#include "kernels/cpu.h"
#include "kernels/detect.h"
#include "kernels/gemm_kernels-inl.h"
#include "kernels/mma-inl.h"
#include "kernels/norm-inl.h"
#include "kernels/pack_a-inl.h"
#include "kernels/quantize-inl.h"
#include "kernels/split-inl.h"
#include "kernels/weighted_sum-inl.h"

HWY_BEFORE_NAMESPACE();
namespace fusedffn {
inline namespace v0_2 {
namespace HWY_NAMESPACE {

// On a tile that is still in the L1 cache. Not in the tile's own registers: there gcc spills, and the larger
// code of one more set of tiles for each activation brings nothing. See bench/results/tuning.md.
template <class Act>
void ActivateTile(size_t rows, size_t columns, float* HWY_RESTRICT c, size_t ldc) {
  const D d;
  const size_t lanes = hn::Lanes(d);
  for (size_t r = 0; r < rows; ++r, c += ldc) {
    for (size_t n = 0; n < columns; n += lanes) hn::Store(Act()(d, hn::Load(d, c + n)), d, c + n);
  }
}

template <class Act>
void Map(const float* in, size_t count, float* out) {
  const D d;
  const size_t lanes = hn::Lanes(d);
  size_t i = 0;
  for (; i + lanes <= count; i += lanes) hn::StoreU(Act()(d, hn::LoadU(d, in + i)), d, out + i);
  hn::StoreN(Act()(d, hn::LoadN(d, in + i, count - i)), d, out + i, count - i);
}

template <class Act>
constexpr ActivationFns Fns() {
  return {std::is_same_v<Act, Identity> ? nullptr : ActivateTile<Act>, Map<Act>};
}

template <class... Act>
constexpr ElementwiseFns OpsWith(ActivationList<Act...>) {
  static_assert(sizeof...(Act) == kActivationCount);
  return {{kToF32[0], kToF32[1], kToF32[2]},
          {RoundArray<float>, RoundArray<hwy::bfloat16_t>, RoundArray<hwy::float16_t>},
          {AddArray<float>, AddArray<hwy::bfloat16_t>, AddArray<hwy::float16_t>},
          {kNorms[0], kNorms[1], kNorms[2]},
          WeightedSum,
          {Fns<Act>()...}};
}

constexpr ElementwiseFns kOps = OpsWith(Activations());

void PackAF32(const ARows& from, Range rows, const PackedA& a, size_t a_row) {
  PackA(from, rows, a, a_row, StoreF32Row);
}
void PackABF16(const ARows& from, Range rows, const PackedA& a, size_t a_row) {
  PackA(from, rows, a, a_row, StoreBF16Row);
}
void PackABF16x3(const ARows& from, Range rows, const PackedA& a, size_t a_row) {
  PackA(from, rows, a, a_row, SplitRow);
}
void PackAInt8(const ARows& from, Range rows, const PackedA& a, size_t a_row) {
  PackA(from, rows, a, a_row, QuantizeRow<kInt8GroupSize>);
}
void PackASmallInt8(const ARows& from, Range rows, const PackedA& a, size_t a_row) {
  PackA(from, rows, a, a_row, QuantizeRow<kSmallInt8GroupSize>);
}
void StoreHiddenBF16x3(const float* values, size_t ld, Range rows, size_t k0, size_t count,
                       const PackedA& a) {
  StoreHidden(values, ld, rows, k0, count, a, SplitRow);
}
void StoreHiddenInt8(const float* values, size_t ld, Range rows, size_t k0, size_t count, const PackedA& a) {
  StoreHidden(values, ld, rows, k0, count, a, QuantizeRow<kInt8GroupSize>);
}
void StoreHiddenSmallInt8(const float* values, size_t ld, Range rows, size_t k0, size_t count,
                          const PackedA& a) {
  StoreHidden(values, ld, rows, k0, count, a, QuantizeRow<kSmallInt8GroupSize>);
}

constexpr Kernels kRows[] = {
#if FUSEDFFN_HAVE_AMX
    {"AVX3_AMX",
     HWY_TARGET,
     AmxIsMissing,
     true,
     kOps,
     {&kF32Kernel, &kBF16OnceKernel, &kBF16Kernel, &kBF16DotAmxKernel, &kBF16x3AmxKernel, &kInt8AmxKernel,
      &kSmallInt8AmxKernel}},
#endif
    {nullptr,
     HWY_TARGET,
     nullptr,
     HWY_NATIVE_FMA != 0,
     kOps,
#if FUSEDFFN_HAVE_BF16_DOT
     {&kF32Kernel, &kBF16OnceKernel, &kBF16Kernel, &kBF16DotKernel, &kInt8Kernel, &kSmallInt8Kernel}},
#else
     {&kF32Kernel, &kBF16OnceKernel, &kBF16Kernel, &kInt8Kernel, &kSmallInt8Kernel}},
#endif
};

}  // namespace HWY_NAMESPACE

template <>
struct KernelsOf<HWY_TARGET> {
  static constexpr const Kernels* kBegin = HWY_NAMESPACE::kRows;
  static constexpr const Kernels* kEnd = kBegin + sizeof(HWY_NAMESPACE::kRows) / sizeof(Kernels);
};

}  // namespace v0_2
}  // namespace fusedffn
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fusedffn {
inline namespace v0_2 {
namespace {

// Highway numbers its targets so that a lower bit is a better target.
template <size_t... kBit>
KernelList ListTargets(std::index_sequence<kBit...>) {
  KernelList list;
  const auto add = [&list](const Kernels* row, const Kernels* end, int64_t target) {
    for (; row != end; ++row) {
      Kernels& kernels = list.kernels[list.count++] = *row;
      if (kernels.name == nullptr) kernels.name = hwy::TargetName(target);
    }
  };
  (add(KernelsOf<(int64_t{1} << kBit)>::kBegin, KernelsOf<(int64_t{1} << kBit)>::kEnd, int64_t{1} << kBit),
   ...);
  return list;
}

}  // namespace

bool IsTargetSupported(int64_t target) { return (DetectedTargets() & target) != 0; }

const KernelList& AllKernels() {
  static const KernelList list = ListTargets(std::make_index_sequence<63>());
  return list;
}

}  // namespace v0_2
}  // namespace fusedffn
#endif  // HWY_ONCE

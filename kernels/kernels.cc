// Compiled once per target by Highway's foreach_target, as gemm_*.cc are. The table of each target, and the
// list of the tables: where dispatch lives.
#include "kernels/kernels.h"

#include <utility>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/kernels.cc"
#include "hwy/foreach_target.h"  // must come before highway.h
#include "hwy/highway.h"
#include "kernels/activation-inl.h"
#include "kernels/amx-inl.h"
#include "kernels/amx_permission.h"
#include "kernels/convert-inl.h"
#include "kernels/gemm-inl.h"
#include "kernels/layer_norm-inl.h"
#include "kernels/microkernel-inl.h"
#include "kernels/quantise-inl.h"
#include "kernels/weighted_sum-inl.h"

HWY_BEFORE_NAMESPACE();
namespace fusedffn {
namespace HWY_NAMESPACE {

#if FUSEDFFN_HAVE_BF16_DOT
constexpr GemmBlockFn kGemmBF16Dot = GemmBF16Dot;
#else
constexpr GemmBlockFn kGemmBF16Dot = nullptr;
#endif

// On a tile that is still in the L1 cache. Not in the tile's own registers: there gcc spills, and the larger
// code of one more set of tiles for each activation brings nothing. 257 tokens, AVX2 on Zen 4: the same with
// clang 16, 1.01 times as fast with gcc 12.
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
  return {ActivateTile<Act>, Map<Act>};
}

template <class T>
constexpr LayerNormFns LayerNormOf() {
  return {StatsOf<T>, {Normalise<T, float>, Normalise<T, hwy::bfloat16_t>, Normalise<T, hwy::float16_t>}};
}

constexpr size_t kLanes = hn::MaxLanes(D());
constexpr Kernels kKernels = {
    HWY_TARGET,
    false,
    {kTileRows, kTileRows, kTileRows, kTileRows},
    kTileVecs* kLanes,
    kLanes,
    HWY_NATIVE_FMA != 0,
    {GemmF32, GemmBF16Widened, kGemmBF16Dot, GemmInt8},
    {nullptr, WidenArray<hwy::bfloat16_t>, WidenArray<hwy::float16_t>},
    {nullptr, RoundArray<hwy::bfloat16_t>, RoundArray<hwy::float16_t>},
    {AddArray<float>, AddArray<hwy::bfloat16_t>, AddArray<hwy::float16_t>},
    {LayerNormOf<float>(), LayerNormOf<hwy::bfloat16_t>(), LayerNormOf<hwy::float16_t>()},
    Quantise,
    WeightedSum,
    Int8::kStep,
    {F32::kInPairs, BF16Widened::kInPairs, true, Int8::kInPairs},
    {Fns<QuickGelu>(),
     Fns<Gelu>(),
     Fns<GeluTanh>(),
     Fns<Silu>(),
     Fns<Relu>(),
     Fns<Relu2>(),
     {nullptr, Map<Identity>}}};

#if FUSEDFFN_HAVE_AMX
constexpr Kernels WithAmx(Kernels kernels) {
  kernels.amx = true;
  const GemmBlockFn gemm[kPrecisionCount] = {GemmF32, GemmBF16Widened, GemmBF16Amx, GemmInt8Amx};
  const size_t mr[] = {kTileRows, kTileRows, kRowsOfTile<BF16Amx>, kRowsOfTile<Int8Amx>};
  const bool in_pairs[] = {F32::kInPairs, BF16Widened::kInPairs, BF16Amx::kInPairs, Int8Amx::kInPairs};
  for (size_t i = 0; i < kPrecisionCount; ++i) {
    kernels.gemm[i] = gemm[i];
    kernels.mr[i] = mr[i];
    kernels.in_pairs[i] = in_pairs[i];
  }
  return kernels;
}
constexpr Kernels kAmxKernels = WithAmx(kKernels);
#endif

}  // namespace HWY_NAMESPACE

template <>
struct KernelsOf<HWY_TARGET, false> {
  static constexpr const Kernels* value = &HWY_NAMESPACE::kKernels;
};

#if FUSEDFFN_HAVE_AMX
template <>
struct KernelsOf<HWY_TARGET, true> {
  static constexpr const Kernels* value = &HWY_NAMESPACE::kAmxKernels;
};
#endif

}  // namespace fusedffn
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fusedffn {
namespace {

// Highway numbers its targets so that a lower bit is a better target.
template <size_t... kBit>
KernelList ListTargets(std::index_sequence<kBit...>) {
  KernelList list;
  const auto add = [&list](const Kernels* kernels) {
    if (kernels != nullptr) list.kernels[list.count++] = kernels;
  };
  (add(KernelsOf<(int64_t{1} << kBit), true>::value), ...);
  (add(KernelsOf<(int64_t{1} << kBit), false>::value), ...);
  return list;
}

}  // namespace

const KernelList& AllKernels() {
  static const KernelList list = ListTargets(std::make_index_sequence<kMaxTargets>());
  return list;
}

const char* TargetName(const Kernels& kernels) {
  return kernels.amx ? kAmxTargetName : hwy::TargetName(kernels.target);
}

bool IsSupported(const Kernels& kernels) {
  return (hwy::SupportedTargets() & kernels.target) != 0 && (!kernels.amx || MayUseAmx());
}

}  // namespace fusedffn
#endif  // HWY_ONCE

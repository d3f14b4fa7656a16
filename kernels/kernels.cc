// Compiled once per target by Highway's foreach_target: the only file that is, and where dispatch lives.
#include "kernels/kernels.h"

#include <utility>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/kernels.cc"
#include "hwy/foreach_target.h"  // must come before highway.h
#include "hwy/highway.h"
#include "kernels/gemm_block-inl.h"

HWY_BEFORE_NAMESPACE();
namespace fusedffn {
namespace HWY_NAMESPACE {

void GemmIdentity(const GemmBlock& block) { Gemm<Identity>(block); }
void GemmQuickGelu(const GemmBlock& block) { Gemm<QuickGelu>(block); }

void MapQuickGelu(const float* in, size_t count, float* out) {
  const D d;
  const size_t lanes = hn::Lanes(d);
  size_t i = 0;
  for (; i + lanes <= count; i += lanes) hn::StoreU(QuickGelu()(d, hn::LoadU(d, in + i)), d, out + i);
  hn::StoreN(QuickGelu()(d, hn::LoadN(d, in + i, count - i)), d, out + i, count - i);
}

constexpr size_t kLanes = hn::MaxLanes(D());
constexpr size_t kTileColumns = kTileVecs * kLanes;
constexpr bool kFma = HWY_NATIVE_FMA != 0;
constexpr Kernels kKernels = {HWY_TARGET, kTileRows,    kTileColumns,  kLanes,
                              kFma,       GemmIdentity, GemmQuickGelu, MapQuickGelu};

}  // namespace HWY_NAMESPACE

template <>
struct KernelsOf<HWY_TARGET> {
  static constexpr const Kernels* value = &HWY_NAMESPACE::kKernels;
};

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
  (add(KernelsOf<(int64_t{1} << kBit)>::value), ...);
  return list;
}

}  // namespace

const KernelList& AllKernels() {
  static const KernelList list = ListTargets(std::make_index_sequence<kMaxTargets>());
  return list;
}

const char* TargetName(const Kernels& kernels) { return hwy::TargetName(kernels.target); }

bool IsSupported(const Kernels& kernels) { return (hwy::SupportedTargets() & kernels.target) != 0; }

}  // namespace fusedffn
#endif  // HWY_ONCE

// Compiled once per target. int8: rows of fp32 into u8.
//
// A group of a row, with lo = min(0, smallest) and hi = max(0, largest), so that 0 is exact:
//
//   scale = hi / 255 - lo / 255,  zero = round(-lo / scale),  q = round(x / scale) + zero, at most 255
//
// where x / scale is x * (1 / scale), rounded. Every operation is the same on every target, so q is as well.
#if defined(FUSEDFFN_KERNELS_QUANTIZE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef FUSEDFFN_KERNELS_QUANTIZE_INL_H_
#undef FUSEDFFN_KERNELS_QUANTIZE_INL_H_
#else
#define FUSEDFFN_KERNELS_QUANTIZE_INL_H_
#endif

#include <cstddef>
#include <cstdint>
#include <limits>

#include "hwy/highway.h"
#include "kernels/mma-inl.h"

HWY_BEFORE_NAMESPACE();
namespace fusedffn {
inline namespace v0_2 {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

struct Extent {
  float lo, hi;
  bool finite;
};

HWY_INLINE Extent ExtentOf(const float* in, size_t count) {
  const D d;
  const size_t lanes = hn::Lanes(d);
  V lo = hn::Zero(d), hi = hn::Zero(d), nan = hn::Zero(d);
  const auto add = [&](V x) HWY_ATTR {
    lo = hn::Min(lo, x);
    hi = hn::Max(hi, x);
    nan = hn::MulAdd(x, hn::Zero(d), nan);  // of infinity, too
  };
  size_t i = 0;
  for (; i + lanes <= count; i += lanes) add(hn::LoadU(d, in + i));
  if (i != count) add(hn::LoadN(d, in + i, count - i));
  return {hn::ReduceMin(d, lo), hn::ReduceMax(d, hi), hn::AllFalse(d, hn::IsNaN(nan))};
}

// `in` into the steps of one group of an A chunk's row, up to a whole vector of `in` beyond count.
HWY_INLINE void StoreQuantized(const float* in, size_t count, float inverse, int32_t zero, void* steps) {
  using Unsigned = hwy::UnsignedFromSize<4 / Int8::kStep>;
  using Q = hwy::If<Int8::kLess == 0, Unsigned, hwy::MakeSigned<Unsigned>>;
  const D d;
  const hn::Rebind<Q, D> dq;
  const size_t lanes = hn::Lanes(d);
  Q* const to = static_cast<Q*>(steps);
  const auto store = [&](V x, size_t i) HWY_ATTR {
    const auto q = hn::Add(hn::NearestInt(hn::Mul(x, hn::Set(d, inverse))), hn::Set(DI32(), zero));
    hn::StoreU(hn::DemoteTo(dq, hn::Min(q, hn::Set(DI32(), 255 - Int8::kLess))), dq, to + i);
  };
  size_t i = 0;
  for (; i + lanes <= count; i += lanes) store(hn::LoadU(d, in + i), i);
  if (i != count) store(hn::LoadN(d, in + i, count - i), i);
}

// A group that is not finite gets a scale of NaN, which makes NaN of all that it is multiplied with. One
// whose scale would be below 2^-120, where 1 / scale is no longer good, counts as zero.
inline void QuantizeGroup(const float* in, size_t count, RowQuant* quant, void* steps) {
  const Extent extent = ExtentOf(in, count);
  *quant = {extent.hi / 255 - extent.lo / 255, 0};
  float inverse = 0;
  if (!extent.finite) {
    quant->scale = std::numeric_limits<float>::quiet_NaN();
  } else if (quant->scale < 0x1p-120f) {
    quant->scale = 0;
  } else {
    inverse = 1 / quant->scale;
    const hn::CappedTag<float, 1> d1;
    quant->zero = hn::GetLane(hn::NearestInt(hn::Set(d1, -extent.lo * inverse)));
  }
  quant->zero -= Int8::kLess;
  StoreQuantized(in, count, inverse, quant->zero, steps);
}

// `in` as one row of a chunk.
template <size_t kGroup>
void QuantizeRow(const float* in, size_t count, void* row) {
  constexpr size_t kElementBytes = 4 / Int8::kStep;
  auto* const bytes = static_cast<unsigned char*>(row);
  auto* quant = reinterpret_cast<RowQuant*>(bytes + Int8Chunk(kGroup) * kElementBytes);
  for (size_t k = 0; k < count; k += kGroup) {
    QuantizeGroup(in + k, HWY_MIN(kGroup, count - k), quant++, bytes + k * kElementBytes);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace v0_2
}  // namespace fusedffn
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard

// Compiled once per target. fp32 as the sum of three bf16, which it is exactly: the upper 8 bits of its 24,
// the next 8, the last 8. Cut off and not rounded, they never overflow and all have its sign.
#if defined(FUSEDFFN_KERNELS_SPLIT_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef FUSEDFFN_KERNELS_SPLIT_INL_H_
#undef FUSEDFFN_KERNELS_SPLIT_INL_H_
#else
#define FUSEDFFN_KERNELS_SPLIT_INL_H_
#endif

#include <cmath>
#include <cstddef>
#include <cstdint>

#include "hwy/highway.h"
#include "kernels/mma-inl.h"
#include "kernels/tuning-inl.h"

HWY_BEFORE_NAMESPACE();
namespace fusedffn {
inline namespace v0_2 {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// A row of a chunk of A, in steps of two bf16: all upper pieces, all middle ones, all lower ones, and a line
// for what the row's products are worth, a float.
inline constexpr size_t kPieces = 3;
inline constexpr size_t kPieceStride = kAmxChunk / 2;
inline constexpr size_t kSplitStride = kPieces * kPieceStride + kLineBytes / 4;
static_assert(kSplitStride * 4 / kLineBytes % 2 == 1);

// AMX takes denormals for zeros, and a lower piece is 2^-23 of its number at least. So a row whose largest
// number is below this is multiplied by a power of two, until that is not. Nothing overflows by it: weights
// are below 2^128.
inline constexpr int kLowestExponent = -78;

// The largest of |x|, of those that are finite.
HWY_INLINE float LargestFinite(const float* values, size_t count) {
  const D d;
  const size_t lanes = hn::Lanes(d);
  V largest = hn::Zero(d);
  const auto add = [&](V x) HWY_ATTR {
    largest = hn::Max(largest, hn::IfThenElseZero(hn::IsFinite(x), hn::Abs(x)));
  };
  size_t i = 0;
  for (; i + lanes <= count; i += lanes) add(hn::LoadU(d, values + i));
  if (i != count) add(hn::LoadN(d, values + i, count - i));
  return hn::ReduceMax(d, largest);
}

// A vector's pieces. Of infinities and NaNs the upper one is the number itself, and the others are zero. NaNs
// are quiet, as results of arithmetic: else one could be so by its lower half alone.
HWY_INLINE void StorePieces(V x, uint16_t* HWY_RESTRICT to) {
  const D d;
  const hn::Rebind<uint16_t, D> d16;
  const auto upper_half = hn::Set(DU32(), 0xFFFF0000u);
  const auto store = [&](V piece, size_t index) HWY_ATTR {
    const auto bits = hn::ShiftRight<16>(hn::BitCast(DU32(), piece));
    hn::StoreU(hn::TruncateTo(d16, bits), d16, to + index * kPieceStride * 2);
  };
  const auto cut = [&](V value)
                       HWY_ATTR { return hn::BitCast(d, hn::And(hn::BitCast(DU32(), value), upper_half)); };
  const V upper = cut(x);
  const V rest = hn::IfThenElseZero(hn::IsFinite(x), hn::Sub(x, upper)), middle = cut(rest);
  store(upper, 0);
  store(middle, 1);
  store(hn::Sub(rest, middle), 2);
}

// `values` as one row of a chunk.
inline void SplitRow(const float* values, size_t count, void* row) {
  const D d;
  const size_t lanes = hn::Lanes(d);
  const float largest = LargestFinite(values, count);
  const bool is_low = largest != 0 && largest < std::ldexp(1.0f, kLowestExponent);
  const int up = is_low ? kLowestExponent - std::ilogb(largest) : 0;
  const V factor = hn::Set(d, std::ldexp(1.0f, up));
  auto* const to = static_cast<uint16_t*>(row);
  size_t i = 0;
  for (; i + lanes <= count; i += lanes) StorePieces(hn::Mul(hn::LoadU(d, values + i), factor), to + i);
  if (i != count) StorePieces(hn::Mul(hn::LoadN(d, values + i, count - i), factor), to + i);
  static_cast<float*>(row)[kPieces * kPieceStride] = std::ldexp(1.0f, -up);
}

}  // namespace HWY_NAMESPACE
}  // namespace v0_2
}  // namespace fusedffn
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard

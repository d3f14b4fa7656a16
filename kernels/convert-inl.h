// Compiled once per target. Element types of x, y and the residual, in and out.
#if defined(FUSEDFFN_KERNELS_CONVERT_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef FUSEDFFN_KERNELS_CONVERT_INL_H_
#undef FUSEDFFN_KERNELS_CONVERT_INL_H_
#else
#define FUSEDFFN_KERNELS_CONVERT_INL_H_
#endif

#include <cstddef>
#include <cstring>
#include <type_traits>

#include "hwy/highway.h"
#include "kernels/mma-inl.h"

HWY_BEFORE_NAMESPACE();
namespace fusedffn {
inline namespace v0_2 {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// fp16 in the lower halves of 32 bits to fp32. Highway's own takes infinities and NaNs for numbers where the
// CPU has no instruction for this. Denormals are converted as integers, so that nothing is denormal in fp32
// on the way, which the CPU may be told to flush.
template <class DF, class V32 = hn::Vec<hn::RebindToUnsigned<DF>>>
HWY_INLINE hn::Vec<DF> WidenF16(DF d, V32 bits) {
  const hn::RebindToUnsigned<DF> d32;
  const V32 magnitude = hn::And(bits, hn::Set(d32, 0x7FFF));
  const auto steps = hn::ConvertTo(d, hn::BitCast(hn::RebindToSigned<DF>(), magnitude));
  const V32 denormal = hn::BitCast(d32, hn::Mul(steps, hn::Set(d, 0x1p-24f)));
  const V32 normal = hn::Add(hn::ShiftLeft<13>(magnitude), hn::Set(d32, 112u << 23));
  const V32 scaled = hn::IfThenElse(hn::Lt(magnitude, hn::Set(d32, 0x400)), denormal, normal);
  const V32 quiet = hn::IfThenElseZero(hn::Gt(magnitude, hn::Set(d32, 0x7C00)), hn::Set(d32, 0x400000));
  const V32 special =
      hn::IfThenElseZero(hn::Gt(magnitude, hn::Set(d32, 0x7BFF)), hn::Or(hn::Set(d32, 0x7F800000), quiet));
  const V32 sign = hn::ShiftLeft<16>(hn::AndNot(hn::Set(d32, 0x7FFF), bits));
  return hn::BitCast(d, hn::Or(hn::Or(scaled, special), sign));
}

// Elements of T, float aside, to fp32.
template <class T, class DF>
HWY_INLINE hn::Vec<DF> Widen(DF d, hn::Vec<hn::Rebind<T, DF>> in) {
  if constexpr (HWY_ARCH_X86 && HWY_TARGET > HWY_AVX2 && std::is_same_v<T, hwy::float16_t>) {
    const hn::Rebind<uint16_t, DF> d16;
    return WidenF16(d, hn::PromoteTo(hn::RebindToUnsigned<DF>(), hn::BitCast(d16, in)));
  } else {
    return hn::PromoteTo(d, in);
  }
}

// fp32 to elements of T, float aside: to nearest, ties to even. bf16 in integers, since AVX-512's instruction
// takes denormals for zero; every NaN becomes the same one.
template <class T, class DF>
HWY_INLINE hn::Vec<hn::Rebind<T, DF>> Narrow(DF, hn::Vec<DF> in) {
  const hn::Rebind<T, DF> dt;
  if constexpr (std::is_same_v<T, hwy::bfloat16_t>) {
    const hn::RebindToUnsigned<DF> d32;
    const hn::Rebind<uint16_t, DF> d16;
    const auto bits = hn::BitCast(d32, in);
    const auto odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(d32, 1));
    const auto rounded = hn::ShiftRight<16>(hn::Add(bits, hn::Add(odd, hn::Set(d32, 0x7FFF))));
    const auto number = hn::RebindMask(d32, hn::Eq(in, in));
    return hn::BitCast(dt, hn::TruncateTo(d16, hn::IfThenElse(number, rounded, hn::Set(d32, 0x7FC0))));
  } else {
    return hn::DemoteTo(dt, in);
  }
}

// A vector of fp32, d, from elements of T: float, hwy::bfloat16_t or hwy::float16_t. Exact.
template <class T, class DF>
HWY_INLINE hn::Vec<DF> LoadWide(DF d, const T* in) {
  if constexpr (std::is_same_v<T, float>) {
    return hn::LoadU(d, in);
  } else {
    return Widen<T>(d, hn::LoadU(hn::Rebind<T, DF>(), in));
  }
}

// The same from the first `count` only, fewer than a vector; zeros in the other lanes.
template <class T, class DF>
HWY_INLINE hn::Vec<DF> LoadWideN(DF d, const T* in, size_t count) {
  if constexpr (std::is_same_v<T, float>) {
    return hn::LoadN(d, in, count);
  } else {
    return Widen<T>(d, hn::LoadN(hn::Rebind<T, DF>(), in, count));
  }
}

// `count` elements of T to fp32.
template <class T>
void WidenArray(const void* from, size_t count, float* out) {
  const D d;
  const size_t lanes = hn::Lanes(d);
  const T* in = static_cast<const T*>(from);
  size_t i = 0;
  for (; i + lanes <= count; i += lanes) hn::StoreU(LoadWide(d, in + i), d, out + i);
  if (i != count) hn::StoreN(LoadWideN(d, in + i, count - i), d, out + i, count - i);
}

// sum += `count` elements of T.
template <class T>
void AddArray(const void* from, size_t count, float* sum) {
  const D d;
  const size_t lanes = hn::Lanes(d);
  const T* in = static_cast<const T*>(from);
  size_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    hn::StoreU(hn::Add(LoadWide(d, in + i), hn::LoadU(d, sum + i)), d, sum + i);
  }
  if (i == count) return;
  const V last = hn::Add(LoadWideN(d, in + i, count - i), hn::LoadN(d, sum + i, count - i));
  hn::StoreN(last, d, sum + i, count - i);
}

// fp32 to T.
template <class T>
void RoundArray(const float* in, size_t count, void* to) {
  const D d;
  const hn::Rebind<T, D> dt;
  const size_t lanes = hn::Lanes(d);
  T* out = static_cast<T*>(to);
  size_t i = 0;
  for (; i + lanes <= count; i += lanes) hn::StoreU(Narrow<T>(d, hn::LoadU(d, in + i)), dt, out + i);
  if (i != count) hn::StoreN(Narrow<T>(d, hn::LoadN(d, in + i, count - i)), dt, out + i, count - i);
}

template <>
inline void RoundArray<float>(const float* in, size_t count, void* to) {
  std::memcpy(to, in, count * sizeof(float));
}

// By DType.
inline constexpr decltype(&WidenArray<float>) kToF32[] = {WidenArray<float>, WidenArray<hwy::bfloat16_t>,
                                                          WidenArray<hwy::float16_t>};

}  // namespace HWY_NAMESPACE
}  // namespace v0_2
}  // namespace fusedffn
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard

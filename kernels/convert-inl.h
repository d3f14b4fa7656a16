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

// A vector of fp32, d, from elements of T: float, hwy::bfloat16_t or hwy::float16_t. Exact.
template <class T, class DF>
HWY_INLINE hn::Vec<DF> LoadWide(DF d, const T* in) {
  if constexpr (std::is_same_v<T, float>) {
    return hn::LoadU(d, in);
  } else {
    return hn::PromoteTo(d, hn::LoadU(hn::Rebind<T, DF>(), in));
  }
}

// The same from the first `count` only, fewer than a vector; zeros in the other lanes.
template <class T, class DF>
HWY_INLINE hn::Vec<DF> LoadWideN(DF d, const T* in, size_t count) {
  if constexpr (std::is_same_v<T, float>) {
    return hn::LoadN(d, in, count);
  } else {
    return hn::PromoteTo(d, hn::LoadN(hn::Rebind<T, DF>(), in, count));
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

// fp32 to T: to nearest, ties to even. NaN stays NaN.
template <class T>
void RoundArray(const float* in, size_t count, void* to) {
  const D d;
  const hn::Rebind<T, D> dt;
  const size_t lanes = hn::Lanes(d);
  T* out = static_cast<T*>(to);
  size_t i = 0;
  for (; i + lanes <= count; i += lanes) hn::StoreU(hn::DemoteTo(dt, hn::LoadU(d, in + i)), dt, out + i);
  if (i != count) hn::StoreN(hn::DemoteTo(dt, hn::LoadN(d, in + i, count - i)), dt, out + i, count - i);
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

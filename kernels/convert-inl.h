// Compiled once per target. Element types of x and y, in and out.
#if defined(FUSEDFFN_KERNELS_CONVERT_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef FUSEDFFN_KERNELS_CONVERT_INL_H_
#undef FUSEDFFN_KERNELS_CONVERT_INL_H_
#else
#define FUSEDFFN_KERNELS_CONVERT_INL_H_
#endif

#include <cstddef>

#include "hwy/highway.h"
#include "kernels/arithmetic-inl.h"

HWY_BEFORE_NAMESPACE();
namespace fusedffn {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// `count` elements of T, hwy::bfloat16_t or hwy::float16_t, to fp32: exact.
template <class T>
void WidenArray(const void* from, size_t count, void* to) {
  const D d;
  const hn::Rebind<T, D> dt;
  const size_t lanes = hn::Lanes(d);
  const T* in = static_cast<const T*>(from);
  float* out = static_cast<float*>(to);
  size_t i = 0;
  for (; i + lanes <= count; i += lanes) hn::StoreU(hn::PromoteTo(d, hn::LoadU(dt, in + i)), d, out + i);
  if (i != count) hn::StoreN(hn::PromoteTo(d, hn::LoadN(dt, in + i, count - i)), d, out + i, count - i);
}

// fp32 to T: to nearest, ties to even. NaN stays NaN.
template <class T>
void RoundArray(const void* from, size_t count, void* to) {
  const D d;
  const hn::Rebind<T, D> dt;
  const size_t lanes = hn::Lanes(d);
  const float* in = static_cast<const float*>(from);
  T* out = static_cast<T*>(to);
  size_t i = 0;
  for (; i + lanes <= count; i += lanes) hn::StoreU(hn::DemoteTo(dt, hn::LoadU(d, in + i)), dt, out + i);
  if (i != count) hn::StoreN(hn::DemoteTo(dt, hn::LoadN(d, in + i, count - i)), dt, out + i, count - i);
}

}  // namespace HWY_NAMESPACE
}  // namespace fusedffn
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard

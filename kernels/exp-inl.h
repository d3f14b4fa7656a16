// Compiled once per target. What activations need to raise 2 to a power without losing its last bits: numbers
// in two parts, their products, and 2^r.
#if defined(FUSEDFFN_KERNELS_EXP_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef FUSEDFFN_KERNELS_EXP_INL_H_
#undef FUSEDFFN_KERNELS_EXP_INL_H_
#else
#define FUSEDFFN_KERNELS_EXP_INL_H_
#endif

#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace fusedffn {
inline namespace v0_2 {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// A number to about 2^-36 of itself. Products with `hi` are exact: with FMA because they are not rounded,
// without it because `hi` and the other factor have 12 bits each.
template <class V>
struct TwoParts {
  V hi, lo;
  V nearest;  // the sum of both, in one
};

// The leading `bits` bits of a float constant.
constexpr float Leading(float value, int bits) {
  const float large = value * static_cast<float>((1 << (24 - bits)) + 1);
  return large - (large - value);
}

// A constant whose `hi` has no more than `bits` bits.
template <class D>
HWY_INLINE TwoParts<hn::Vec<D>> Constant(D d, double value, int bits = HWY_NATIVE_FMA ? 24 : 12) {
  const float nearest = static_cast<float>(value);
  const float hi = bits == 24 ? nearest : Leading(nearest, bits);
  return {hn::Set(d, hi), hn::Set(d, static_cast<float>(value - hi)), hn::Set(d, nearest)};
}

// The leading 12 bits.
template <class D>
HWY_INLINE hn::Vec<D> Leading12(D d, hn::Vec<D> x) {
  const hn::RebindToUnsigned<D> du;
  return hn::BitCast(d, hn::And(hn::BitCast(du, x), hn::Set(du, 0xFFFFF000u)));
}

#if !HWY_NATIVE_FMA
// n - (x12 + rest) y: the first product is exact, and so is its difference with n.
template <class V>
HWY_INLINE V NegMulAdd12(V x12, V rest, TwoParts<V> y, V n) {
  const V low = hn::Add(hn::Mul(x12, y.lo), hn::Mul(rest, y.nearest));
  return hn::Sub(hn::Sub(n, hn::Mul(x12, y.hi)), low);
}
#endif

// n - x y for |x y| < 2^8 and n within 1 of it, right to 2^-26 or two of them.
template <class D>
HWY_INLINE hn::Vec<D> NegMulAdd(D d, hn::Vec<D> x, TwoParts<hn::Vec<D>> y, hn::Vec<D> n) {
#if HWY_NATIVE_FMA
  (void)d;
  return hn::NegMulAdd(x, y.lo, hn::NegMulAdd(x, y.hi, n));
#else
  const auto x12 = Leading12(d, x);
  return NegMulAdd12(x12, hn::Sub(x, x12), y, n);
#endif
}

template <class D>
HWY_INLINE hn::Vec<D> NegMulAdd(D d, TwoParts<hn::Vec<D>> x, TwoParts<hn::Vec<D>> y, hn::Vec<D> n) {
#if HWY_NATIVE_FMA
  return hn::NegMulAdd(x.lo, y.hi, NegMulAdd(d, x.hi, y, n));
#else
  const auto x12 = Leading12(d, x.hi);
  return NegMulAdd12(x12, hn::Add(hn::Sub(x.hi, x12), x.lo), y, n);
#endif
}

// x^2 = hi + lo.
template <class D>
HWY_INLINE TwoParts<hn::Vec<D>> Square(D d, hn::Vec<D> x) {
#if HWY_NATIVE_FMA
  (void)d;
  const auto hi = hn::Mul(x, x);
  return {hi, hn::MulSub(x, x, hi), hi};
#else
  const auto x12 = Leading12(d, x);
  const auto hi = hn::Mul(x12, x12), lo = hn::Mul(hn::Add(x, x12), hn::Sub(x, x12));
  return {hi, lo, hn::Add(hi, lo)};
#endif
}

// (2^r - 1) / r for |r| <= 1/2: of the minimax polynomial of 2^r, degree 6, relative error 2^-26.
template <class D>
HWY_INLINE hn::Vec<D> Exp2Slope(D d, hn::Vec<D> r) {
  auto p = hn::Set(d, 0.00015353360504377633f);
  p = hn::MulAdd(p, r, hn::Set(d, 0.0013398875016719103f));
  p = hn::MulAdd(p, r, hn::Set(d, 0.00961843691766262f));
  p = hn::MulAdd(p, r, hn::Set(d, 0.055503323674201965f));
  p = hn::MulAdd(p, r, hn::Set(d, 0.24022647738456726f));
  return hn::MulAdd(p, r, hn::Set(d, 0.6931471824645996f));
}

// Added to a float, kShifter rounds it to an integer n, which the sum's low bits hold, too. With the
// exponent's bias of 127 and 64 added as well, a shift makes 2^(n + 64) of them.
inline constexpr float kShifter = 12582912.0f + 127 + 64;  // 1.5 * 2^23 and both

template <class D>
HWY_INLINE hn::Vec<D> ScaleOf(D d, hn::Vec<D> shifted) {
  const hn::RebindToSigned<D> di;
  return hn::BitCast(d, hn::ShiftLeft<23>(hn::BitCast(di, shifted)));
}

}  // namespace HWY_NAMESPACE
}  // namespace v0_2
}  // namespace fusedffn
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard

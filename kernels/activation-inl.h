// Compiled once per target. Activations: a functor each, vector in, vector out.
#if defined(FUSEDFFN_KERNELS_ACTIVATION_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef FUSEDFFN_KERNELS_ACTIVATION_INL_H_
#undef FUSEDFFN_KERNELS_ACTIVATION_INL_H_
#else
#define FUSEDFFN_KERNELS_ACTIVATION_INL_H_
#endif

#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace fusedffn {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

struct Identity {
  template <class D>
  HWY_INLINE hn::Vec<D> operator()(D, hn::Vec<D> x) const {
    return x;
  }
};

// a * b - n, rounded once, for 0 <= a <= 70, b = kC and n within 1 of a * b.
// Without FMA: a and b are cut into halves of 12 bits, whose product is exact, and so is its difference
// with n; what remains is small.
template <class D>
HWY_INLINE hn::Vec<D> ScaledFraction(D d, hn::Vec<D> a, hn::Vec<D> n) {
  // c = 1.702 * log2(e), in two floats.
  constexpr float kHi = 2.4554669857025146f;
  constexpr float kLo = -2.6109498563e-08f;
#if HWY_NATIVE_FMA
  return hn::MulAdd(a, hn::Set(d, kLo), hn::MulSub(a, hn::Set(d, kHi), n));
#else
  constexpr float kHi12 = 2.455078125f;  // the leading 12 bits of kHi
  constexpr float kRest = static_cast<float>(2.45546695959208 - 2.455078125);
  const hn::RebindToUnsigned<D> du;
  const auto a12 = hn::BitCast(d, hn::And(hn::BitCast(du, a), hn::Set(du, 0xFFFFF000u)));
  const auto rest = hn::Add(hn::Mul(a12, hn::Set(d, kRest)), hn::Mul(hn::Sub(a, a12), hn::Set(d, kHi + kLo)));
  return hn::Add(hn::Sub(hn::Mul(a12, hn::Set(d, kHi12)), n), rest);
#endif
}

// x * sigmoid(1.702 x) = x / (1 + 2^(-c x)) with c = 1.702 * log2(e), 1.702 in double precision.
// With e = 2^(-c |x|) <= 1, which never overflows:  x / (1 + e) for x >= 0,  x e / (1 + e) for x < 0.
//
// Range: all floats. -inf -> -0, +inf -> +inf, NaN -> NaN, -0 -> -0; from 16 up the result is x itself.
// Error: at most 4 ULP wherever the result is normal (activation_test goes through all 2^32 floats and
// prints the maximum); below, one rounding to a denormal on top.
// The same operations on every target with FMA, so the same bits.
struct QuickGelu {
  template <class D>
  HWY_INLINE hn::Vec<D> operator()(D d, hn::Vec<D> x) const {
    const hn::RebindToSigned<D> di;
    const auto zero = hn::Zero(d);
    const auto one = hn::Set(d, 1.0f);
    const auto limit = hn::Set(d, 70.0f);  // from here on e rounds to nothing beside 1, and x e to -0
    const auto negative = hn::Lt(x, zero);
    // Comparisons are false for NaN, which therefore stays.
    const auto magnitude = hn::Abs(x);
    const auto a = hn::IfThenElse(hn::Gt(magnitude, limit), limit, magnitude);

    // e = 2^-(n + r), n integer, |r| <= 1/2.
    const auto n = hn::Round(hn::Mul(a, hn::Set(d, 2.4554669857025146f)));
    const auto r = ScaledFraction(d, a, n);
    auto p = hn::Set(d, 0.00015353360504377633f);  // 2^-r: minimax, degree 6, relative error 2^-26
    p = hn::MulAdd(p, hn::Neg(r), hn::Set(d, 0.0013398875016719103f));
    p = hn::MulAdd(p, hn::Neg(r), hn::Set(d, 0.00961843691766262f));
    p = hn::MulAdd(p, hn::Neg(r), hn::Set(d, 0.055503323674201965f));
    p = hn::MulAdd(p, hn::Neg(r), hn::Set(d, 0.24022647738456726f));
    p = hn::MulAdd(p, hn::Neg(r), hn::Set(d, 0.6931471824645996f));
    p = hn::MulAdd(p, hn::Neg(r), one);

    // 2^-n as the product of two normal floats, since n goes up to 172.
    const auto bits = hn::ConvertTo(di, n);
    const auto half = hn::ShiftRight<1>(bits);
    const auto exponent_of_one = hn::Set(di, 127);
    const auto s1 = hn::BitCast(d, hn::ShiftLeft<23>(hn::Sub(exponent_of_one, half)));
    const auto s2 = hn::BitCast(d, hn::ShiftLeft<23>(hn::Sub(exponent_of_one, hn::Sub(bits, half))));
    const auto e = hn::Mul(hn::Mul(p, s1), s2);

    // For x < 0 the division is done before scaling by 2^-n, away from the denormals.
    const auto numerator = hn::IfThenElse(negative, hn::Mul(hn::Neg(a), p), x);
    const auto quotient = hn::Div(numerator, hn::Add(one, e));
    return hn::IfThenElse(negative, hn::Mul(hn::Mul(quotient, s1), s2), quotient);
  }
};

}  // namespace HWY_NAMESPACE
}  // namespace fusedffn
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard

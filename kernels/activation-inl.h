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

// c a - n for c = 1.702 * log2(e), -70 <= a <= 0 and n within 1 of c a, accurate to the last bit or two.
template <class D>
HWY_INLINE hn::Vec<D> ScaledFraction(D d, hn::Vec<D> a, hn::Vec<D> n) {
  constexpr float kHi = 2.4554669857025146f;  // kHi + kLo = c
  constexpr float kLo = -2.6109498563e-08f;
#if HWY_NATIVE_FMA
  return hn::MulAdd(a, hn::Set(d, kLo), hn::MulSub(a, hn::Set(d, kHi), n));
#else
  // The product of the leading 12 bits of a and of c is exact, and so is its difference with n.
  constexpr float kHi12 = 2.455078125f;
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
    // -|x|; from -70 down, e is nothing beside 1, and x e rounds to -0. What becomes of a NaN here does not
    // matter: `numerator` below is x itself then, since a comparison with NaN is false.
    const auto a = hn::Max(hn::Or(x, hn::SignBit(d)), hn::Set(d, -70.0f));

    // e = 2^(n + r), |r| <= 1/2, n an integer. Added to 1.5 * 2^23, c a is rounded to one, which the sum's
    // low bits hold, too: two instructions less than rounding and converting.
    const auto shifter = hn::Set(d, 12582912.0f);
    const auto shifted = hn::MulAdd(a, hn::Set(d, 2.4554669857025146f), shifter);
    const auto r = ScaledFraction(d, a, hn::Sub(shifted, shifter));
    auto p = hn::Set(d, 0.00015353360504377633f);  // 2^r: minimax, degree 6, relative error 2^-26
    p = hn::MulAdd(p, r, hn::Set(d, 0.0013398875016719103f));
    p = hn::MulAdd(p, r, hn::Set(d, 0.00961843691766262f));
    p = hn::MulAdd(p, r, hn::Set(d, 0.055503323674201965f));
    p = hn::MulAdd(p, r, hn::Set(d, 0.24022647738456726f));
    p = hn::MulAdd(p, r, hn::Set(d, 0.6931471824645996f));
    p = hn::MulAdd(p, r, hn::Set(d, 1.0f));

    // n goes down to -172, where 2^n is no normal float, but 2^(n + 64) is one.
    const auto n_plus_64 = hn::Add(hn::BitCast(di, shifted), hn::Set(di, 127 + 64));
    const auto scale = hn::BitCast(d, hn::ShiftLeft<23>(n_plus_64));
    const auto unscale = hn::Set(d, 0x1p-64f);
    const auto one_plus_e = hn::MulAdd(hn::Mul(p, scale), unscale, hn::Set(d, 1.0f));

    // For x < 0, scaled by 2^n after the division, away from the denormals.
    const auto negative = hn::Lt(x, hn::Zero(d));
    const auto numerator = hn::IfThenElse(negative, hn::Mul(a, p), x);
    const auto quotient = hn::Div(numerator, one_plus_e);
    return hn::IfThenElse(negative, hn::Mul(hn::Mul(quotient, scale), unscale), quotient);
  }
};

}  // namespace HWY_NAMESPACE
}  // namespace fusedffn
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard

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

// n - c x for c = 1.702 * log2(e), -70 <= x <= 16 and n within 1 of c x, accurate to the last bit or two.
inline constexpr float kScale = 2.4554669857025146f;     // c to the nearest float, ...
inline constexpr float kScaleRest = -2.6109498563e-08f;  // ... and the rest
template <class D>
HWY_INLINE hn::Vec<D> ScaledFraction(D d, hn::Vec<D> x, hn::Vec<D> n) {
#if HWY_NATIVE_FMA
  return hn::NegMulAdd(x, hn::Set(d, kScaleRest), hn::NegMulAdd(x, hn::Set(d, kScale), n));
#else
  // The product of the leading 12 bits of x and of c is exact, and so is its difference with n.
  constexpr float kScale12 = 2.455078125f;
  constexpr float kRest12 = static_cast<float>(2.45546695959208 - 2.455078125);
  const hn::RebindToUnsigned<D> du;
  const auto x12 = hn::BitCast(d, hn::And(hn::BitCast(du, x), hn::Set(du, 0xFFFFF000u)));
  const auto rest = hn::Add(hn::Mul(x12, hn::Set(d, kRest12)), hn::Mul(hn::Sub(x, x12), hn::Set(d, kScale)));
  return hn::Sub(hn::Sub(n, hn::Mul(x12, hn::Set(d, kScale12))), rest);
#endif
}

// x * sigmoid(1.702 x) = x / (1 + 2^(-c x)) with c = 1.702 * log2(e), 1.702 in double precision.
// With c x = n - r, n an integer and |r| <= 1/2, and both sides of the fraction times 2^(n + 64):
//
//   x 2^(n + 64) / (2^(n + 64) + 2^64 2^r)
//
// where no float overflows or loses bits while the result is a normal one. 17 instructions with FMA.
//
// Range: all floats. -inf -> -0, +inf -> +inf, NaN -> NaN, -0 -> -0; from 16 up the result is x itself.
// Error: at most 4 ULP wherever the result is normal (activation_test goes through all 2^32 floats and
// prints the maximum); below, the quotient is rounded to a denormal.
// The same operations on every target with FMA, so the same bits.
struct QuickGelu {
  template <class D>
  HWY_INLINE hn::Vec<D> operator()(D d, hn::Vec<D> x) const {
    const hn::RebindToSigned<D> di;
    // From -70 down the result rounds to -0. What becomes of a NaN, or of x > 16, does not matter up to the
    // last line.
    const auto a = hn::Max(x, hn::Set(d, -70.0f));

    // Added to 1.5 * 2^23, c a is rounded to an integer, which the sum's low bits hold, too; with the
    // exponent's bias of 127 and 64 added as well, a shift makes 2^(n + 64) of them.
    const auto shifter = hn::Set(d, 12582912.0f + 127 + 64);
    const auto shifted = hn::MulAdd(a, hn::Set(d, kScale), shifter);
    const auto scale = hn::BitCast(d, hn::ShiftLeft<23>(hn::BitCast(di, shifted)));
    const auto r = ScaledFraction(d, a, hn::Sub(shifted, shifter));

    auto p = hn::Set(d, 0.00015353360504377633f);  // 2^r: minimax, degree 6, relative error 2^-26
    p = hn::MulAdd(p, r, hn::Set(d, 0.0013398875016719103f));
    p = hn::MulAdd(p, r, hn::Set(d, 0.00961843691766262f));
    p = hn::MulAdd(p, r, hn::Set(d, 0.055503323674201965f));
    p = hn::MulAdd(p, r, hn::Set(d, 0.24022647738456726f));
    p = hn::MulAdd(p, r, hn::Set(d, 0.6931471824645996f));
    p = hn::MulAdd(p, r, hn::Set(d, 1.0f));

    const auto denominator = hn::MulAdd(p, hn::Set(d, 0x1p64f), scale);
    const auto quotient = hn::Div(hn::Mul(a, scale), denominator);
    return hn::IfThenElse(hn::Le(x, hn::Set(d, 16.0f)), quotient, x);
  }
};

}  // namespace HWY_NAMESPACE
}  // namespace fusedffn
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard

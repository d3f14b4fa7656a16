// Compiled once per target. Activations: a functor each, vector in, vector out.
//
// Error: at most 4 ULP wherever the result is normal (activation_test goes through all 2^32 floats and prints
// the maximum), 4 * 2^-149 where it is not. NaN -> NaN and +inf -> +inf; each functor names its other limits.
// The same operations on every target with FMA, so the same bits.
#if defined(FUSEDFFN_KERNELS_ACTIVATION_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef FUSEDFFN_KERNELS_ACTIVATION_INL_H_
#undef FUSEDFFN_KERNELS_ACTIVATION_INL_H_
#else
#define FUSEDFFN_KERNELS_ACTIVATION_INL_H_
#endif

#include "hwy/highway.h"
#include "kernels/exp-inl.h"

HWY_BEFORE_NAMESPACE();
namespace fusedffn {
inline namespace v0_2 {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

inline constexpr double kLog2E = 1.4426950408889634;

// x * sigmoid(z ln 2) = x / (1 + 2^-z) with z = x * Z::Slope(x). With z = n - r, n an integer and
// |r| <= 1/2, and both sides of the fraction times 2^(n + 64):
//
//   x 2^(n + 64) / (2^(n + 64) + 2^64 2^r)
//
// where no float overflows or loses bits while the result is a normal one.
//
// From Z::kLowest down the result rounds to -0, from Z::kHighest up it is x itself. -inf -> -0, -0 -> -0.
template <class Z>
struct TimesSigmoid {
  template <class D>
  HWY_INLINE hn::Vec<D> operator()(D d, hn::Vec<D> x) const {
    // What becomes of a NaN, or of x > kHighest, does not matter up to the last line.
    const auto a = hn::Max(x, hn::Set(d, Z::kLowest));
    const TwoParts<hn::Vec<D>> slope = Z::Slope(d, a);
    const auto shifted = hn::MulAdd(a, slope.nearest, hn::Set(d, kShifter));
    const auto scale = ScaleOf(d, shifted);
    const auto r = NegMulAdd(d, a, slope, hn::Sub(shifted, hn::Set(d, kShifter)));
    const auto power = hn::MulAdd(Exp2Slope(d, r), r, hn::Set(d, 1.0f));
    const auto denominator = hn::MulAdd(power, hn::Set(d, 0x1p64f), scale);
    const auto quotient = hn::Div(hn::Mul(a, scale), denominator);
    return hn::IfThenElse(hn::Le(x, hn::Set(d, Z::kHighest)), quotient, x);
  }
};

struct QuickGeluExponent {
  static constexpr float kLowest = -70.0f, kHighest = 16.0f;
  template <class D>
  static HWY_INLINE TwoParts<hn::Vec<D>> Slope(D d, hn::Vec<D> /*x*/) {
    return Constant(d, 1.702 * kLog2E);
  }
};

struct SiluExponent {
  static constexpr float kLowest = -110.0f, kHighest = 20.0f;
  template <class D>
  static HWY_INLINE TwoParts<hn::Vec<D>> Slope(D d, hn::Vec<D> /*x*/) {
    return Constant(d, kLog2E);
  }
};

// 2 sqrt(2/pi) log2(e) (1 + 0.044715 x^2) = c0 + c1 x^2, in two parts: the product with x is near 150 where
// results become denormal, and must be right to 2^-26 there, too.
struct GeluTanhExponent {
  static constexpr float kLowest = -11.0f, kHighest = 6.0f;
  static constexpr double kC0 = 1.5957691216057308 * kLog2E, kC1 = 0.044715 * kC0;
  template <class D>
  static HWY_INLINE TwoParts<hn::Vec<D>> Slope(D d, hn::Vec<D> x) {
    const auto c1 = Constant(d, kC1);
    const auto s = Square(d, x);
#if HWY_NATIVE_FMA
    const auto c0 = Constant(d, kC0, 20);  // so that hi - c0.hi below is exact
    const auto hi = hn::MulAdd(s.hi, c1.hi, c0.hi);
    auto lo = hn::MulSub(s.hi, c1.hi, hn::Sub(hi, c0.hi));
    lo = hn::Add(hn::MulAdd(s.lo, c1.hi, lo), hn::MulAdd(s.hi, c1.lo, c0.lo));
    return {hi, lo, hi};
#else
    const auto c0 = Constant(d, kC0);
    const auto nearest = hn::MulAdd(s.nearest, c1.nearest, c0.nearest);
    const auto hi = Leading12(d, nearest);
    const auto s12 = Leading12(d, s.hi), s_rest = hn::Add(hn::Sub(s.hi, s12), s.lo);
    // Products of 12 bits by 12, differences of near numbers: as good as exact.
    const auto lo = hn::MulAdd(s12, c1.hi, hn::Sub(c0.hi, hi));
    const auto rest = hn::MulAdd(s12, c1.lo, hn::MulAdd(s_rest, c1.nearest, c0.lo));
    return {hi, hn::Add(lo, rest), nearest};
#endif
  }
};

using QuickGelu = TimesSigmoid<QuickGeluExponent>;
using Silu = TimesSigmoid<SiluExponent>;
using GeluTanh = TimesSigmoid<GeluTanhExponent>;

// x Phi(x), Phi the normal distribution's integral = erfc(-x / sqrt(2)) / 2. With t = |x|,
//
//   t Phi(-t) = e^(-t^2 / 2) w p(w),  w = t / (t + k),
//
// where nothing cancels, and x Phi(x) is that less than 0 for negative x, and less than x for others.
// From -14.36 down the result rounds to -0, from 5.5 up it is x itself. -inf -> -0, -0 -> -0.
struct Gelu {
  template <class D>
  HWY_INLINE hn::Vec<D> operator()(D d, hn::Vec<D> x) const {
    const auto t = hn::Min(hn::Abs(x), hn::Set(d, 14.375f));

    // e^(-t^2 / 2) = 2^n 2^r
    const auto c = Constant(d, 0.5 * kLog2E);
    const auto s = Square(d, t);
    const auto shifted = hn::NegMulAdd(s.nearest, c.nearest, hn::Set(d, kShifter));
    const auto r = NegMulAdd(d, s, c, hn::Sub(hn::Set(d, kShifter), shifted));

    const auto w = hn::Div(t, hn::Add(t, hn::Set(d, 2.5810546875f)));  // k
    const auto p = TailOf(d, hn::Sub(w, hn::Set(d, 0.25f)));
    // w 2^64 e^(-t^2 / 2), 2^64 so that no bits get lost before the last product. Not 2^r by itself, which
    // would be rounded once more.
    const auto scaled = hn::Mul(w, ScaleOf(d, shifted));
    const auto e = hn::MulAdd(hn::Mul(Exp2Slope(d, r), r), scaled, scaled);

    // NaN is in here again, whatever Min() has made of it; and -0, which stays one.
    const auto positive = hn::IfThenElse(hn::Lt(x, hn::Zero(d)), hn::Set(d, -0.0f), x);
    return hn::NegMulAdd(e, p, positive);
  }

 private:
  // (t + k) e^(t^2 / 2) Phi(-t) 2^-64 of q = w - 1/4, for t up to 14.375: minimax, degree 9, relative error
  // 2^-27.2 with coefficients that are floats, for which this k was chosen. Powers of w - 1/2, k = 3.375, and
  // degree 8 with k = 2.89 or 3.78 came to 0.2 to 0.5 ULP more on a sample.
  template <class D>
  static HWY_INLINE hn::Vec<D> TailOf(D d, hn::Vec<D> q) {
    constexpr float kDown = 0x1p-64f;
    auto p = hn::Set(d, -0.074027285f * kDown);
    p = hn::MulAdd(p, q, hn::Set(d, 0.0673674047f * kDown));
    p = hn::MulAdd(p, q, hn::Set(d, 0.0825510621f * kDown));
    p = hn::MulAdd(p, q, hn::Set(d, 0.00769897457f * kDown));
    p = hn::MulAdd(p, q, hn::Set(d, -0.14371945f * kDown));
    p = hn::MulAdd(p, q, hn::Set(d, -0.15513204f * kDown));
    p = hn::MulAdd(p, q, hn::Set(d, 0.241443038f * kDown));
    p = hn::MulAdd(p, q, hn::Set(d, 0.491290122f * kDown));
    p = hn::MulAdd(p, q, hn::Set(d, -1.17373276f * kDown));
    return hn::MulAdd(p, q, hn::Set(d, 0.97062856f * kDown));
  }
};

// max(x, 0). -inf -> 0, -0 -> -0.
struct Relu {
  template <class D>
  HWY_INLINE hn::Vec<D> operator()(D d, hn::Vec<D> x) const {
    return hn::IfThenZeroElse(hn::Lt(x, hn::Zero(d)), x);  // Max() treats NaN and -0 as the target does
  }
};

// max(x, 0)^2. -inf -> 0, -0 -> 0; from 2^64 up the result is inf.
struct Relu2 {
  template <class D>
  HWY_INLINE hn::Vec<D> operator()(D d, hn::Vec<D> x) const {
    const auto relu = Relu()(d, x);
    return hn::Mul(relu, relu);
  }
};

// x * clamp(x + 3, 0, 6) / 6: -0 from -3 down, x itself from 3 up, as MobileNetV3 has it. -inf -> -0, -0 ->
// -0.
struct HardSwish {
  template <class D>
  HWY_INLINE hn::Vec<D> operator()(D d, hn::Vec<D> x) const {
    const auto three = hn::Set(d, 3.0f);
    const auto a = hn::Max(hn::Min(x, three), hn::Neg(three));  // the sum is exact where it cancels
    const auto share = hn::Mul(hn::Add(a, three), hn::Set(d, 1.0f / 6));
    return hn::IfThenElse(hn::Lt(x, three), hn::Mul(a, share), x);  // NaN is itself
  }
};

struct Identity {
  template <class D>
  HWY_INLINE hn::Vec<D> operator()(D /*d*/, hn::Vec<D> x) const {
    return x;
  }
};

// By fusedffn::Activation.
template <class... Act>
struct ActivationList {};
using Activations = ActivationList<QuickGelu, Gelu, GeluTanh, Silu, Relu, Relu2, Identity, HardSwish>;

}  // namespace HWY_NAMESPACE
}  // namespace v0_2
}  // namespace fusedffn
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard

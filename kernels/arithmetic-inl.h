// Compiled once per target. The kinds of numbers that a tile multiplies. Each says what one step of k reads
// from a row of A and from a column of B, how B's vectors are loaded, and how a product joins its sum.
#if defined(FUSEDFFN_KERNELS_ARITHMETIC_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef FUSEDFFN_KERNELS_ARITHMETIC_INL_H_
#undef FUSEDFFN_KERNELS_ARITHMETIC_INL_H_
#else
#define FUSEDFFN_KERNELS_ARITHMETIC_INL_H_
#endif

#include <cstddef>
#include <cstdint>

#include "hwy/highway.h"
#include "kernels/kernels.h"

HWY_BEFORE_NAMESPACE();
namespace fusedffn {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using D = hn::CappedTag<float, 16>;
using V = hn::Vec<D>;

// fp32 throughout: the sum is one chain of FMAs.
struct F32 {
  using A = float;
  using B = float;
  using C = float;

  // Vector v of `vecs` for one of several steps that begin at b.
  static HWY_INLINE V LoadB(const float* HWY_RESTRICT b, size_t step, size_t v, size_t vecs) {
    const D d;
    return hn::Load(d, b + (step * vecs + v) * hn::Lanes(d));
  }
  static HWY_INLINE V LoadA(const float* HWY_RESTRICT a) { return hn::Set(D(), *a); }
  static HWY_INLINE V MulAdd(V a, V b, V c) { return hn::MulAdd(a, b, c); }
};

// A and sums as above; B in bf16, two steps of k side by side in 32 bits (see pack.h), widened when loaded:
// bf16 is the upper half of an fp32, so the first step wants a shift and the second a mask. Steps begin at an
// even k.
struct BF16Widened {
  using A = float;
  using B = uint16_t;
  using C = float;

  static HWY_INLINE V LoadB(const uint16_t* HWY_RESTRICT b, size_t step, size_t v, size_t vecs) {
    const D d;
    const hn::RebindToUnsigned<D> du;
    const uint16_t* const pairs = b + 2 * (step / 2 * vecs + v) * hn::Lanes(d);
    const auto bits = hn::Load(du, reinterpret_cast<const uint32_t*>(pairs));
    return hn::BitCast(d, step % 2 == 0 ? hn::ShiftLeft<16>(bits) : hn::And(bits, hn::Set(du, 0xFFFF0000u)));
  }
  static HWY_INLINE V LoadA(const float* HWY_RESTRICT a) { return F32::LoadA(a); }
  static HWY_INLINE V MulAdd(V a, V b, V c) { return hn::MulAdd(a, b, c); }
};

template <class Math>
using VecB = decltype(Math::LoadB(nullptr, 0, 0, 0));
template <class Math>
using VecC = hn::Vec<hn::Rebind<typename Math::C, D>>;

}  // namespace HWY_NAMESPACE
}  // namespace fusedffn
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard

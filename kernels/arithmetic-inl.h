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

// An fp32 of A, for all lanes of a vector of B. NEON's fmla takes it from a register's lowest lane. The load
// into every lane (ld1r), which compilers take for some, occupies a vector pipe, which the plain one does
// not: 60 cycles instead of 48 for four steps of 6x16 on Neoverse N1, 32 instead of 24 on V2, by llvm-mca 19.
// So the float comes from nowhere that they know of.
#if HWY_TARGET & HWY_ALL_NEON
using Factor = float;
HWY_INLINE Factor LoadFactor(const float* HWY_RESTRICT a) {
  float factor = *a;
  asm volatile("" : "+w"(factor));
  return factor;
}
HWY_INLINE V MulAddFactor(Factor a, V b, V c) { return hn::MulAdd(hn::Set(D(), a), b, c); }
#else
using Factor = V;
HWY_INLINE Factor LoadFactor(const float* HWY_RESTRICT a) { return hn::Set(D(), *a); }
HWY_INLINE V MulAddFactor(Factor a, V b, V c) { return hn::MulAdd(a, b, c); }
#endif

// fp32 throughout: the sum is one chain of FMAs.
struct F32 {
  using A = float;
  using B = float;

  // Vector v of `vecs` for one of several steps that begin at b.
  static HWY_INLINE V LoadB(const float* HWY_RESTRICT b, size_t step, size_t v, size_t vecs) {
    const D d;
    return hn::Load(d, b + (step * vecs + v) * hn::Lanes(d));
  }
  static HWY_INLINE Factor LoadA(const float* HWY_RESTRICT a) { return LoadFactor(a); }
  static HWY_INLINE V MulAdd(Factor a, V b, V c) { return MulAddFactor(a, b, c); }
};

// A and sums as above; B in bf16, two steps of k side by side in 32 bits (see pack.h), widened when loaded:
// bf16 is the upper half of an fp32. Steps begin at an even k.
struct BF16Widened {
  using A = float;
  using B = uint16_t;

  // The upper one of each pair of bits. A mask needs a register, which AVX2 does not have.
  static HWY_INLINE V Upper(hn::Vec<hn::RebindToUnsigned<D>> bits) {
    const D d;
#if HWY_TARGET <= HWY_AVX3 || HWY_ARCH_ARM
    return hn::BitCast(d, hn::And(bits, hn::Set(hn::RebindToUnsigned<D>(), 0xFFFF0000u)));
#else
    return hn::BitCast(d, hn::ShiftLeft<16>(hn::ShiftRight<16>(bits)));
#endif
  }

  static HWY_INLINE V LoadB(const uint16_t* b, size_t step, size_t v, size_t vecs) {
    const D d;
    const hn::RebindToUnsigned<D> du;
    // Each of the two steps loads for itself: compilers would keep the first one's vectors, and spill.
    if (step % 2 != 0) asm("" : "+r"(b));
    const uint16_t* const pairs = b + 2 * (step / 2 * vecs + v) * hn::Lanes(d);
    const auto bits = hn::Load(du, reinterpret_cast<const uint32_t*>(pairs));
    V wide = step % 2 == 0 ? hn::BitCast(d, hn::ShiftLeft<16>(bits)) : Upper(bits);
#if HWY_COMPILER_GCC_ACTUAL && HWY_ARCH_X86 && HWY_NATIVE_FMA
    asm("" : "+v"(wide.raw));  // gcc 12 takes this for integers otherwise, and copies it for the FMA
#elif HWY_COMPILER_GCC_ACTUAL && (HWY_TARGET & HWY_ALL_NEON)
    asm("" : "+w"(wide.raw));
#endif
    return wide;
  }
  static HWY_INLINE Factor LoadA(const float* HWY_RESTRICT a) { return LoadFactor(a); }
  static HWY_INLINE V MulAdd(Factor a, V b, V c) { return MulAddFactor(a, b, c); }
};

// Highway 1.2 also claims the instruction for NEON targets that it compiles after NEON_BF16, and there its
// function leaves a half of the sum in the vector that is not used below.
#undef FUSEDFFN_HAVE_BF16_DOT
#define FUSEDFFN_HAVE_BF16_DOT (HWY_NATIVE_DOT_BF16 && !(HWY_TARGET & (HWY_NEON | HWY_NEON_WITHOUT_AES)))
#if FUSEDFFN_HAVE_BF16_DOT
// A and B in bf16. A step is two of k, for one instruction; sums in fp32.
struct BF16Dot {
  using A = uint32_t;  // two of one row
  using B = uint32_t;  // two of one column, see pack.h
  using DBF16 = hn::Repartition<hwy::bfloat16_t, D>;

  static HWY_INLINE hn::Vec<DBF16> LoadB(const uint32_t* HWY_RESTRICT b, size_t step, size_t v, size_t vecs) {
    const hn::RebindToUnsigned<D> du;
    return hn::BitCast(DBF16(), hn::Load(du, b + (step * vecs + v) * hn::Lanes(du)));
  }
  static HWY_INLINE hn::Vec<DBF16> LoadA(const uint32_t* HWY_RESTRICT a) {
    auto pair = hn::Set(hn::RebindToUnsigned<D>(), *a);
#if HWY_COMPILER_CLANG && HWY_ARCH_X86
    // clang 16 recurses without end when it finds a broadcast that becomes bf16.
    asm("" : "+v"(pair.raw));
#endif
    return hn::BitCast(DBF16(), pair);
  }
  static HWY_INLINE V MulAdd(hn::Vec<DBF16> a, hn::Vec<DBF16> b, V c) {
    V unused = hn::Zero(D());  // with the instruction, all of the sum is in the first
    return hn::ReorderWidenMulAccumulate(D(), a, b, c, unused);
  }
};
#endif

template <class Math>
using VecB = decltype(Math::LoadB(nullptr, 0, 0, 0));

}  // namespace HWY_NAMESPACE
}  // namespace fusedffn
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard

// Compiled once per target. One tile of C in registers.
//
//   registers for kRows x kVecs:  accumulators + kVecs of B + 1 of A
//   AVX-512  8 x 3 vectors (8x48)   24 + 3 + 1 = 28 of 32
//   AVX2     6 x 2 vectors (6x16)   12 + 2 + 1 = 15 of 16
//   NEON     6 x 4 vectors (6x16)   24 + 4 + 1 = 29 of 32
//
// Every element is one chain: C0, then k = 0, 1, ... The chain is continued, never added to another one,
// when a later chunk of k loads C. So the result's bits depend on neither the tile's shape nor kKc.
#if defined(FUSEDFFN_KERNELS_MICROKERNEL_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef FUSEDFFN_KERNELS_MICROKERNEL_INL_H_
#undef FUSEDFFN_KERNELS_MICROKERNEL_INL_H_
#else
#define FUSEDFFN_KERNELS_MICROKERNEL_INL_H_
#endif

#include "hwy/cache_control.h"
#include "hwy/highway.h"
#include "kernels/arithmetic-inl.h"
#include "kernels/kernels.h"

HWY_BEFORE_NAMESPACE();
namespace fusedffn {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

#if HWY_TARGET <= HWY_AVX3 || (HWY_ARCH_ARM && HWY_TARGET != HWY_EMU128 && HWY_TARGET != HWY_SCALAR)
inline constexpr size_t kTileRows = HWY_ARCH_ARM ? 6 : 8;
inline constexpr size_t kTileVecs = HWY_ARCH_ARM ? 4 : 3;
#else
inline constexpr size_t kTileRows = 6;
inline constexpr size_t kTileVecs = 2;
#endif
inline constexpr size_t kUnroll = 4;

// gcc lets an FMA's result take over the register of any operand that dies with it. Where that is not the
// accumulator, accumulators wander from register to register in the unrolled loop, and are copied back or
// spilled at its end: 19 of the 36 tiles of AVX2 and AVX-512 with gcc 12; a 5x16 tile that spills took 1.23
// times as long (Zen 4). 15 of 48 tiles of NEON as well. So the other operands are kept alive until all that
// use them are through.
template <class Vector>
HWY_INLINE void KeepAlive(const Vector& v) {
#if HWY_COMPILER_GCC_ACTUAL && HWY_ARCH_X86 && HWY_NATIVE_FMA
  asm volatile("" : : "v"(v.raw));
#elif HWY_COMPILER_GCC_ACTUAL && (HWY_TARGET & HWY_ALL_NEON)
  asm volatile("" : : "w"(v.raw));
#else
  (void)v;
#endif
}
#if HWY_TARGET & HWY_ALL_NEON
HWY_INLINE void KeepAlive(const float& factor) {
#if HWY_COMPILER_GCC_ACTUAL
  asm volatile("" : : "w"(factor));
#else
  (void)factor;
#endif
}
#endif

// clang loads so far ahead for NEON that it spills accumulators: 26 stack accesses and 7 copies in a k loop
// of 6x16 with clang 19. So no row's FMAs move past the next row's.
template <class Vector>
HWY_INLINE void KeepInOrder(Vector& v) {
#if HWY_COMPILER_CLANG && (HWY_TARGET & HWY_ALL_NEON)
  asm volatile("" : "+w"(v.raw));
#else
  (void)v;
#endif
}

// kSteps steps of k: acc[r][v] += a[r][k] * b[k][v]. On the way asks for kLines lines of `next`.
template <class Math, size_t kSteps, size_t kLines, size_t kRows, size_t kVecs>
HWY_INLINE void Steps(const typename Math::A* HWY_RESTRICT a, const typename Math::B* HWY_RESTRICT b,
                      VecSum<Math> (&acc)[kRows][kVecs], const char* next) {
  HWY_UNROLL(8)
  for (size_t step = 0; step < kSteps; ++step) {
    VecB<Math> bv[kVecs];
    HWY_UNROLL(8)
    for (size_t v = 0; v < kVecs; ++v) bv[v] = Math::LoadB(b, step, v, kVecs);
    HWY_UNROLL(8)
    for (size_t line = step * kLines / kSteps; line < (step + 1) * kLines / kSteps; ++line) {
      __builtin_prefetch(next + line * kLineBytes, 0, 2);
    }
    HWY_UNROLL(16)
    for (size_t r = 0; r < kRows; ++r) {
      const auto ar = Math::LoadA(a + r * kAStride + step);
      HWY_UNROLL(8)
      for (size_t v = 0; v < kVecs; ++v) acc[r][v] = Math::MulAdd(ar, bv[v], acc[r][v]);
      KeepAlive(ar);
      HWY_UNROLL(8)
      for (size_t v = 0; v < kVecs; ++v) KeepInOrder(acc[r][v]);
    }
    HWY_UNROLL(8)
    for (size_t v = 0; v < kVecs; ++v) KeepAlive(bv[v]);
  }
}

// C[kRows][kVecs * lanes] = C0 + A * B over k steps; C0 is `bias` in every row, or C if bias is null.
// Prefetches kLines lines of `next` into L2 for each kUnroll steps, never with a branch in the loop.
template <class Math, size_t kRows, size_t kVecs, size_t kLines>
HWY_NOINLINE void Tile(const typename Math::A* HWY_RESTRICT a, const typename Math::B* HWY_RESTRICT b,
                       size_t k, const typename Math::Sum* HWY_RESTRICT bias,
                       typename Math::Sum* HWY_RESTRICT c, size_t ldc, const char* next) {
  const hn::Rebind<typename Math::Sum, D> d;
  const size_t lanes = hn::Lanes(d);
  const size_t b_step = kVecs * lanes;
  VecSum<Math> acc[kRows][kVecs];
  const auto* c0 = bias ? bias : c;
  const size_t ldc0 = bias ? 0 : ldc;
  HWY_UNROLL(16)
  for (size_t r = 0; r < kRows; ++r) {
    HWY_UNROLL(8)
    for (size_t v = 0; v < kVecs; ++v) acc[r][v] = hn::Load(d, c0 + r * ldc0 + v * lanes);
  }

  const auto* const b_unrolled = b + k / kUnroll * kUnroll * b_step;
  while (b != b_unrolled) {
    Steps<Math, kUnroll, kLines>(a, b, acc, next);
    a += kUnroll;
    b += kUnroll * b_step;
    next += kLines * kLineBytes;
  }
  if (k & 2) {
    Steps<Math, 2, 0>(a, b, acc, next);
    a += 2;
    b += 2 * b_step;
  }
  if (k & 1) Steps<Math, 1, 0>(a, b, acc, next);

  HWY_UNROLL(16)
  for (size_t r = 0; r < kRows; ++r) {
    HWY_UNROLL(8)
    for (size_t v = 0; v < kVecs; ++v) hn::Store(acc[r][v], d, c + r * ldc + v * lanes);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace fusedffn
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard

// Compiled once per target. One tile of C in registers.
//
//   registers for kRows x kVecs:  accumulators + kVecs of B + 1 of A
//   AVX-512  8 x 3 vectors (8x48)   24 + 3 + 1 = 28 of 32
//   Zen 4's  6 x 4 vectors (6x64)   24 + 4 + 1 = 29 of 32
//   AVX2     6 x 2 vectors (6x16)   12 + 2 + 1 = 15 of 16
//   NEON     6 x 4 vectors (6x16)   24 + 4 + 1 = 29 of 32
//
// Few rows take a pair of panels at once, or their chains are too few to hide a multiply-add's latency:
//
//   AVX-512  2 x 2 x 3 vectors      12 + 6 + 1 = 19 of 32
//   Zen 4's  2 x 2 x 4 vectors      16 + 8 + 1 = 25 of 32
//   AVX2     2 x 2 x 2 vectors       8 + 4 + 1 = 13 of 16
//   NEON     2 x 2 x 4 vectors      16 + 8 + 1 = 25 of 32
//
// Every element is one chain: C0, then k = 0, 1, ... The chain is continued, never added to another one,
// when a later chunk of k loads C. So the result's bits depend on neither the tile's shape nor kKc.
#if defined(FUSEDFFN_KERNELS_MICROKERNEL_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef FUSEDFFN_KERNELS_MICROKERNEL_INL_H_
#undef FUSEDFFN_KERNELS_MICROKERNEL_INL_H_
#else
#define FUSEDFFN_KERNELS_MICROKERNEL_INL_H_
#endif

#include <cstddef>

#include "hwy/highway.h"
#include "kernels/mma-inl.h"
#include "kernels/tuning-inl.h"

HWY_BEFORE_NAMESPACE();
namespace fusedffn {
inline namespace v0_2 {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// clang loads so far ahead for NEON that it spills accumulators. So no row's FMAs move past the next row's.
template <class Vector>
HWY_INLINE void KeepInOrder(Vector& v) {
#if HWY_COMPILER_CLANG && (HWY_TARGET & HWY_ALL_NEON)
  asm volatile("" : "+w"(v.raw));
#else
  (void)v;
#endif
}

// Tiles whose accumulators gcc 12 moves about whatever is kept alive. To hide the sums from it helps these,
// and is worse for others. See bench/results/tuning.md.
template <class Mma, size_t kRows, size_t kVecs>
inline constexpr bool kHideSums = HWY_COMPILER_GCC_ACTUAL && HWY_ARCH_X86 && kVecs == 4 &&
                                  kRows == (sizeof(typename Mma::B) == sizeof(float) ? 4 : 1);

// kSteps steps of k: acc[r][v] += a[r][k] * b[k][v], where b are kPanels panels, `b_panel` elements apart. On
// the way asks for kLines lines of `next` for each panel.
template <class Mma, size_t kPanels, size_t kSteps, size_t kLines, bool kIntoL1, size_t kRows, size_t kVecs>
HWY_INLINE void Steps(const typename Mma::A* HWY_RESTRICT a, const typename Mma::B* HWY_RESTRICT b,
                      size_t b_panel, VecSum<Mma> (&acc)[kRows][kVecs], const char* next) {
  constexpr size_t kPanelVecs = kVecs / kPanels;
  HWY_UNROLL(8)
  for (size_t step = 0; step < kSteps; ++step) {
    VecB<Mma> bv[kVecs];
    HWY_UNROLL(8)
    for (size_t v = 0; v < kVecs; ++v) {
      bv[v] = Mma::LoadB(b + v / kPanelVecs * b_panel, step, v % kPanelVecs, kPanelVecs);
    }
    HWY_UNROLL(8)
    for (size_t line = step * kLines / kSteps; line < (step + 1) * kLines / kSteps; ++line) {
      HWY_UNROLL(2)
      for (size_t panel = 0; panel < kPanels; ++panel) {
        const char* of_panel = next + panel * b_panel * sizeof(typename Mma::B);
        // Else compilers keep the distances of all its lines in registers, of which there are not enough.
        if (kVecs == 8 && HWY_ARCH_X86) asm("" : "+r"(of_panel));
        __builtin_prefetch(of_panel + line * kLineBytes, 0, kIntoL1 ? 3 : 2);
        if (kIntoL1 && kPanels == 1) {
          __builtin_prefetch(of_panel + line * kLineBytes + kFurtherBytes, 0, 2);
        }
      }
    }
    HWY_UNROLL(16)
    for (size_t r = 0; r < kRows; ++r) {
      const auto ar = Mma::LoadA(a + r * kAStride + step);
      HWY_UNROLL(8)
      for (size_t v = 0; v < kVecs; ++v) {
        acc[r][v] = Mma::MulAdd(ar, bv[v], acc[r][v]);
        if (kHideSums<Mma, kRows, kVecs>) Opaque(acc[r][v]);
      }
      KeepAlive(ar);
      HWY_UNROLL(8)
      for (size_t v = 0; v < kVecs; ++v) KeepInOrder(acc[r][v]);
    }
    // A single row's multiply-adds take B from memory, and to keep it alive would be to load it once more.
    HWY_UNROLL(8)
    for (size_t v = 0; kRows > 1 && v < kVecs; ++v) KeepAlive(bv[v]);
  }
}

// int8: of a tile's columns, and its rows, in the group that is multiplied.
struct GroupQuant {
  const float* b_scale;
  const int32_t* b_sum;
  const RowQuant* a_quant;  // kQuantStride apart
};

// Where a tile's rows of C are, and what they start from.
struct TileOfC : GroupQuant {
  const float* bias;  // C0 in every row; or null: C itself
  float* c;
  size_t ldc;

  const float* c0() const { return bias ? bias : c; }
  size_t ldc0() const { return bias ? 0 : ldc; }
};

// Sums start from C0 and become C.
template <size_t kRows, size_t kVecs>
HWY_INLINE void Begin(const TileOfC& tile, V (&acc)[kRows][kVecs]) {
  const D d;
  const float* const c0 = tile.c0();
  HWY_UNROLL(16)
  for (size_t r = 0; r < kRows; ++r) {
    HWY_UNROLL(8)
    for (size_t v = 0; v < kVecs; ++v) acc[r][v] = hn::Load(d, c0 + r * tile.ldc0() + v * hn::Lanes(d));
  }
}

template <size_t kRows, size_t kVecs>
HWY_INLINE void End(const TileOfC& tile, const V (&acc)[kRows][kVecs]) {
  const D d;
  HWY_UNROLL(16)
  for (size_t r = 0; r < kRows; ++r) {
    HWY_UNROLL(8)
    for (size_t v = 0; v < kVecs; ++v) hn::Store(acc[r][v], d, tile.c + r * tile.ldc + v * hn::Lanes(d));
  }
}

// Exact sums start from 0, and what they are worth is added to C0.
template <size_t kRows, size_t kVecs>
HWY_INLINE void Begin(const TileOfC& /*tile*/, hn::Vec<DI32> (&acc)[kRows][kVecs]) {
  HWY_UNROLL(16)
  for (size_t r = 0; r < kRows; ++r) {
    HWY_UNROLL(8)
    for (size_t v = 0; v < kVecs; ++v) acc[r][v] = hn::Zero(DI32());
  }
}

// What a vector of sums of one row of A is worth, added to `start`; `column` is its first one in the tile.
// The sum over a group of (q - zero) * b is that of q * b less zero times that of b.
HWY_INLINE V Dequantized(const GroupQuant& group, const RowQuant& row, hn::Vec<DI32> acc, V start,
                         size_t column) {
  const D d;
  const DI32 di32;
  const auto zeros = hn::Mul(hn::Set(di32, row.zero), hn::Load(di32, group.b_sum + column));
  const V sum = hn::ConvertTo(d, hn::Sub(acc, zeros));
  const V scale = hn::Mul(hn::Set(d, row.scale), hn::Load(d, group.b_scale + column));
  return hn::MulAdd(sum, scale, start);
}

template <size_t kRows, size_t kVecs>
HWY_INLINE void End(const TileOfC& tile, const hn::Vec<DI32> (&acc)[kRows][kVecs]) {
  const D d;
  const size_t lanes = hn::Lanes(d);
  const float* const c0 = tile.c0();
  const RowQuant* const a_quant = tile.a_quant;
  HWY_UNROLL(16)
  for (size_t r = 0; r < kRows; ++r) {
    const RowQuant& row = a_quant[r * kQuantStride];
    HWY_UNROLL(8)
    for (size_t v = 0; v < kVecs; ++v) {
      const V start = hn::Load(d, c0 + r * tile.ldc0() + v * lanes);
      hn::Store(Dequantized(tile, row, acc[r][v], start, v * lanes), d, tile.c + r * tile.ldc + v * lanes);
    }
  }
}

// C[kRows][kPanels * kVecs * lanes] = C0 + A * B over k steps, with B's panels b_panel elements apart.
// Prefetches kLines lines of `next`, for each panel, into L1 or L2 for each kUnroll steps, never with a
// branch in the loop.
template <class Mma, size_t kRows, size_t kVecs, size_t kPanels, size_t kLines, bool kIntoL1>
HWY_NOINLINE void Tile(const typename Mma::A* HWY_RESTRICT a, const typename Mma::B* HWY_RESTRICT b,
                       size_t b_panel, size_t k, const TileOfC& tile, const char* next) {
  const size_t b_step = kVecs * hn::Lanes(D());
  VecSum<Mma> acc[kRows][kPanels * kVecs];
  Begin(tile, acc);
  const auto* const b_unrolled = b + k / kUnroll * kUnroll * b_step;
  while (b != b_unrolled) {
    Steps<Mma, kPanels, kUnroll, kLines, kIntoL1>(a, b, b_panel, acc, next);
    a += kUnroll;
    b += kUnroll * b_step;
    next += kLines * kLineBytes;
  }
  if (k & 2) {
    Steps<Mma, kPanels, 2, 0, kIntoL1>(a, b, b_panel, acc, next);
    a += 2;
    b += 2 * b_step;
  }
  if (k & 1) Steps<Mma, kPanels, 1, 0, kIntoL1>(a, b, b_panel, acc, next);
  End(tile, acc);
}

}  // namespace HWY_NAMESPACE
}  // namespace v0_2
}  // namespace fusedffn
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard

// Compiled once per target. What a tile asks the memory for while it computes: its share of the weights that
// are read next, without a branch in the k loop.
#if defined(FUSEDFFN_KERNELS_PREFETCH_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef FUSEDFFN_KERNELS_PREFETCH_INL_H_
#undef FUSEDFFN_KERNELS_PREFETCH_INL_H_
#else
#define FUSEDFFN_KERNELS_PREFETCH_INL_H_
#endif

#include <cstddef>

#include "hwy/highway.h"
#include "kernels/kernels.h"
#include "kernels/microkernel-inl.h"

HWY_BEFORE_NAMESPACE();
namespace fusedffn {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// The row tiles of a panel share the work: each asks for 1 / share of a chunk, as many lines for every
// kUnroll steps of k as that takes. One line each, whatever their number, left 16 tokens waiting: 3.14 ms,
// now 2.50 on AVX2; 2.55, now 2.42 on AVX-512 (Zen 4, one thread).
inline constexpr size_t kShares[] = {1, 2, 4, 12};
inline constexpr size_t kShareCount = sizeof(kShares) / sizeof(kShares[0]);

HWY_INLINE size_t ShareIndex(size_t row_tiles) {
  size_t index = 0;
  while (index + 1 < kShareCount && kShares[index + 1] <= row_tiles) ++index;
  return index;
}

// Lines that kUnroll steps of k read from a panel of `vecs` vectors, divided by `share`.
constexpr size_t LinesOf(size_t vecs, size_t element_bytes, size_t share) {
  return HWY_MAX(1, kUnroll * vecs * hn::MaxLanes(D()) * element_bytes / kLineBytes / share);
}

// How far ahead of a single row tile. Where there are so few rows that memory is the limit, 1 KB. With 4 KB
// 1, 2 and 4 tokens from memory take 0.623, 0.713 and 0.723 ms instead of 0.520, 0.539 and 0.691 in bf16;
// 0.547, 0.660 and 0.558 instead of 0.496, 0.517 and 0.522 in bf16-dot; the same, 0.328 and 0.321 instead of
// 0.267 and 0.305 in int8; and 1 token in fp32 from L3 0.720 instead of 0.556. It is better only for 1 token
// in bf16 from L3, 0.234 instead of 0.248. 512 bytes are the same as 1 KB, 2 KB between the two. Where the
// arithmetic can be the limit, 16 KB: 8 rows on AVX-512 1.41 -> 1.21 ms, 6 rows on AVX2 1.75 -> 0.99; 1 KB
// loses nearly all of that (Zen 4, one thread, AVX-512 where nothing is said).
//
// Emerald Rapids wants the lines in L1, 4 KB ahead, and those of a single panel in L2 before, 16 KB ahead.
// Best ms of 1 / 2 / 4 / 8 tokens, one thread, as above and so: f32 from L3 1.18 / 1.27 / 1.30 / 1.28 and
// 1.15 / 1.20 / 1.19 / 1.27, from memory 1.93 / 2.09 / 2.63 / 2.16 and 1.91 / 1.98 / 1.92 / 2.01; bf16 from
// memory 1.05 / 1.15 / 1.63 / 1.25 and 0.99 / 0.89 / 1.02 / 1.21; bf16-dot and int8 gain as much. Up to 4
// tokens that is what its core reads by plain loads, 30 GB/s from L3 and 17 from memory. Only into L1: 8
// tokens from L3 1.04 times as fast, from memory 0.86; only into L2: 4 tokens from memory 0.94; both for
// pairs: 1 and 2 tokens from L3 0.95. On AVX2 L1 alone gains nothing, and both lose 1.08 from L3; so only the
// target that AMD's CPUs never choose does it.
inline constexpr size_t kFewRows = HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX3 ? 4 : kTileRows / 2;
#if HWY_TARGET == HWY_AVX3_SPR
inline constexpr size_t kNearBytes = 4096;
inline constexpr size_t kFarBytes = 4096;
#else
inline constexpr size_t kNearBytes = 1024;
inline constexpr size_t kFarBytes = 16384;
#endif

struct Prefetch {
  size_t share_index;     // says how many lines a tile asks for:
  size_t lines;           // for each kUnroll steps;
  const char* first;      // what the first row tile asks for, ...
  size_t bytes_per_tile;  // ... what lies between one tile's and the next one's, ...
  size_t tiles;           // ... and how many tiles ask at all;
  const char* harmless;   // the others ask for this, which is there already

  const char* OfTile(size_t ir) const { return ir < tiles ? first + ir * bytes_per_tile : harmless; }
};

// While one chunk of `panels` panels is computed; `next` is the chunk after it, or null. Math is what the
// tiles read, Stored what lies in memory.
template <class Math, class Stored>
HWY_INLINE Prefetch PrefetchOfChunk(const GemmBlock& g, size_t k, size_t vecs, size_t panels,
                                    const void* chunk, const void* next, size_t row_tiles) {
  constexpr size_t kBytes = sizeof(typename Math::B), kStoredBytes = sizeof(typename Stored::B);
  const size_t share_index = ShareIndex(row_tiles * kBytes / kStoredBytes);
  const size_t lines = LinesOf(vecs, kBytes, kShares[share_index]);
  const char* const here = static_cast<const char*>(chunk);
  Prefetch prefetch = {share_index, lines, static_cast<const char*>(next), k / kUnroll * lines * kLineBytes,
                       row_tiles,   here};
  if (g.n <= panels * kTileVecs * hn::Lanes(D())) {
    // A block of one panel, or pair, comes from a caller that goes through the weights in memory order. So
    // what lies behind `next` is wanted, too: to go on without a pause is worth 1.08 (AVX2, 16 tokens).
    if (row_tiles == 1) prefetch.first = here + (g.m > kFewRows ? kFarBytes : kNearBytes);
  } else {
    // Here it is not, and asking for it costs 1.05 (AVX2, 1028 tokens).
    prefetch.tiles = LinesOf(vecs, kStoredBytes, 1) / lines;
  }
  if (prefetch.first == nullptr) prefetch.tiles = 0;
  return prefetch;
}

}  // namespace HWY_NAMESPACE
}  // namespace fusedffn
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard

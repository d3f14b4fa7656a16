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

// How far ahead of a single row tile. Where there are so few rows that memory is the limit, 1 KB in fp32:
// with 16 KB, the median from memory is 1.2 to 1.4 times longer, since the hardware's own prefetching comes
// first there. Smaller weights come from L3, where 4 KB are worth more: 1 token in int8 0.128 -> 0.113 ms on
// one thread and 0.068 -> 0.060 on two, in bf16-dot 0.121 -> 0.108 on two; from memory 0.239 -> 0.252 and
// 0.205 -> 0.191 in int8. In fp32 they lose: 0.635 -> 0.794. Where the arithmetic can be the limit, 16 KB: 8
// rows on AVX-512 1.41 -> 1.21 ms, 6 rows on AVX2 1.75 -> 0.99; 1 KB loses nearly all of that (Zen 4, one
// thread).
template <class Math>
inline constexpr size_t kNearBytes = sizeof(typename Math::B) == 4 * Math::kStep ? 1024 : 4096;
inline constexpr size_t kFarBytes = 16384;

struct Prefetch {
  size_t share_index;     // says how many lines a tile asks for
  const char* first;      // what the first row tile asks for, ...
  size_t bytes_per_tile;  // ... what lies between one tile's and the next one's, ...
  size_t tiles;           // ... and how many tiles ask at all;
  const char* harmless;   // the others ask for this, which is there already

  const char* OfTile(size_t ir) const { return ir < tiles ? first + ir * bytes_per_tile : harmless; }
};

// While one chunk of a panel is computed; `next` is the chunk after it, or null. Math is what the tiles read,
// Stored what lies in memory.
template <class Math, class Stored>
HWY_INLINE Prefetch PrefetchOfChunk(const GemmBlock& g, size_t k, size_t vecs, const void* chunk,
                                    const void* next, size_t row_tiles) {
  constexpr size_t kBytes = sizeof(typename Math::B), kStoredBytes = sizeof(typename Stored::B);
  const size_t share_index = ShareIndex(row_tiles * kBytes / kStoredBytes);
  const size_t lines = LinesOf(vecs, kBytes, kShares[share_index]);
  const char* const here = static_cast<const char*>(chunk);
  Prefetch prefetch = {share_index, static_cast<const char*>(next), k / kUnroll * lines * kLineBytes,
                       row_tiles, here};
  if (g.n <= kTileVecs * hn::Lanes(D())) {
    // A block of one panel comes from a caller that goes through the weights in memory order. So what lies
    // behind `next` is wanted, too: to go on without a pause is worth 1.08 (AVX2, 16 tokens).
    if (row_tiles == 1) prefetch.first = here + (g.m > kTileRows / 2 ? kFarBytes : kNearBytes<Stored>);
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

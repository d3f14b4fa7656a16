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
#include "kernels/gemm.h"
#include "kernels/mma-inl.h"
#include "kernels/tuning-inl.h"

HWY_BEFORE_NAMESPACE();
namespace fusedffn {
inline namespace v0_2 {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

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

struct Prefetch {
  size_t share_index;     // says how many lines a tile asks for:
  size_t lines;           // for each kUnroll steps;
  const char* first;      // what the first row tile asks for, ...
  size_t bytes_per_tile;  // ... what lies between one tile's and the next one's, ...
  size_t tiles;           // ... and how many tiles ask at all;
  const char* harmless;   // the others ask for this, which is there already

  // What a tile asks for from one of its steps on.
  const char* OfTile(size_t ir, size_t step) const {
    return (ir < tiles ? first + ir * bytes_per_tile : harmless) + step / kUnroll * lines * kLineBytes;
  }
};

// While one chunk of `panels` panels is computed; `next` is the chunk after it, or null. Mma is what the
// tiles read, Stored what lies in memory.
template <class Mma, class Stored>
HWY_INLINE Prefetch PrefetchOfChunk(const GemmBlock& g, size_t k, size_t vecs, size_t panels,
                                    const void* chunk, const void* next, size_t row_tiles) {
  constexpr size_t kBytes = sizeof(typename Mma::B), kStoredBytes = sizeof(typename Stored::B);
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
}  // namespace v0_2
}  // namespace fusedffn
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard

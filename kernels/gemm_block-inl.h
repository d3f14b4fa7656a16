// Compiled once per target. The loops over one block of C: panels, chunks of k, row tiles.
#if defined(FUSEDFFN_KERNELS_GEMM_BLOCK_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef FUSEDFFN_KERNELS_GEMM_BLOCK_INL_H_
#undef FUSEDFFN_KERNELS_GEMM_BLOCK_INL_H_
#else
#define FUSEDFFN_KERNELS_GEMM_BLOCK_INL_H_
#endif

#include <cstddef>
#include <utility>

#include "hwy/highway.h"
#include "kernels/arithmetic-inl.h"
#include "kernels/kernels.h"
#include "kernels/microkernel-inl.h"
#include "kernels/prefetch-inl.h"

HWY_BEFORE_NAMESPACE();
namespace fusedffn {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// The tile functions of every height 1..kTileRows and width 1..kTileVecs, for each of kShares.
template <class Math>
struct Tiles {
  using Fn = void (*)(const typename Math::A* a, const typename Math::B* b, size_t k,
                      const typename Math::C* bias, typename Math::C* c, size_t ldc, const char* next);
  Fn fn[kShareCount * kTileVecs * kTileRows];

  Fn Get(size_t rows, size_t vecs, size_t share_index) const {
    return fn[(share_index * kTileVecs + vecs - 1) * kTileRows + rows - 1];
  }

  template <size_t... kIndex>
  static constexpr Tiles Make(std::index_sequence<kIndex...>) {
    return {{TileOf<kIndex % kTileRows + 1, kIndex / kTileRows % kTileVecs + 1,
                    kShares[kIndex / kTileRows / kTileVecs]>()...}};
  }

  template <size_t kRows, size_t kVecs, size_t kShare>
  static constexpr Fn TileOf() {
    return Tile<Math, kRows, kVecs, LinesOf(kVecs, sizeof(typename Math::B), kShare)>;
  }
};

template <class Math>
inline constexpr Tiles<Math> kTiles =
    Tiles<Math>::Make(std::make_index_sequence<kShareCount * kTileRows * kTileVecs>());

// m rows split evenly over tiles: 129 rows are 10 tiles of 8 and 7 of 7, not 16 of 8 and one of a single row.
struct RowTiles {
  size_t count, low, high_count;  // the first `high_count` have a row more than `low`

  explicit RowTiles(size_t m)
      : count((m + kTileRows - 1) / kTileRows), low(m / count), high_count(m % count) {}
  size_t rows(size_t ir) const { return low + (ir < high_count); }
};

// Steps [k0, k0 + k) of one panel, which is `vecs` vectors wide.
template <class Math>
struct Chunk {
  size_t k0, k, vecs;
  const typename Math::B* b;
};

// The chunk that starts at column jr and step k0 of the block.
template <class Math>
HWY_INLINE Chunk<Math> ChunkAt(const GemmBlock& g, size_t jr, size_t k0, size_t k) {
  const size_t lanes = hn::Lanes(D());
  const size_t vecs = HWY_MIN(kTileVecs, (g.n - jr + lanes - 1) / lanes);
  const auto* b = static_cast<const typename Math::B*>(g.b);
  return {k0, k, vecs, b + jr * g.b_k + (g.b_k0 + k0) * vecs * lanes};
}

// All rows of one panel and chunk of k.
template <class Math>
HWY_INLINE void MultiplyChunk(const GemmBlock& g, const Chunk<Math>& chunk, const RowTiles& tiles,
                              const float* bias, float* c, const void* next) {
  const size_t share_index = ShareIndex(tiles.count);
  const Prefetch prefetch =
      PrefetchOfChunk<Math>(g, chunk.k, chunk.vecs, chunk.b, next, tiles.count, share_index);
  const bool activate = g.activate != nullptr && chunk.k0 + chunk.k == g.k;
  const auto* a = static_cast<const typename Math::A*>(g.a) + chunk.k0 / kKc * g.a_chunk;
  for (size_t ir = 0; ir < tiles.count; ++ir) {
    const size_t rows = tiles.rows(ir);
    const auto tile = kTiles<Math>.Get(rows, chunk.vecs, share_index);
    tile(a, chunk.b, chunk.k, bias, c, g.ldc, prefetch.OfTile(ir));
    if (activate) g.activate(rows, chunk.vecs * hn::Lanes(D()), c, g.ldc);
    a += rows * kAStride;
    c += rows * g.ldc;
  }
}

// k outside of the panels: a chunk of A stays in the L2 cache for all of them.
template <class Math>
HWY_INLINE void Gemm(const GemmBlock& g) {
  const RowTiles tiles(g.m);
  const size_t nr = kTileVecs * hn::Lanes(D());
  for (size_t k0 = 0; k0 < g.k; k0 += kKc) {
    const size_t k = HWY_MIN(kKc, g.k - k0);
    for (size_t jr = 0; jr < g.n; jr += nr) {
      const void* next = g.b_next;
      if (jr + nr < g.n) {
        next = ChunkAt<Math>(g, jr + nr, k0, k).b;
      } else if (k0 + k < g.k) {
        next = ChunkAt<Math>(g, 0, k0 + k, 0).b;
      }
      const float* bias = g.bias && k0 == 0 ? g.bias + jr : nullptr;
      MultiplyChunk<Math>(g, ChunkAt<Math>(g, jr, k0, k), tiles, bias, g.c + jr, next);
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace fusedffn
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard

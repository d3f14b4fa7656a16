// Compiled once per target. The loops over one block of C: panels, then row tiles.
#if defined(FUSEDFFN_KERNELS_GEMM_BLOCK_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef FUSEDFFN_KERNELS_GEMM_BLOCK_INL_H_
#undef FUSEDFFN_KERNELS_GEMM_BLOCK_INL_H_
#else
#define FUSEDFFN_KERNELS_GEMM_BLOCK_INL_H_
#endif

#include <cstddef>
#include <type_traits>
#include <utility>

#include "hwy/highway.h"
#include "kernels/activation-inl.h"
#include "kernels/kernels.h"
#include "kernels/microkernel-inl.h"
#include "kernels/prefetch-inl.h"

HWY_BEFORE_NAMESPACE();
namespace fusedffn {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using TileFn = void (*)(const float* a, const float* b, size_t k, const float* bias, float* c, size_t ldc,
                        const float* next);

// The tile functions of every height 1..kTileRows and width 1..kTileVecs, for each of kShares.
struct Tiles {
  TileFn fn[kShareCount * kTileVecs * kTileRows];

  TileFn Get(size_t rows, size_t vecs, size_t share_index) const {
    return fn[(share_index * kTileVecs + vecs - 1) * kTileRows + rows - 1];
  }

  template <size_t... kIndex>
  static constexpr Tiles Make(std::index_sequence<kIndex...>) {
    return {{TileOf<kIndex % kTileRows + 1, kIndex / kTileRows % kTileVecs + 1,
                    kShares[kIndex / kTileRows / kTileVecs]>()...}};
  }

  template <size_t kRows, size_t kVecs, size_t kShare>
  static constexpr TileFn TileOf() {
    return Tile<kRows, kVecs, LinesOf(kVecs, kShare)>;
  }
};

inline constexpr Tiles kTiles = Tiles::Make(std::make_index_sequence<kShareCount * kTileRows * kTileVecs>());

// c = act(c) on a tile that is still in the L1 cache. Not in the tile's own registers: there gcc spills, and
// the larger code of one more set of tiles for each activation brings nothing. 257 tokens, AVX2 on Zen 4:
// the same with clang 16, 1.01 times as fast with gcc 12.
template <class Act>
HWY_INLINE void ActivateTile(size_t rows, size_t vecs, float* HWY_RESTRICT c, size_t ldc) {
  const D d;
  const size_t lanes = hn::Lanes(d);
  for (size_t r = 0; r < rows; ++r, c += ldc) {
    for (size_t v = 0; v < vecs; ++v) hn::Store(Act()(d, hn::Load(d, c + v * lanes)), d, c + v * lanes);
  }
}

template <class Act>
HWY_INLINE void Gemm(const GemmBlock& g) {
  const size_t nr = kTileVecs * hn::Lanes(D());
  // Rows split evenly: 129 rows are 10 tiles of 8 and 7 of 7, not 16 of 8 and one of a single row.
  const size_t row_tiles = (g.m + kTileRows - 1) / kTileRows;
  const size_t rows_low = g.m / row_tiles;
  const size_t tiles_high = g.m % row_tiles;  // the first tiles have one row more
  const size_t share_index = ShareIndex(row_tiles);

  for (size_t jr = 0; jr < g.n; jr += nr) {
    const Panel panel = PanelAt(g, jr);
    const Prefetch prefetch = PrefetchOfPanel(g, jr, row_tiles, share_index);
    const float* bias = g.bias ? g.bias + jr : nullptr;
    const float* a = g.a;
    float* c = g.c + jr;
    for (size_t ir = 0; ir < row_tiles; ++ir) {
      const size_t rows = rows_low + (ir < tiles_high);
      const TileFn tile = kTiles.Get(rows, panel.vecs, share_index);
      tile(a, panel.chunk, g.k, bias, c, g.ldc, prefetch.OfTile(ir));
      if constexpr (!std::is_same_v<Act, Identity>) ActivateTile<Act>(rows, panel.vecs, c, g.ldc);
      a += rows * kAStride;
      c += rows * g.ldc;
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace fusedffn
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard

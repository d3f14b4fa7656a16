// Compiled once per target. The loops over one block of C: panels, then row tiles.
#if defined(FUSEDFFN_KERNELS_GEMM_BLOCK_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef FUSEDFFN_KERNELS_GEMM_BLOCK_INL_H_
#undef FUSEDFFN_KERNELS_GEMM_BLOCK_INL_H_
#else
#define FUSEDFFN_KERNELS_GEMM_BLOCK_INL_H_
#endif

#include <cstddef>
#include <utility>

#include "hwy/highway.h"
#include "kernels/activation-inl.h"
#include "kernels/kernels.h"
#include "kernels/microkernel-inl.h"

HWY_BEFORE_NAMESPACE();
namespace fusedffn {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using TileFn = void (*)(const float* a, const float* b, size_t k, const float* bias, float* c, size_t ldc,
                        const float* next);

// The tile functions of every height 1..kTileRows and width 1..kTileVecs.
template <class Act>
struct Tiles {
  TileFn fn[kTileVecs * kTileRows];

  TileFn Get(size_t rows, size_t vecs) const { return fn[(vecs - 1) * kTileRows + rows - 1]; }

  template <size_t... kIndex>
  static constexpr Tiles Make(std::index_sequence<kIndex...>) {
    return {{Tile<kIndex % kTileRows + 1, kIndex / kTileRows + 1, Act>...}};
  }
};

// The panel that starts at column jr of the block: how wide it is, and its chunk of k.
struct Panel {
  size_t vecs;
  const float* chunk;
};

HWY_INLINE Panel PanelAt(const GemmBlock& g, size_t jr) {
  const size_t lanes = hn::Lanes(D());
  const size_t vecs = HWY_MIN(kTileVecs, (g.n - jr + lanes - 1) / lanes);
  return {vecs, g.b + jr * g.b_k + g.b_k0 * vecs * lanes};
}

template <class Act>
HWY_INLINE void Gemm(const GemmBlock& g) {
  static constexpr Tiles<Act> kTiles = Tiles<Act>::Make(std::make_index_sequence<kTileRows * kTileVecs>());
  const size_t nr = kTileVecs * hn::Lanes(D());
  // Rows split evenly: 129 rows are 10 tiles of 8 and 7 of 7, not 16 of 8 and one of a single row.
  const size_t row_tiles = (g.m + kTileRows - 1) / kTileRows;
  const size_t rows_low = g.m / row_tiles;
  const size_t tiles_high = g.m % row_tiles;  // the first tiles have one row more
  const size_t prefetched_by_tile = g.k / kUnroll * kLineFloats;

  for (size_t jr = 0; jr < g.n; jr += nr) {
    const Panel panel = PanelAt(g, jr);
    // Where nothing follows, this panel again: harmless, and no branch in the k loop.
    const float* next = g.b_next ? g.b_next : panel.chunk;
    if (jr + nr < g.n) next = PanelAt(g, jr + nr).chunk;
    const float* bias = g.bias ? g.bias + jr : nullptr;
    const float* a = g.a;
    float* c = g.c + jr;
    for (size_t ir = 0; ir < row_tiles; ++ir) {
      const size_t rows = rows_low + (ir < tiles_high);
      kTiles.Get(rows, panel.vecs)(a, panel.chunk, g.k, bias, c, g.ldc, next);
      a += rows * kAStride;
      c += rows * g.ldc;
      next += prefetched_by_tile;
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace fusedffn
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard

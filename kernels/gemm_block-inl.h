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
  using Fn = void (*)(const typename Math::A* a, const typename Math::B* b, size_t b_panel, size_t k,
                      const TileOfC& tile, const char* next);
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
    constexpr bool kIntoL1 = kShare == 1 && kAloneIntoL1;
    return Tile<Math, kRows, kVecs, 1, LinesOf(kVecs, sizeof(typename Math::B), kShare), kIntoL1>;
  }
};

template <class Math>
inline constexpr Tiles<Math> kTiles =
    Tiles<Math>::Make(std::make_index_sequence<kShareCount * kTileRows * kTileVecs>());

// Those of 1..kPairRows rows and two panels.
template <class Math>
struct PairTiles {
  typename Tiles<Math>::Fn fn[kPairRows];

  template <size_t... kIndex>
  static constexpr PairTiles Make(std::index_sequence<kIndex...>) {
    return {{Tile<Math, kIndex + 1, kTileVecs, 2, LinesOf(kTileVecs, sizeof(typename Math::B), 1),
                  kAloneIntoL1>...}};
  }
};

template <class Math>
inline constexpr PairTiles<Math> kPairTiles = PairTiles<Math>::Make(std::make_index_sequence<kPairRows>());

// At most.
template <class Math>
inline constexpr size_t kRowsOfTile = kTileRows;

// m rows split evenly over tiles: 129 rows are 10 tiles of 8 and 7 of 7, not 16 of 8 and one of a single row.
struct RowTiles {
  size_t count, low, high_count;  // the first `high_count` have a row more than `low`

  RowTiles(size_t m, size_t most) : count((m + most - 1) / most), low(m / count), high_count(m % count) {}
  size_t rows(size_t ir) const { return low + (ir < high_count); }
};

// Steps [k0, k0 + k) of the panel that starts at column jr of the block and is `vecs` vectors wide, or of a
// pair of such panels.
template <class Math>
struct Chunk {
  size_t jr, k0, k, vecs, panels;
  const typename Math::B* b;

  size_t columns() const { return panels * vecs * hn::Lanes(D()); }
};

// The chunk that starts at column jr and step k0 of the block.
template <class Math>
HWY_INLINE Chunk<Math> ChunkAt(const GemmBlock& g, size_t jr, size_t k0, size_t k) {
  const size_t lanes = hn::Lanes(D());
  const size_t vecs = HWY_MIN(kTileVecs, (g.n - jr + lanes - 1) / lanes);
  const auto* b = static_cast<const typename Math::B*>(g.b);
  const size_t panels = Math::kInPairs && g.m <= kPairRows && g.n - jr >= 2 * kTileVecs * lanes ? 2 : 1;
  return {jr, k0, k, vecs, panels, b + jr * g.b_k + (g.b_k0 + k0) * vecs * lanes};
}

// c *= gate
HWY_INLINE void MultiplyTile(const float* HWY_RESTRICT gate, size_t ld_gate, size_t rows, size_t columns,
                             float* HWY_RESTRICT c, size_t ldc) {
  const D d;
  for (size_t r = 0; r < rows; ++r, gate += ld_gate, c += ldc) {
    for (size_t n = 0; n < columns; n += hn::Lanes(d)) {
      hn::Store(hn::Mul(hn::Load(d, gate + n), hn::Load(d, c + n)), d, c + n);
    }
  }
}

// What is left to do on a tile of C that has seen all of k, while it is in the L1 cache. `c` is its place,
// and `row` its first row in the block. Not inline: in the loop over tiles its code costs those that do not
// need it 0.5 % (AVX2, 257 tokens, gcc 12, one thread, best ms of alternated runs: 39.25, now 39.05).
HWY_NOINLINE inline void Finish(const GemmBlock& g, size_t jr, size_t columns, size_t row, size_t rows,
                                float* c) {
  const D d;
  if (g.activate != nullptr) g.activate(rows, columns, c, g.ldc);
  if (g.gate != nullptr) MultiplyTile(g.gate + row * g.ld_gate + jr, g.ld_gate, rows, columns, c, g.ldc);
  if (g.rounded == nullptr) return;
  const hn::Rebind<hwy::bfloat16_t, D> dbf16;
  for (size_t r = 0; r < rows; ++r) {
    auto* to = static_cast<hwy::bfloat16_t*>(g.rounded) + (row + r) * kAStride * 2 + jr;
    for (size_t n = 0; n < columns; n += hn::Lanes(d)) {
      hn::Store(hn::DemoteTo(dbf16, hn::Load(d, c + r * g.ldc + n)), dbf16, to + n);
    }
  }
}

// Of what is read of B, in steps, vectors and panels.
struct TileSize {
  size_t k, vecs, panels;
};

// Multiplies one tile after the other by steps of the same panel, or pair of them, at b.
template <class Math>
struct TileRunner {
  const typename Math::B* b;
  size_t b_panel;  // elements to the second panel
  TileSize size;
  Prefetch prefetch;

  // Tile `ir`; `rows` is kRowsOfTile at most.
  HWY_INLINE void operator()(size_t ir, size_t rows, const typename Math::A* a, const TileOfC& c) const {
    auto tile = kTiles<Math>.Get(rows, size.vecs, prefetch.share_index);
    if constexpr (Math::kInPairs) {
      if (size.panels == 2) tile = kPairTiles<Math>.fn[rows - 1];
    }
    tile(a, b, b_panel, size.k, c, prefetch.OfTile(ir));
  }
};

// All rows of one panel, or pair of them, and chunk of k, whose weights lie at b in the form that Math reads.
template <class Math, class Stored>
HWY_INLINE void MultiplyChunk(const GemmBlock& g, const Chunk<Stored>& chunk, const typename Math::B* b,
                              const RowTiles& tiles, TileOfC c, const void* next) {
  TileRunner<Math> run = {
      b,
      g.b_k * kTileVecs * hn::Lanes(D()),
      {chunk.k, chunk.vecs, chunk.panels},
      PrefetchOfChunk<Math, Stored>(g, chunk.k, chunk.vecs, chunk.panels, chunk.b, next, tiles.count)};
  const bool last = chunk.k0 + chunk.k == g.k;
  const auto* a = static_cast<const typename Math::A*>(g.a) + chunk.k0 / g.a_steps * g.a_chunk;
  const bool finish = last && (g.activate != nullptr || g.gate != nullptr || g.rounded != nullptr);
  for (size_t ir = 0, row = 0; ir < tiles.count; ++ir) {
    const size_t rows = tiles.rows(ir);
    run(ir, rows, a, c);
    if (finish) Finish(g, chunk.jr, chunk.columns(), row, rows, c.c);
    row += rows;
    a += rows * kAStride;
    c.c += rows * g.ldc;
  }
}

template <class Math>
HWY_INLINE void MultiplyChunk(const GemmBlock& g, const Chunk<Math>& chunk, const RowTiles& tiles,
                              const TileOfC& c, const void* next) {
  MultiplyChunk<Math, Math>(g, chunk, chunk.b, tiles, c, next);
}

// From so many row tiles on, a chunk is widened once if there is room for it: two passes over it in the cache
// for what costs a tile 1 instruction for every 8 multiply-adds, where the two share ports. Emerald Rapids,
// one thread, how much faster once is than in each tile, for the whole block: AVX-512 32 tokens 0.89, 48
// 0.95, 64 0.99, 80 1.02, 257 1.06; AVX2 12 and 18 tokens 1.00, 24 1.01, 32 1.06, 257 1.17.
inline constexpr size_t kWidenOnce = HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX3 ? 9 : 4;

HWY_INLINE void Widen(const Chunk<BF16Widened>& chunk, float* HWY_RESTRICT wide) {
  const D d;
  const size_t lanes = hn::Lanes(d);
  for (size_t k = 0; k < chunk.k; k += 2) {
    const uint16_t* HWY_RESTRICT pairs = chunk.b + k * chunk.vecs * lanes;
    float* HWY_RESTRICT to = wide + k * chunk.vecs * lanes;
    for (size_t v = 0; v < chunk.vecs; ++v) {
      hn::Store(BF16Widened::LoadB(pairs, 0, v, chunk.vecs), d, to + v * lanes);
      hn::Store(BF16Widened::LoadB(pairs, 1, v, chunk.vecs), d, to + (chunk.vecs + v) * lanes);
    }
  }
}

template <>
HWY_INLINE void MultiplyChunk<BF16Widened>(const GemmBlock& g, const Chunk<BF16Widened>& chunk,
                                           const RowTiles& tiles, const TileOfC& c, const void* next) {
  if (g.wide == nullptr || tiles.count < kWidenOnce) {
    return MultiplyChunk<BF16Widened, BF16Widened>(g, chunk, chunk.b, tiles, c, next);
  }
  Widen(chunk, g.wide);
  MultiplyChunk<F32, BF16Widened>(g, chunk, g.wide, tiles, c, next);
}

// k outside of the panels: a chunk of A stays in the L2 cache for all of them.
template <class Math>
HWY_INLINE void Gemm(const GemmBlock& g) {
  const RowTiles tiles(g.m, kRowsOfTile<Math>);
  for (size_t k0 = 0; k0 < g.k; k0 += g.a_steps) {
    const size_t k = HWY_MIN(g.a_steps, g.k - k0);
    for (size_t jr = 0; jr < g.n;) {
      const Chunk<Math> chunk = ChunkAt<Math>(g, jr, k0, k);
      const size_t end = jr + chunk.columns();
      const void* next = g.b_next;
      if (end < g.n) {
        next = ChunkAt<Math>(g, end, k0, k).b;
      } else if (k0 + k < g.k) {
        next = ChunkAt<Math>(g, 0, k0 + k, 0).b;
      }
      TileOfC c = {};
      c.bias = g.bias && k0 == 0 ? g.bias + jr : nullptr;
      c.c = g.c + (g.rounded ? 0 : jr);
      c.ldc = g.ldc;
      if (g.b_scale != nullptr) {
        const size_t group = k0 / g.a_steps * g.b_group + jr;
        c.b_scale = g.b_scale + group;
        c.b_sum = g.b_sum + group;
      }
      MultiplyChunk<Math>(g, chunk, tiles, c, next);
      jr = end;
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace fusedffn
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard

// Compiled once per target. The vector family's way through one block of C: chunks of k, panels, row tiles.
#if defined(FUSEDFFN_KERNELS_VECTOR_GEMM_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef FUSEDFFN_KERNELS_VECTOR_GEMM_INL_H_
#undef FUSEDFFN_KERNELS_VECTOR_GEMM_INL_H_
#else
#define FUSEDFFN_KERNELS_VECTOR_GEMM_INL_H_
#endif

#include <cstddef>
#include <type_traits>
#include <utility>

#include "hwy/highway.h"
#include "kernels/gemm.h"
#include "kernels/microkernel-inl.h"
#include "kernels/mma-inl.h"
#include "kernels/mma_block-inl.h"
#include "kernels/prefetch-inl.h"
#include "kernels/tuning-inl.h"

HWY_BEFORE_NAMESPACE();
namespace fusedffn {
inline namespace v0_2 {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// The tile functions of every height 1..kTileRows and width 1..kTileVecs, for each of kShares.
template <class Mma>
struct Tiles {
  using Fn = void (*)(const typename Mma::A* a, const typename Mma::B* b, size_t b_panel, size_t k,
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
    return Tile<Mma, kRows, kVecs, 1, LinesOf(kVecs, sizeof(typename Mma::B), kShare), kIntoL1>;
  }
};

template <class Mma>
inline constexpr Tiles<Mma> kTiles =
    Tiles<Mma>::Make(std::make_index_sequence<kShareCount * kTileRows * kTileVecs>());

// Those of 1..kDualPanelRows rows and two panels.
template <class Mma>
struct PairTiles {
  typename Tiles<Mma>::Fn fn[kDualPanelRows];

  template <size_t... kIndex>
  static constexpr PairTiles Make(std::index_sequence<kIndex...>) {
    return {{Tile<Mma, kIndex + 1, kTileVecs, 2, LinesOf(kTileVecs, sizeof(typename Mma::B), 1),
                  kAloneIntoL1>...}};
  }
};

template <class Mma>
inline constexpr PairTiles<Mma> kPairTiles = PairTiles<Mma>::Make(std::make_index_sequence<kDualPanelRows>());

// m rows split evenly over tiles: 129 rows are 10 tiles of 8 and 7 of 7, not 16 of 8 and one of a single row.
struct RowTiles {
  size_t count, low, high_count;  // the first `high_count` have a row more than `low`

  RowTiles(size_t m, size_t most) : count(DivideUp(m, most)), low(m / count), high_count(m % count) {}
  size_t rows(size_t ir) const { return low + (ir < high_count); }
};

// Steps [k0, k0 + k) of the panel that starts at column jr of the block and is `vecs` vectors wide, or of a
// pair of such panels.
template <class Mma>
struct Chunk {
  size_t jr, k0, k, vecs, panels;
  const typename Mma::B* b;

  size_t columns() const { return panels * vecs * kLanes; }
};

// The chunk that starts at column jr and step k0 of the block.
template <class Mma>
HWY_INLINE Chunk<Mma> ChunkAt(const MmaBlock<Mma>& g, size_t jr, size_t k0, size_t k) {
  const size_t left = g.block.n - jr, vecs = HWY_MIN(kTileVecs, DivideUp(left, kLanes));
  return {jr,
          k0,
          k,
          vecs,
          PanelsAtOnce<Mma>(g.block.m, left),
          g.b + jr * g.b_panel + (g.k0 + k0) * vecs * kLanes};
}

// Of what is read of B, in steps, vectors and panels.
struct TileSize {
  size_t k, vecs, panels;
};

// Multiplies one tile after the other by steps of the same panel, or pair of them, at b.
template <class Mma>
struct TileRunner {
  const typename Mma::B* b;
  size_t b_panel;  // elements to the second panel
  TileSize size;
  Prefetch prefetch;

  // Some steps of tile `ir`, whose rows of A begin at a; `rows` is kTileRows at most.
  HWY_INLINE void operator()(size_t ir, size_t rows, Range steps, const typename Mma::A* a,
                             const TileOfC& c) const {
    auto tile = kTiles<Mma>.Get(rows, size.vecs, prefetch.share_index);
    if constexpr (Mma::kDualPanel) {
      if (size.panels == 2) tile = kPairTiles<Mma>.fn[rows - 1];
    }
    tile(a + steps.begin, b + steps.begin * size.vecs * kLanes, b_panel, steps.size(), c,
         prefetch.OfTile(ir, steps.begin));
  }
};

// All steps of tile `ir`: in int8 a group at a time, each of which is added to C. `c` is changed on the way,
// and put back: a copy of it costs 1 token 1.03. See bench/results/tuning.md.
template <class Mma, class Stored>
HWY_INLINE void RunTile(const MmaBlock<Stored>& g, size_t k, const TileRunner<Mma>& run, size_t ir,
                        size_t rows, const typename Mma::A* a, TileOfC* c) {
  if constexpr (std::is_same_v<typename Mma::Sum, float>) {
    run(ir, rows, {0, k}, a, *c);
  } else {
    const PanelLayout& layout = g.block.b->layout;
    const size_t group = layout.b.scale_group / Mma::kStep;
    c->a_quant = reinterpret_cast<const RowQuant*>(a + g.a_steps);
    run(ir, rows, {0, HWY_MIN(group, k)}, a, *c);
    if (k <= group) return;
    const size_t b_stride = RoundUp(layout.n, kLanes);  // padded_n() divides by what is not known here
    const auto* const bias = c->bias;
    const auto* const b_scale = c->b_scale;
    const auto* const b_sum = c->b_sum;
    c->bias = nullptr;
    for (size_t k0 = group; k0 < k; k0 += group) {
      c->b_scale += b_stride;
      c->b_sum += b_stride;
      ++c->a_quant;
      run(ir, rows, {k0, HWY_MIN(k0 + group, k)}, a, *c);
    }
    c->bias = bias;
    c->b_scale = b_scale;
    c->b_sum = b_sum;
  }
}

// All rows of one panel, or pair of them, and chunk of k, whose weights lie at b in the form that Mma reads.
template <class Mma, class Stored>
HWY_INLINE void MultiplyChunk(const MmaBlock<Stored>& g, const Chunk<Stored>& chunk, const typename Mma::B* b,
                              const RowTiles& tiles, TileOfC* c, const void* next) {
  const TileRunner<Mma> run = {
      b,
      g.b_panel * kNr,
      {chunk.k, chunk.vecs, chunk.panels},
      PrefetchOfChunk<Mma, Stored>(g.block, chunk.k, chunk.vecs, chunk.panels, chunk.b, next, tiles.count)};
  const auto* a = g.a + chunk.k0 / g.a_steps * g.a_chunk;
  const bool finish = chunk.k0 + chunk.k == g.k && g.has_epilogue();
  for (size_t ir = 0, row = 0; ir < tiles.count; ++ir) {
    const size_t rows = tiles.rows(ir);
    RunTile(g, chunk.k, run, ir, rows, a, c);
    if (finish) Epilogue(g, chunk.jr, chunk.columns(), row, rows, c->c);
    row += rows;
    a += rows * kAStride;
    c->c += rows * g.ldc;
  }
}

template <class Mma>
HWY_INLINE void MultiplyChunk(const MmaBlock<Mma>& g, const Chunk<Mma>& chunk, const RowTiles& tiles,
                              TileOfC* c, const void* next) {
  MultiplyChunk<Mma, Mma>(g, chunk, chunk.b, tiles, c, next);
}

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

// Scratch is room for a panel's chunk in fp32: then it is widened once for all row tiles.
template <>
HWY_INLINE void MultiplyChunk<BF16Widened>(const MmaBlock<BF16Widened>& g, const Chunk<BF16Widened>& chunk,
                                           const RowTiles& tiles, TileOfC* c, const void* next) {
  if (g.block.scratch == nullptr || tiles.count < kWidenFrom) {
    return MultiplyChunk<BF16Widened, BF16Widened>(g, chunk, chunk.b, tiles, c, next);
  }
  float* const wide = static_cast<float*>(g.block.scratch);
  Widen(chunk, wide);
  MultiplyChunk<F32, BF16Widened>(g, chunk, wide, tiles, c, next);
}

// C of the chunk that starts at column jr and step k0 of the block.
template <class Mma>
HWY_INLINE TileOfC TileOfCAt(const MmaBlock<Mma>& g, size_t jr, size_t k0) {
  TileOfC c = {};
  c.bias = g.bias != nullptr && k0 == 0 ? g.bias + jr : nullptr;
  c.c = g.c_at(jr);
  c.ldc = g.ldc;
  if constexpr (std::is_same_v<typename Mma::Sum, int32_t>) {
    const PanelLayout& layout = g.block.b->layout;
    const size_t group = (g.k0 + k0) * Mma::kStep / layout.b.scale_group;
    const size_t first = group * layout.padded_n() + g.block.n0 + jr;
    c.b_scale = g.block.b->scale + first;
    c.b_sum = g.block.b->sum + first;
  }
  return c;
}

// k outside of the panels: a chunk of A stays in the L2 cache for all of them.
template <class Mma>
HWY_NOINLINE void Gemm(const MmaBlock<Mma>& g) {
  const RowTiles tiles(g.block.m, kTileRows);
  for (size_t k0 = 0; k0 < g.k; k0 += g.a_steps) {
    const size_t k = HWY_MIN(g.a_steps, g.k - k0);
    for (size_t jr = 0; jr < g.block.n;) {
      const Chunk<Mma> chunk = ChunkAt<Mma>(g, jr, k0, k);
      const size_t end = jr + chunk.columns();
      const void* next = g.block.b_next;
      if (end < g.block.n) {
        next = ChunkAt<Mma>(g, end, k0, k).b;
      } else if (k0 + k < g.k) {
        next = ChunkAt<Mma>(g, 0, k0 + k, 0).b;
      }
      TileOfC c = TileOfCAt(g, jr, k0);
      MultiplyChunk<Mma>(g, chunk, tiles, &c, next);
      jr = end;
    }
  }
}

// One panel after the other, or pair of them: C waits in fp32 until it has seen all chunks of k.
template <class Mma>
HWY_INLINE void GemmByPanels(const GemmBlock& block) {
  GemmBlock panel = block;
  for (size_t jr = 0; jr < block.n; jr += panel.n) {
    panel.n = HWY_MIN(PanelsAtOnce<Mma>(block.m, block.n - jr) * kNr, block.n - jr);
    panel.n0 = block.n0 + jr;
    panel.hidden = static_cast<hwy::bfloat16_t*>(block.hidden) + jr;
    if (block.gate != nullptr) panel.gate = block.gate + jr;
    panel.b_next = jr + panel.n < block.n ? block.b->at(panel.n0 + panel.n, 0) : block.b_next;
    Gemm<Mma>(MmaBlock<Mma>(panel));
  }
}

// GemmKernel::run.
template <class Mma>
HWY_INLINE void RunGemm(const GemmBlock& block) {
  if constexpr (kRoundsHidden<Mma>) {
    if (block.hidden != nullptr && block.k > block.a_chunk) return GemmByPanels<Mma>(block);
  }
  Gemm<Mma>(MmaBlock<Mma>(block));
}

}  // namespace HWY_NAMESPACE
}  // namespace v0_2
}  // namespace fusedffn
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard

#include "src/plan.h"

#include <algorithm>

#include "kernels/kernels.h"

namespace fusedffn {
namespace {

// From this many rows a thread on, reading all weights on every thread costs less than a second meeting of
// the threads and a hidden array in L3. Flat on two cores of Zen 4: 16 to 100 within 1.5 % at 64 to 202
// tokens on two threads; 160 loses 3 % at 202, and 96 up to 2.5 % of AVX2 and int8 at 64 to 180. On one
// thread, 1 to 8 tokens are 1.1 to 1.3 times as fast by columns, which read the weights in memory order.
//
// More threads read the weights from one shared cache, and fewer than 2 * kPieceRows rows each are not cut
// into pieces. Emerald Rapids, how much faster columns are, median ratio of 4 pairs: 64 to 72 rows a thread
// f32 1.07 (16 threads), 1.08 (8), 1.16 (4), int8 0.96, 1.02, 1.24; 128 rows f32 1.02, 1.09, 1.07, int8 0.63,
// 0.83, 1.12; 256 rows f32 0.85, 0.90, 0.88, int8 0.58, 0.73, 1.05.
size_t FusedRows(size_t threads) { return threads <= 2 ? 48 : 96; }

// Rows whose arithmetic takes about as long as reading their panel from a shared cache.
constexpr size_t kRowsPerPanelRead = 12;

// More pieces than threads, so that threads whose CPU is slower for a while leave work to the others, as in
// virtual machines that share theirs; of so many rows, or rows of a panel, at least. Emerald Rapids, 16 CPUs
// of a virtual machine, best (median) ms of 3 or 4 alternated rounds with 1 / 4 pieces each: f32 257 tokens
// 3.98 (4.05) / 3.00 (3.20), 4096 59.5 (60.9) / 45.7 (49.7); bf16 by AMX 1.11 / 1.01, 14.0 / 10.1; int8 0.80
// / 0.72, 7.37 / 6.21. Blocks of 64 rows cost 1.025 where CPUs are alike, which on 2 threads is more than
// they bring. Not taken: blocks of 16 rows at 1028 tokens, f32 14.4 / 11.6, int8 2.33 / 2.42.
constexpr size_t kPiecesEach = 4;
constexpr size_t kPieceRows = 64;

size_t DivideUp(size_t a, size_t b) { return (a + b - 1) / b; }
size_t RoundUp(size_t a, size_t b) { return DivideUp(a, b) * b; }

// Of each of `parts`, which has work of so many rows.
size_t PiecesEach(size_t rows, size_t parts) {
  return parts <= 2 ? 1 : std::clamp<size_t>(rows / kPieceRows, 1, kPiecesEach);
}

// Rows of a block: as many as let x and y of the block fill L2, and a quarter more. For CLIP-L on Zen 4 that
// is 128; 1028 tokens, one thread: 44 rows take 1.04 times as long, 64 1.025, 88 1.015, 264 1.017. On Ice
// Lake a prototype was fastest at about 130.
size_t BlockRows(const Shape& shape, const Tiling& tiling, size_t l2_bytes, const Operands& operands) {
  const size_t row_bytes = shape.dim * operands.a_bytes + (shape.out + kAStride) * sizeof(float);
  const size_t rows = l2_bytes * 5 / 4 / row_bytes;
  return std::clamp(rows / tiling.mr * tiling.mr, 2 * tiling.mr, 32 * tiling.mr);
}

// More would have nothing to do.
size_t MostColumnParts(const Shape& shape, size_t tokens, const Tiling& tiling) {
  const size_t panels = DivideUp(std::max(shape.hidden, shape.out), tiling.nr);
  return tokens <= kRowsPerPanelRead ? panels : panels * tokens;
}

// Elements of k in each A chunk but the last, of a layer that has k of them. int8: a group. Else all chunks
// are as long as each other, or nearly: of 4096 as 7 * 576 + 64 the last would load and store C for nothing.
// Whole panels: what fc1 makes of one of them is in one chunk.
size_t ChunkOf(size_t k, const Tiling& tiling, const Operands& operands) {
  if (operands.hidden == Hidden::kQuantised) return kInt8Group;
  const size_t chunks = DivideUp(k, kKc * operands.step());
  return RoundUp(DivideUp(k, chunks), tiling.nr * operands.step());
}

}  // namespace

Range EvenRange(size_t total, size_t parts, size_t index) {
  const size_t low = total / parts;
  const size_t high_parts = total % parts;  // the first ones have one more
  const size_t begin = index * low + std::min(index, high_parts);
  return {begin, begin + low + (index < high_parts)};
}

Cut CutAt(size_t n, const Tiling& tiling, size_t tokens, size_t parts, size_t index) {
  const size_t vecs = DivideUp(n, tiling.lanes);
  const size_t panel_vecs = tiling.nr / tiling.lanes;  // all panels are that wide but the last
  if (tokens <= kRowsPerPanelRead) {
    const size_t begin = EvenRange(vecs, parts, index).begin;
    return {begin == vecs ? DivideUp(n, tiling.nr) : (begin + panel_vecs / 2) / panel_vecs, 0};
  }
  const size_t begin = EvenRange(vecs * tokens, parts, index).begin;  // in rows of one vector
  if (begin == vecs * tokens) return {DivideUp(n, tiling.nr), 0};
  const size_t panel = begin / (panel_vecs * tokens);
  const size_t width = std::min(panel_vecs, vecs - panel * panel_vecs);
  return {panel, (begin - panel * panel_vecs * tokens) / width};
}

size_t ChunkedFloats(size_t rows, size_t k, size_t chunk) { return DivideUp(k, chunk) * rows * kAStride; }

Plan MakePlan(const Shape& shape, size_t tokens, const Tiling& tiling, size_t l2_bytes, size_t threads,
              const Operands& operands) {
  Plan plan = {};
  plan.ldy = RoundUp(shape.out, tiling.lanes) + 16;  // not a multiple of the L1 cache's way
  plan.fused = tokens >= threads * FusedRows(threads);
  plan.panels = !plan.fused && operands.in_pairs && tokens <= kPairRows ? 2 : 1;
  plan.ld_panel = plan.panels * tiling.nr;
  if (plan.fused) {
    plan.parts = std::max<size_t>(1, std::min(threads, tokens));
    const size_t part_rows = DivideUp(tokens, plan.parts);
    const size_t blocks = std::max(PiecesEach(part_rows, plan.parts),
                                   DivideUp(part_rows, BlockRows(shape, tiling, l2_bytes, operands)));
    plan.pieces = std::min(tokens, plan.parts * blocks);
    plan.mc = DivideUp(tokens, std::max<size_t>(1, plan.pieces));
  } else {
    plan.parts = std::min(threads, MostColumnParts(shape, tokens, tiling));
    const size_t panels = DivideUp(std::min(shape.hidden, shape.out), tiling.nr);
    const size_t each =
        tokens <= kRowsPerPanelRead ? 1 : PiecesEach(panels * tokens / plan.parts, plan.parts);
    plan.pieces = plan.parts * each;
    plan.mc = tokens;
  }
  plan.x_chunk = ChunkOf(shape.dim, tiling, operands);
  plan.hidden_chunk = ChunkOf(shape.hidden, tiling, operands);
  const size_t hidden = plan.fused ? std::min(plan.hidden_chunk, shape.hidden) : shape.hidden;
  plan.x_floats = ChunkedFloats(plan.mc, shape.dim, plan.x_chunk);
  plan.hidden_floats = ChunkedFloats(plan.mc, hidden, plan.hidden_chunk);
  plan.y_floats = plan.mc * plan.ldy;
  if (operands.widen_once) plan.wide_floats = kKc * tiling.nr;
  if (operands.hidden == Hidden::kRounded) plan.panel_floats = plan.mc * plan.ld_panel;
  if (shape.gated) plan.gate_floats = plan.mc * plan.ld_panel;
  if (operands.hidden == Hidden::kQuantised) {
    plan.ld_values = RoundUp(hidden, tiling.lanes) + 16;
    plan.values_floats = plan.mc * plan.ld_values;
  }
  plan.scratch_floats = plan.parts * plan.part_floats() + (plan.fused ? 0 : plan.block_floats());
  return plan;
}

}  // namespace fusedffn

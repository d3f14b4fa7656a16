#include "src/plan.h"

#include <algorithm>

#include "kernels/kernels.h"

namespace fusedffn {
namespace {

// From this many rows a thread on, reading all weights on every thread costs less than a second meeting of
// the threads and a hidden array in L3. Flat on two cores of Zen 4: 16 to 100 within 1.5 % at 64 to 202
// tokens on two threads; 160 loses 3 % at 202. On one thread, 1 to 8 tokens are 1.1 to 1.3 times as fast by
// columns, which read the weights in memory order.
constexpr size_t kFusedRows = 48;

// Rows whose arithmetic takes as long as reading their weights from a shared cache.
constexpr size_t kRowsPerWeightRead = 12;

size_t DivideUp(size_t a, size_t b) { return (a + b - 1) / b; }
size_t RoundUp(size_t a, size_t b) { return DivideUp(a, b) * b; }

// Rows of a block: as many as let x and y of the block fill L2, and a quarter more. For CLIP-L on Zen 4 that
// is 128; 1028 tokens, one thread: 44 rows take 1.04 times as long, 64 1.025, 88 1.015, 264 1.017. On Ice
// Lake a prototype was fastest at about 130.
size_t BlockRows(const Shape& shape, const Tiling& tiling, size_t l2_bytes) {
  const size_t row_bytes = (shape.dim + shape.out + kAStride) * sizeof(float);
  const size_t rows = l2_bytes * 5 / 4 / row_bytes;
  return std::clamp(rows / tiling.mr * tiling.mr, 2 * tiling.mr, 32 * tiling.mr);
}

// The time of the slowest part, up to a factor, when rows and panels are split into row_parts x column_parts.
double ColumnsCost(const Shape& shape, size_t tokens, const Tiling& tiling, size_t row_parts,
                   size_t column_parts) {
  const size_t rows = DivideUp(tokens, row_parts) + kRowsPerWeightRead;
  const size_t hidden = ColumnRange(shape.hidden, tiling.nr, column_parts, 0).size();
  const size_t out = ColumnRange(shape.out, tiling.nr, column_parts, 0).size();
  return static_cast<double>(rows) * (static_cast<double>(hidden) * static_cast<double>(shape.dim) +
                                      static_cast<double>(out) * static_cast<double>(shape.hidden));
}

// Fewest row parts among the cheapest: each further one reads the weights once more.
void SplitRowsAndColumns(const Shape& shape, size_t tokens, const Tiling& tiling, size_t threads,
                         Plan* plan) {
  double best = 0;
  for (size_t row_parts = 1; row_parts <= std::min(threads, tokens); ++row_parts) {
    const size_t column_parts = threads / row_parts;
    const double cost = ColumnsCost(shape, tokens, tiling, row_parts, column_parts);
    if (row_parts == 1 || cost < best) {
      best = cost;
      plan->row_parts = row_parts;
      plan->column_parts = column_parts;
    }
  }
}

}  // namespace

Range EvenRange(size_t total, size_t parts, size_t index) {
  const size_t low = total / parts;
  const size_t high_parts = total % parts;  // the first ones have one more
  const size_t begin = index * low + std::min(index, high_parts);
  return {begin, begin + low + (index < high_parts)};
}

Range ColumnRange(size_t n, size_t nr, size_t parts, size_t index) {
  const Range panels = EvenRange(DivideUp(n, nr), parts, index);
  return {std::min(n, panels.begin * nr), std::min(n, panels.end * nr)};
}

size_t ChunkedFloats(size_t rows, size_t k) { return DivideUp(k, kKc) * rows * kAStride; }

Plan MakePlan(const Shape& shape, size_t tokens, const Tiling& tiling, size_t l2_bytes, size_t threads) {
  Plan plan = {};
  plan.ldy = RoundUp(shape.out, tiling.lanes) + 16;  // not a multiple of the L1 cache's way
  plan.fused = tokens >= threads * kFusedRows;
  if (plan.fused) {
    plan.row_parts = std::max<size_t>(1, std::min(threads, tokens));
    plan.column_parts = 1;
    const size_t part_rows = DivideUp(tokens, plan.row_parts);
    const size_t blocks = std::max<size_t>(1, DivideUp(part_rows, BlockRows(shape, tiling, l2_bytes)));
    plan.mc = DivideUp(part_rows, blocks);
  } else {
    SplitRowsAndColumns(shape, tokens, tiling, threads, &plan);
    plan.mc = tokens;
  }
  plan.x_floats = ChunkedFloats(plan.mc, shape.dim);
  plan.hidden_floats = ChunkedFloats(plan.mc, plan.fused ? std::min(kKc, shape.hidden) : shape.hidden);
  plan.y_floats = plan.mc * plan.ldy;
  plan.scratch_floats =
      (plan.fused ? plan.row_parts : 1) * (plan.x_floats + plan.hidden_floats + plan.y_floats);
  return plan;
}

}  // namespace fusedffn

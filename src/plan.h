// Compiled once. How a call is divided: a pure function of shape, tile, cache and threads, so that it can be
// tested, and reasoned about, for machines that are not at hand. No choice made here can change a bit of the
// result: see kernels/microkernel-inl.h.
//
// Two ways to divide the work:
//
//   row parallel    Each worker takes rows of x through both layers, a block of rows at a time, and for each
//                   block a hidden block of one chunk of columns at a time: fc1 tiles -> activation -> hidden
//                   block -> y += fc2. The hidden array never exists as a whole, and threads meet once, at
//                   the end.
//   panel parallel  For few rows a thread: first hidden, then, after all workers are done, y. Each of the two
//                   is cut into equal stretches of its panels, one after the other: a task has a few whole
//                   panels and some rows of those at its ends. So most panels are read by one thread only,
//                   and any number of threads gets equal shares: at 257 tokens at least 97 % of the best on
//                   up to 128 threads, where a grid of rows and panels leaves a third idle on 64.
#ifndef FUSEDFFN_SRC_PLAN_H_
#define FUSEDFFN_SRC_PLAN_H_

#include <cstddef>

#include "kernels/gemm.h"

namespace fusedffn {
inline namespace v0_2 {

// What is multiplied: x [tokens, dim] to hidden values, once or in a gated block twice, and those to y
// [tokens, out]; in a linear, whose hidden is 0, x to y.
struct Sizes {
  size_t dim, hidden, out;
  bool gated;
};

struct Plan {
  bool row_parallel;
  size_t workers;  // threads at work, each with scratch of its own
  size_t tasks;    // at least as many: blocks of rows, or stretches of each layer's panels
  size_t mc;       // row parallel: rows of a block, at most; else all
  size_t panels;   // panel parallel: so many are gone through at once

  size_t x_chunk, hidden_chunk;  // elements of k in a chunk of A

  // Scratch, in bytes: one array each of x as A, hidden as A, y with padded rows, and, where it is not made
  // an A by the tiles, hidden before that.
  size_t x_bytes, hidden_bytes, y_bytes, values_bytes;  // row parallel: of one worker
  size_t kernel_bytes, gate_bytes;  // of one worker: the kernel's own, and the gate's panels
  size_t ldy, ld_values, ld_gate;   // row strides in floats
  size_t scratch_bytes;             // of the whole call

  size_t block_bytes() const { return x_bytes + hidden_bytes + y_bytes + values_bytes; }
  size_t worker_bytes() const { return kernel_bytes + gate_bytes + (row_parallel ? block_bytes() : 0); }
};

Plan MakePlan(const Sizes& sizes, size_t tokens, const GemmKernel& kernel, size_t l2_bytes, size_t threads);

// Not less than the scratch_bytes of any plan for up to so many tokens and threads.
size_t MostScratchBytes(const Sizes& sizes, size_t tokens, const GemmKernel& kernel, size_t l2_bytes,
                        size_t threads);

// Item `index` of `total` split into `parts` ranges whose sizes differ by at most one.
Range EvenRange(size_t total, size_t parts, size_t index);

// A place in one layer's work, which goes panel by panel, and in each panel from row to row.
struct WorkPoint {
  size_t panel, row;
};

// Where task `index` of `tasks` begins, for n columns in panels and `tokens` rows; task `tasks` - 1 ends at
// index `tasks`. Few rows are never cut: their time is that of reading the panel.
WorkPoint SplitAt(size_t n, const BLayout& b, size_t tokens, size_t tasks, size_t index);

}  // namespace v0_2
}  // namespace fusedffn

#endif  // FUSEDFFN_SRC_PLAN_H_

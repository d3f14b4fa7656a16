// Compiled once. How a call is divided: a pure function of shape, tile, cache and threads, so that it can be
// tested, and reasoned about, for machines that are not at hand. No choice made here can change a bit of the
// result: see kernels/microkernel-inl.h.
//
// Two ways to divide the work:
//
//   fused    Each part takes rows of x through both layers, a block of rows at a time, and for each block a
//            hidden block of up to kKc columns at a time: fc1 tiles -> activation -> hidden block -> y +=
//            fc2. The hidden array never exists as a whole, and threads meet once, at the end.
//   columns  For few rows a thread: first hidden, then, after all parts are done, y. Each of the two is cut
//            into equal stretches of its panels, one after the other: a part has a few whole panels and some
//            rows of those at its ends. So most panels are read by one thread only, and any number of threads
//            gets equal shares: at 257 tokens at least 97 % of the best on up to 128 threads, where a grid of
//            rows and panels leaves a third idle on 64 (22 panels of 48 columns in 1024).
#ifndef FUSEDFFN_SRC_PLAN_H_
#define FUSEDFFN_SRC_PLAN_H_

#include <cstddef>

#include "fusedffn/fusedffn.h"
#include "src/pack.h"

namespace fusedffn {

struct Tiling {
  size_t mr, nr, lanes;  // of the target's microkernel
};

struct Range {
  size_t begin, end;
  size_t size() const { return end - begin; }
};

struct Plan {
  bool fused;
  size_t parts;   // threads at work, each with scratch of its own
  size_t pieces;  // at least as many; fused: blocks of rows; else: stretches of each layer's panels
  size_t mc;      // fused: rows of a block, at most
  size_t panels;  // columns: so many are gone through at once

  size_t x_chunk, hidden_chunk;  // elements of k in a chunk of A

  // Scratch, in floats: one array each of x in A chunks, hidden in A chunks, y with padded rows, and, where
  // it is quantised, hidden before that.
  size_t x_floats, hidden_floats, y_floats, values_floats;  // fused: of one part
  size_t wide_floats, panel_floats;  // of one part: a panel chunk widened, and panels of C,
  size_t gate_floats;                // and of the gate
  size_t ldy, ld_values, ld_panel;   // row strides of y, of the unquantised hidden, and of C and gate
  size_t scratch_floats;             // of the whole call

  size_t block_floats() const { return x_floats + hidden_floats + y_floats + values_floats; }
  size_t part_floats() const {
    return wide_floats + panel_floats + gate_floats + (fused ? block_floats() : 0);
  }
};

Plan MakePlan(const Shape& shape, size_t tokens, const Tiling& tiling, size_t l2_bytes, size_t threads,
              const Operands& operands = {});

// Item `index` of `total` split into `parts` ranges whose sizes differ by at most one.
Range EvenRange(size_t total, size_t parts, size_t index);

// A place in one layer's work, which goes panel by panel, and in each panel from row to row.
struct Cut {
  size_t panel, row;
};

// Where part `index` of `parts` begins, for n columns in panels and `tokens` rows; part `parts` - 1 ends at
// index `parts`. Few rows are never cut: their time is that of reading the panel.
Cut CutAt(size_t n, const Tiling& tiling, size_t tokens, size_t parts, size_t index);

// Floats of `rows` rows and k columns in A chunks (see kernels.h): [ceil(k / chunk)][rows][kAStride].
size_t ChunkedFloats(size_t rows, size_t k, size_t chunk);

}  // namespace fusedffn

#endif  // FUSEDFFN_SRC_PLAN_H_

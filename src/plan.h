// Compiled once. How a call is divided: a pure function of shape, tile, cache and threads, so that it can be
// tested, and reasoned about, for machines that are not at hand. No choice made here can change a bit of the
// result: see kernels/microkernel-inl.h.
//
// Two ways to divide the work:
//
//   fused    Each part takes rows of x through both layers, a block of rows at a time, and for each block a
//            hidden block of kKc columns at a time: fc1 tiles -> activation -> hidden block -> y += fc2.
//            The hidden array never exists as a whole, and threads meet once, at the end.
//   columns  For few rows a thread: each part computes some rows and some columns of hidden, then, after all
//            parts are done, some rows and columns of y. Every weight is read by as few threads as possible.
#ifndef FUSEDFFN_SRC_PLAN_H_
#define FUSEDFFN_SRC_PLAN_H_

#include <cstddef>

#include "fusedffn/fusedffn.h"

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
  size_t row_parts;     // tokens are split evenly into this many parts, ...
  size_t column_parts;  // ... and the panels of each layer into this many; 1 if fused
  size_t mc;            // fused: rows of a block, at most

  // Scratch, in floats: one array each of x in A chunks, hidden in A chunks, and y with padded rows.
  size_t x_floats, hidden_floats, y_floats;  // fused: of one part
  size_t ldy;                                // row stride of the y array
  size_t scratch_floats;                     // of the whole call

  size_t parts() const { return row_parts * column_parts; }
};

Plan MakePlan(const Shape& shape, size_t tokens, const Tiling& tiling, size_t l2_bytes, size_t threads);

// Item `index` of `total` split into `parts` ranges whose sizes differ by at most one.
Range EvenRange(size_t total, size_t parts, size_t index);

// The columns of part `index`, on panel boundaries: whole panels of nr, split evenly.
Range ColumnRange(size_t n, size_t nr, size_t parts, size_t index);

// Floats of `rows` rows and `k` columns in A chunks (see kernels.h): [ceil(k / kKc)][rows][kAStride].
size_t ChunkedFloats(size_t rows, size_t k);

}  // namespace fusedffn

#endif  // FUSEDFFN_SRC_PLAN_H_

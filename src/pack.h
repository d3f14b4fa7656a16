// Compiled once. The packed order of one layer's weight, and the copy into it.
//
// nn.Linear stores W[n][k]; the kernels want B = W^T cut into panels of nr columns, each panel k-major, so
// that one k-step of a tile reads one contiguous row. With nr = 4, W of 6 rows (n) and 3 columns (k), and
// elements numbered in packed order:
//
//            panel 0 (width 4)       panel 1 (width 2 of lanes = 2)
//     k = 0 |  0  1  2  3 |         | 12 13 |
//     k = 1 |  4  5  6  7 |         | 14 15 |
//     k = 2 |  8  9 10 11 |         | 16 17 |
//       n =    0  1  2  3              4  5
//
//     packed(n, k) = (n / nr) * nr * K + k * width(n / nr) + n % nr
//
// Every panel is nr wide but the last, which is as many vectors as it needs: 1024 = 21 * 48 + 16, and
// computing 48 columns there would be 3 % of fc2 for nothing. Columns beyond N are zero.
//
// Elements smaller than 32 bits are grouped: `group` steps of k of one column lie side by side, where one
// element lies above. K is rounded up to whole groups, with zeros:
//
//     packed(n, k) = (n / nr) * nr * K + (k / group * width(n / nr) + n % nr) * group + k % group
//
// The matrices of a gated block's gate and up are multiplied in turns, panel by panel. So their panels lie in
// turns as well, and few rows, whose time is that of reading them, read memory in order.
//
// int8 weights are those of quantize.h.
#ifndef FUSEDFFN_SRC_PACK_H_
#define FUSEDFFN_SRC_PACK_H_

#include <cstddef>
#include <cstdint>

#include "fusedffn/fusedffn.h"
#include "kernels/kernels.h"

namespace fusedffn {

// How fc1's output becomes fc2's A.
enum class Hidden {
  kAsIs,       // fc1 writes there
  kRounded,    // each tile, when it is finished
  kQuantised,  // each row, when an A chunk of it is finished
};

// Elements of A and of B, in bytes. A step of k is 4 bytes of A.
struct Operands {
  size_t a_bytes = 4, b_bytes = 4;
  size_t group = 1;  // elements of k that lie side by side in B
  Hidden hidden = Hidden::kAsIs;
  bool widen_once = false;  // B's panel chunks are widened before they are multiplied
  bool in_pairs = true;     // few rows go through two panels at once

  size_t step() const { return 4 / a_bytes; }  // elements of k in it
};

Operands OperandsOf(Precision precision, const Kernels& kernels);

struct PackedLayout {
  size_t n, k;               // of the whole matrix
  size_t nr, lanes;          // of the target
  size_t element_bytes = 4;  // 4: fp32; 2: bf16; 1: int8
  size_t group = 1;
  size_t turns = 1, turn = 0;  // this is one of `turns` matrices of the same sizes, whose panels lie in turns

  size_t padded_n() const { return (n + lanes - 1) / lanes * lanes; }
  size_t padded_k() const { return (k + group - 1) / group * group; }
  size_t bytes() const { return turns * padded_n() * padded_k() * element_bytes; }  // of all of them
  // int8: a scale for each of padded_n columns, group after group.
  size_t scales() const { return element_bytes == 1 ? Int8Groups(k) * padded_n() : 0; }

  // Columns of the panel that starts at column n0.
  size_t width(size_t n0) const { return padded_n() - n0 < nr ? padded_n() - n0 : nr; }
  // Where step k0 of the panel that starts at column n0 is, in bytes. k0 begins a group.
  size_t offset(size_t n0, size_t k0) const {
    return ((n0 * turns + width(n0) * turn) * padded_k() + k0 * width(n0)) * element_bytes;
  }
};

// Where packed weights go.
struct PackedWeight {
  void* data;  // layout.bytes() of it

  // int8 only: [groups][padded_n], layout.scales() of each
  float* scale = nullptr;
  int32_t* sum = nullptr;  // of q
};

// Packs rows [n0, n0 + rows) of W, which start at `weight`: as they are, rounded to bf16, or quantised, by
// layout.element_bytes. A group of a row with a NaN or infinity is quantised to zeros with a scale of NaN;
// one whose scale would be below 2^-120 to zeros.
void PackRows(const PackedLayout& layout, size_t n0, size_t rows, const void* weight, DType dtype,
              size_t stride, const PackedWeight& packed);

// The same for rows that have been quantised before: `q`, and `scales` [rows][Int8Groups(layout.k)].
void PackQuantizedRows(const PackedLayout& layout, size_t n0, size_t rows, const int8_t* q, size_t stride,
                       const float* scales, const PackedWeight& packed);

// Makes zeros of what PackRows() never writes: columns beyond N and steps beyond K, which are computed like
// the others and must be numbers.
void ZeroPadding(const PackedLayout& layout, const PackedWeight& packed);

// Widens `count` elements to fp32, exactly.
void Widen(const void* from, DType dtype, size_t count, float* to);

size_t BytesOf(DType dtype);

// Whether `rows` rows of `columns` elements, `stride` apart, can lie in memory at all. All but rows >= 1.
bool FitsInMemory(size_t rows, size_t stride, size_t columns, size_t element_bytes);

}  // namespace fusedffn

#endif  // FUSEDFFN_SRC_PACK_H_

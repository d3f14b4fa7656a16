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
#ifndef FUSEDFFN_SRC_PACK_H_
#define FUSEDFFN_SRC_PACK_H_

#include <cstddef>

#include "fusedffn/fusedffn.h"

namespace fusedffn {

// Bytes of one element of A and of B. A step of k is 4 bytes of A.
struct Operands {
  size_t a_bytes = 4, b_bytes = 4;
  bool widen_once = false;  // B's panel chunks are widened before they are multiplied

  size_t step() const { return 4 / a_bytes; }  // elements of k in it
};

Operands OperandsOf(Precision precision);

struct PackedLayout {
  size_t n, k;               // of the whole matrix
  size_t nr, lanes;          // of the target
  size_t element_bytes = 4;  // 4: fp32; 2: bf16

  size_t group() const { return 4 / element_bytes; }
  size_t padded_n() const { return (n + lanes - 1) / lanes * lanes; }
  size_t padded_k() const { return (k + group() - 1) / group() * group(); }
  size_t bytes() const { return padded_n() * padded_k() * element_bytes; }

  // Columns of the panel that starts at column n0.
  size_t width(size_t n0) const { return padded_n() - n0 < nr ? padded_n() - n0 : nr; }
  // Where step k0 of the panel that starts at column n0 is, in bytes. k0 begins a group.
  size_t offset(size_t n0, size_t k0) const { return (n0 * padded_k() + k0 * width(n0)) * element_bytes; }
};

// Packs rows [n0, n0 + rows) of W, which start at `weight`, into `packed` (layout.bytes() of them), as fp32
// or rounded to bf16.
void PackRows(const PackedLayout& layout, size_t n0, size_t rows, const void* weight, DType dtype,
              size_t stride, void* packed);

// Makes zeros of what PackRows() never writes: columns beyond N and steps beyond K, which are computed like
// the others and must be numbers.
void ZeroPadding(const PackedLayout& layout, void* packed);

// Widens `count` elements to fp32, exactly.
void Widen(const void* from, DType dtype, size_t count, float* to);

size_t BytesOf(DType dtype);

// Whether `rows` rows of `columns` elements, `stride` apart, can lie in memory at all. All but rows >= 1.
bool FitsInMemory(size_t rows, size_t stride, size_t columns, size_t element_bytes);

}  // namespace fusedffn

#endif  // FUSEDFFN_SRC_PACK_H_

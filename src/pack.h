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
#ifndef FUSEDFFN_SRC_PACK_H_
#define FUSEDFFN_SRC_PACK_H_

#include <cstddef>

#include "fusedffn/fusedffn.h"

namespace fusedffn {

struct PackedLayout {
  size_t n, k;       // of the whole matrix
  size_t nr, lanes;  // of the target

  size_t padded_n() const { return (n + lanes - 1) / lanes * lanes; }
  size_t floats() const { return padded_n() * k; }

  // Columns of the panel that starts at column n0.
  size_t width(size_t n0) const { return padded_n() - n0 < nr ? padded_n() - n0 : nr; }
  // Where row k0 of the panel that starts at column n0 is.
  size_t offset(size_t n0, size_t k0) const { return n0 * k + k0 * width(n0); }
};

// Packs rows [n0, n0 + rows) of W, which start at `weight`, into `packed` (layout.floats() of them).
void PackRows(const PackedLayout& layout, size_t n0, size_t rows, const void* weight, DType dtype,
              size_t stride, float* packed);

// Widens `count` elements to fp32, exactly.
void Widen(const void* from, DType dtype, size_t count, float* to);

size_t BytesOf(DType dtype);

// Whether `rows` rows of `columns` elements, `stride` apart, can lie in memory at all. All but rows >= 1.
bool FitsInMemory(size_t rows, size_t stride, size_t columns, size_t element_bytes);

}  // namespace fusedffn

#endif  // FUSEDFFN_SRC_PACK_H_

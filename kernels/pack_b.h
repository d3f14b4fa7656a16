// Compiled once. GemmKernel::pack_b: rows of a layer's weight into panels, see PanelLayout in gemm.h. Each
// returns how many of the weights are denormal and kept.
#ifndef FUSEDFFN_KERNELS_PACK_B_H_
#define FUSEDFFN_KERNELS_PACK_B_H_

#include <cstddef>

#include "kernels/gemm.h"

namespace fusedffn {
inline namespace v0_2 {

size_t PackBF32(const BRows& from, Range rows, const PackedB& b);
// Rounded, to nearest, ties to even. What is bf16 already keeps its bits, NaNs among them.
size_t PackBBF16(const BRows& from, Range rows, const PackedB& b);
// Quantized, see int8_weights.h, unless they have been before: no denormals are kept. A group of a row with a
// NaN or infinity gets zeros and a scale of NaN; one whose scale would be below 2^-120 zeros.
template <size_t kInterleaved>
size_t PackBInt8(const BRows& from, Range rows, const PackedB& b);
extern template size_t PackBInt8<2>(const BRows& from, Range rows, const PackedB& b);
extern template size_t PackBInt8<4>(const BRows& from, Range rows, const PackedB& b);

// The first of `rows` rows of k with a weight that is infinite, or is when it is rounded to bf16; `rows` if
// none has.
size_t FindInfiniteRow(const BRows& from, size_t rows, size_t k);

// Makes zeros of what is never packed: columns beyond N and elements beyond K, which are computed like the
// others and must be numbers.
void ZeroPadding(const PackedB& b);

}  // namespace v0_2
}  // namespace fusedffn

#endif  // FUSEDFFN_KERNELS_PACK_B_H_

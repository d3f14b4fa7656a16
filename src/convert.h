// Compiled once. Arrays from one element type to another, by the kernels of one instruction set.
#ifndef FUSEDFFN_SRC_CONVERT_H_
#define FUSEDFFN_SRC_CONVERT_H_

#include <cstddef>

#include "fusedffn/fusedffn.h"
#include "kernels/kernels.h"

namespace fusedffn {

// `count` elements. Widening is exact; else to nearest, ties to even.
void Convert(const Kernels& kernels, const void* from, DType from_dtype, size_t count, void* to,
             DType to_dtype);

}  // namespace fusedffn

#endif  // FUSEDFFN_SRC_CONVERT_H_

// Compiled once. The arguments that several calls have in common, and their checks.
#ifndef FUSEDFFN_SRC_ARGUMENTS_H_
#define FUSEDFFN_SRC_ARGUMENTS_H_

#include <cstddef>
#include <cstdint>

#include "fusedffn/fusedffn.h"
#include "kernels/gemm.h"
#include "src/packed_block.h"

namespace fusedffn {

// One array of a call: x, y, a residual, or one row with a norm's weight or bias.
struct Rows {
  const char *name, *stride_name;
  const void* data;
  DType dtype;
  size_t stride, columns, rows;

  uintptr_t begin() const { return reinterpret_cast<uintptr_t>(data); }
  uintptr_t end() const { return begin() + ((rows - 1) * stride + columns) * BytesOf(dtype); }
};

Status CheckRows(const Rows& rows) noexcept;
bool Overlap(const Rows& a, const Rows& b) noexcept;

Status CheckDType(DType dtype) noexcept;

// Of `rows` rows of a matrix called `name`.
Status CheckStride(const char* name, size_t rows, size_t stride, size_t cols, size_t element_bytes) noexcept;

// Whether `rows` rows of `columns` elements, `stride` apart, can lie in memory at all. All but rows >= 1.
bool FitsInMemory(size_t rows, size_t stride, size_t columns, size_t element_bytes);

// Whether all weights are there. `type` is the class whose block this is.
Status CheckPacked(const PackedBlock* block, const char* type) noexcept;

// `threads` as in RunOptions, how many they are, and what ParallelFor() takes for them.
Status CheckThreads(int threads) noexcept;
size_t ThreadCount(int threads) noexcept;
inline int PoolOf(int threads, size_t count) {
  return threads == kCallersArena ? kCallersArena : static_cast<int>(count);
}

}  // namespace fusedffn

#endif  // FUSEDFFN_SRC_ARGUMENTS_H_

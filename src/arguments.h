// Compiled once. The arguments that Run() and RunExperts() have in common, and their checks.
#ifndef FUSEDFFN_SRC_ARGUMENTS_H_
#define FUSEDFFN_SRC_ARGUMENTS_H_

#include <cstddef>
#include <cstdint>

#include "fusedffn/fusedffn.h"
#include "src/pack.h"

namespace fusedffn {

// One array of a call: x, y, a residual, or one row with a LayerNorm's weight or bias.
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

// Whether all weights are there.
Status CheckPacked(const PackedFfn& packed) noexcept;

// `threads` as in RunOptions, how many they are, and what ParallelFor() takes for them.
Status CheckThreads(int threads) noexcept;
size_t ThreadCount(int threads) noexcept;
inline int PoolOf(int threads, size_t count) {
  return threads == kCallersArena ? kCallersArena : static_cast<int>(count);
}

}  // namespace fusedffn

#endif  // FUSEDFFN_SRC_ARGUMENTS_H_

// Compiled once. The arguments that Run() and RunExperts() have in common, and their checks.
#ifndef FUSEDFFN_SRC_ARGUMENTS_H_
#define FUSEDFFN_SRC_ARGUMENTS_H_

#include <cstddef>
#include <cstdint>

#include "fusedffn/fusedffn.h"
#include "src/pack.h"

namespace fusedffn {

// One side of a call: x or y.
struct Rows {
  const char* name;
  const void* data;
  DType dtype;
  size_t stride, columns;

  uintptr_t begin() const { return reinterpret_cast<uintptr_t>(data); }
  uintptr_t end(size_t tokens) const { return begin() + ((tokens - 1) * stride + columns) * BytesOf(dtype); }
};

Status CheckRows(const Rows& rows, size_t tokens) noexcept;

// Whether all weights are there.
Status CheckPacked(const PackedFfn& packed) noexcept;

// `threads` as in RunOptions, and how many they are.
Status CheckThreads(int threads) noexcept;
size_t ThreadCount(int threads) noexcept;

}  // namespace fusedffn

#endif  // FUSEDFFN_SRC_ARGUMENTS_H_

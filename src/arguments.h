// Compiled once. The arguments that several calls have in common, and their checks.
#ifndef FUSEDFFN_SRC_ARGUMENTS_H_
#define FUSEDFFN_SRC_ARGUMENTS_H_

#include <cstddef>
#include <cstdint>

#include "fusedffn/fusedffn.h"
#include "kernels/gemm.h"
#include "src/packed_block.h"
#include "src/system/parallel.h"
#include "src/system/scratch.h"

namespace fusedffn {
inline namespace v0_2 {

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

// Whether an int8 group may be of so many columns.
Status CheckInt8Group(const char* name, size_t group) noexcept;

// Of `rows` rows of a matrix called `name`.
Status CheckStride(const char* name, size_t rows, size_t stride, size_t cols, size_t element_bytes) noexcept;

// Whether `rows` rows of `columns` elements, `stride` apart, can lie in memory at all. All but rows >= 1.
bool FitsInMemory(size_t rows, size_t stride, size_t columns, size_t element_bytes);

// Whether all weights are there. `type` is the class whose block this is.
Status CheckPacked(const PackedBlock* block, const char* type) noexcept;

inline constexpr int kMostThreads = 65536;

// `threads` as in RunOptions; and the same, or the executor, of options.
Status CheckThreads(int threads) noexcept;
Status CheckThreads(const RunOptions& options) noexcept;
// Of what has been checked.
size_t ThreadCount(int threads) noexcept;
Team TeamOf(const RunOptions& options) noexcept;

// The same with as many of the default threads as a workspace has room for, if it is for these.
// bytes(threads): of scratch; the last call of it is for the threads that are returned.
template <class F>
Team TeamFor(const RunOptions& options, const F& bytes) {
  Team team = TeamOf(options);
  const bool fixed = options.threads != 0 || team.executor.parallel_for != nullptr;
  const size_t room = options.workspace == nullptr ? SIZE_MAX : options.workspace_bytes;
  while (WithAlignment(bytes(team.threads)) > room && team.threads > 1 && !fixed) --team.threads;
  return team;
}

}  // namespace v0_2
}  // namespace fusedffn

#endif  // FUSEDFFN_SRC_ARGUMENTS_H_

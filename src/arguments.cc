#include "src/arguments.h"

namespace fusedffn {
inline namespace v0_2 {

Status CheckRows(const Rows& rows) noexcept {
  const char* const name = rows.name;
  Status status = CheckDType(rows.dtype);
  if (!status.ok()) return status;
  if (rows.stride < rows.columns) {
    return Status(StatusCode::kInvalidArgument, "%s is %zu; it must be at least %zu, the columns of %s",
                  rows.stride_name, rows.stride, rows.columns, name);
  }
  if (rows.rows == 0) return Status();
  if (rows.data == nullptr) return Status(StatusCode::kInvalidArgument, "%s is null", name);
  const size_t bytes = BytesOf(rows.dtype);
  if (rows.begin() % bytes != 0) {
    return Status(StatusCode::kInvalidArgument, "%s is not aligned to %zu bytes", name, bytes);
  }
  if (!FitsInMemory(rows.rows, rows.stride, rows.columns, bytes)) {
    return Status(StatusCode::kInvalidArgument, "%s: %zu rows of stride %zu do not fit in memory", name,
                  rows.rows, rows.stride);
  }
  return Status();
}

bool Overlap(const Rows& a, const Rows& b) noexcept {
  return a.rows != 0 && b.rows != 0 && a.begin() < b.end() && b.begin() < a.end();
}

Status CheckDType(DType dtype) noexcept {
  switch (dtype) {
    case DType::kF32:
    case DType::kBF16:
    case DType::kF16:
      return Status();
  }
  return Status(StatusCode::kInvalidArgument, "dtype %d is none of kF32, kBF16, kF16",
                static_cast<int>(dtype));
}

Status CheckInt8Group(const char* name, size_t group) noexcept {
  if (group == kInt8GroupSize || group == kSmallInt8GroupSize) return Status();
  return Status(StatusCode::kInvalidArgument, "%s is %zu; it must be %zu or %zu", name, group, kInt8GroupSize,
                kSmallInt8GroupSize);
}

Status CheckStride(const char* name, size_t rows, size_t stride, size_t cols, size_t element_bytes) noexcept {
  if (stride < cols) {
    return Status(StatusCode::kInvalidArgument, "%s.stride is %zu; it must be at least %zu, the columns",
                  name, stride, cols);
  }
  if (!FitsInMemory(rows, stride, cols, element_bytes)) {
    return Status(StatusCode::kInvalidArgument, "%s.stride is %zu; %zu such rows do not fit in memory", name,
                  stride, rows);
  }
  return Status();
}

bool FitsInMemory(size_t rows, size_t stride, size_t columns, size_t element_bytes) {
  const size_t most = PTRDIFF_MAX / element_bytes;
  return columns <= most && (rows <= 1 || stride <= (most - columns) / (rows - 1));
}

Status CheckPacked(const PackedBlock* block, const char* type) noexcept {
  if (block == nullptr) {
    return Status(StatusCode::kIncomplete, "this %s is empty: Pack() weights into it first", type);
  }
  size_t left = 0;
  for (size_t i = 0; i < block->layer_count; ++i) left += block->layers[i].rows_left;
  if (left == 0) return Status();
  return Status(StatusCode::kIncomplete, "%zu rows of the weights have not been packed", left);
}

Status CheckThreads(int threads) noexcept {
  if (threads >= 0 && threads <= kMostThreads) return Status();
  return Status(StatusCode::kInvalidArgument, "threads is %d; it must be 1 to %d, or 0 for the default",
                threads, kMostThreads);
}

Status CheckThreads(const RunOptions& options) noexcept {
  const Executor& executor = options.executor;
  if (executor.parallel_for == nullptr) {
    if (executor.threads == 0) return CheckThreads(options.threads);
    return Status(StatusCode::kInvalidArgument, "executor.parallel_for is null, but its threads are %d",
                  executor.threads);
  }
  if (options.threads != 0) {
    return Status(StatusCode::kInvalidArgument, "threads is %d; with an executor it must be 0",
                  options.threads);
  }
  if (executor.threads >= 1 && executor.threads <= kMostThreads) return Status();
  return Status(StatusCode::kInvalidArgument, "executor.threads is %d; it must be 1 to %d", executor.threads,
                kMostThreads);
}

Team TeamOf(const RunOptions& options) noexcept {
  if (options.executor.parallel_for == nullptr) return {ThreadCount(options.threads)};
  return {static_cast<size_t>(options.executor.threads), options.executor};
}

size_t ThreadCount(int threads) noexcept {
  return static_cast<size_t>(threads == 0 ? DefaultThreads() : threads);
}

}  // namespace v0_2
}  // namespace fusedffn

#include "src/arguments.h"

#include "src/packed_ffn.h"
#include "src/parallel.h"

namespace fusedffn {

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

Status CheckPacked(const PackedFfn& packed) noexcept {
  if (packed.impl() == nullptr) {
    return Status(StatusCode::kIncomplete, "this PackedFfn is empty: Pack() weights into it first");
  }
  size_t left = 0;
  for (const PackedLayer& layer : packed.impl()->layers) left += layer.rows_left;
  if (left == 0) return Status();
  return Status(StatusCode::kIncomplete, "%zu rows of the weights have not been packed", left);
}

Status CheckThreads(int threads) noexcept {
  if (threads >= kCallersArena && threads <= 65536) return Status();
  return Status(StatusCode::kInvalidArgument,
                "threads is %d; it must be 1 to 65536, 0 for the default, or kCallersArena", threads);
}

size_t ThreadCount(int threads) noexcept {
  if (threads == 0) return static_cast<size_t>(DefaultThreads());
  return static_cast<size_t>(threads == kCallersArena ? CallersArenaThreads() : threads);
}

}  // namespace fusedffn

#include "src/check_call.h"

#include <cmath>

namespace fusedffn {
inline namespace v0_2 {
namespace {

Status CheckInPlace(const Rows& in, const Rows& y) {
  if (in.data == y.data && in.stride == y.stride && in.dtype == y.dtype) return Status();
  if (!Overlap(in, y)) return Status();
  return Status(StatusCode::kInvalidArgument,
                "%s and y overlap; y must be apart from %s, or %s itself with the same stride and dtype",
                in.name, in.name, in.name);
}

}  // namespace

Status CheckNorm(const Norm* given, size_t dim, const Rows& y) noexcept {
  if (given == nullptr) return Status();
  const Norm& norm = *given;
  if (norm.kind != NormKind::kLayerNorm && norm.kind != NormKind::kRmsNorm) {
    return Status(StatusCode::kInvalidArgument, "norm.kind is %d; it must be kLayerNorm or kRmsNorm",
                  static_cast<int>(norm.kind));
  }
  if (!std::isfinite(norm.eps) || norm.eps < 0) {
    return Status(StatusCode::kInvalidArgument, "norm.eps is %g; it must be finite and at least 0", norm.eps);
  }
  if (!std::isfinite(norm.weight_offset)) {
    return Status(StatusCode::kInvalidArgument, "norm.weight_offset is %g; it must be finite",
                  norm.weight_offset);
  }
  if (norm.weight == nullptr && norm.weight_offset != 0) {
    return Status(StatusCode::kInvalidArgument,
                  "norm.weight_offset is %g; without a norm.weight it must be 0", norm.weight_offset);
  }
  for (const Rows& rows : {Rows{"norm.weight", "", norm.weight, norm.dtype, dim, dim, 1},
                           Rows{"norm.bias", "", norm.bias, norm.dtype, dim, dim, 1}}) {
    if (rows.data == nullptr) continue;
    const Status status = CheckRows(rows);
    if (!status.ok()) return status;
    if (Overlap(rows, y)) {
      return Status(StatusCode::kInvalidArgument, "%s and y overlap; they must be apart", rows.name);
    }
  }
  return Status();
}

Status CheckAddend(const Rows& addend, const Rows& y) noexcept {
  if (addend.data == nullptr) return Status();
  const Status status = CheckRows(addend);
  return status.ok() ? CheckInPlace(addend, y) : status;
}

Status CheckCall(const Call& call) noexcept {
  const size_t dim = call.block.dim, out = call.block.out;
  const Rows x = {"x", "ldx", call.x, call.x_dtype, call.ldx, dim, call.tokens};
  const Rows y = {"y", "ldy", call.y, call.y_dtype, call.ldy, out, call.tokens};
  const auto& [data, dtype, stride] = call.residual;
  Status status = CheckRows(x);
  if (status.ok()) status = CheckRows(y);
  if (status.ok()) status = CheckInPlace(x, y);
  if (status.ok()) status = CheckNorm(call.norm, dim, y);
  if (status.ok()) {
    status = CheckAddend({"residual", "residual.stride", data, dtype, stride, out, call.tokens}, y);
  }
  return status;
}

}  // namespace v0_2
}  // namespace fusedffn

#include <utility>

#include "fusedffn/fusedffn.h"
#include "src/check.h"
#include "src/packed_block.h"

namespace fusedffn {
inline namespace v0_2 {
namespace {

Status CheckCreated(const PackedBlock* block) {
  if (block != nullptr) return Status();
  return Status(StatusCode::kInvalidArgument, "this PackedLinear is empty: Create() it first");
}

}  // namespace

PackedLinear::PackedLinear() noexcept = default;
PackedLinear::PackedLinear(PackedLinear&&) noexcept = default;
PackedLinear& PackedLinear::operator=(PackedLinear&&) noexcept = default;
PackedLinear::~PackedLinear() = default;

Status PackedLinear::Create(size_t in, size_t out, Activation activation, const PackOptions& options,
                            PackedLinear* linear) noexcept {
  if (linear == nullptr) return Status(StatusCode::kInvalidArgument, "linear is null");
  return CreateLinear(in, out, activation, options, &linear->block_);
}

Status PackedLinear::PackRows(size_t first_row, size_t rows, const void* weight, DType dtype,
                              size_t stride) noexcept {
  const Status status = CheckCreated(block_.get());
  if (!status.ok()) return status;
  return PackLayerRows(block_.get(), 0, first_row, rows, {weight, stride, dtype});
}

Status PackedLinear::PackQuantizedRows(size_t first_row, size_t rows, const int8_t* q, size_t stride,
                                       const float* scales, size_t group) noexcept {
  const Status status = CheckCreated(block_.get());
  if (!status.ok()) return status;
  return PackLayerQuantizedRows(block_.get(), 0, first_row, rows, q, stride, scales, group);
}

Status PackedLinear::PackBias(const void* bias, DType dtype) noexcept {
  const Status status = CheckCreated(block_.get());
  return status.ok() ? PackLayerBias(block_.get(), 0, bias, dtype) : status;
}

size_t PackedLinear::in() const noexcept { return block_ ? block_->dim : 0; }
size_t PackedLinear::out() const noexcept { return block_ ? block_->out : 0; }
Precision PackedLinear::precision() const noexcept {
  return block_ ? block_->gemm->precision : Precision::kF32;
}
const char* PackedLinear::target() const noexcept { return block_ ? block_->kernels->name : ""; }
size_t PackedLinear::denormals() const noexcept { return block_ ? Denormals(*block_) : 0; }
size_t PackedLinear::packed_bytes() const noexcept { return block_ ? PackedBytes(*block_) : 0; }

Status Pack(const Linear& weights, size_t in, size_t out, Activation activation, const PackOptions& options,
            PackedLinear* linear) noexcept {
  if (linear == nullptr) return Status(StatusCode::kInvalidArgument, "linear is null");
  BlockPtr block;
  Status status = CreateLinear(in, out, activation, options, &block);
  if (status.ok()) status = CheckLinear("linear", weights, out, in);
  if (status.ok()) status = PackLayer(block.get(), 0, weights, options.threads);
  if (status.ok()) PackedBlockAccess::Set(std::move(block), linear);
  return status;
}

}  // namespace v0_2
}  // namespace fusedffn

#include <utility>

#include "fusedffn/fusedffn.h"
#include "src/check.h"
#include "src/packed_block.h"

namespace fusedffn {
inline namespace v0_2 {
PackedFfn::PackedFfn() noexcept = default;
PackedFfn::PackedFfn(PackedFfn&&) noexcept = default;
PackedFfn& PackedFfn::operator=(PackedFfn&&) noexcept = default;
PackedFfn::~PackedFfn() = default;

Status PackedFfn::Create(const Shape& shape, Activation activation, const PackOptions& options,
                         PackedFfn* ffn) noexcept {
  if (ffn == nullptr) return Status(StatusCode::kInvalidArgument, "ffn is null");
  return CreateFfn(shape, activation, options, &ffn->block_);
}

Status PackedFfn::PackRows(Layer layer, size_t first_row, size_t rows, const void* weight, DType dtype,
                           size_t stride) noexcept {
  const Status status = CheckLayer(block_.get(), layer);
  if (!status.ok()) return status;
  return PackLayerRows(block_.get(), static_cast<size_t>(layer), first_row, rows, {weight, stride, dtype});
}

Status PackedFfn::PackQuantizedRows(Layer layer, size_t first_row, size_t rows, const int8_t* q,
                                    size_t stride, const float* scales, size_t group) noexcept {
  const Status status = CheckLayer(block_.get(), layer);
  if (!status.ok()) return status;
  return PackLayerQuantizedRows(block_.get(), static_cast<size_t>(layer), first_row, rows, q, stride, scales,
                                group);
}

Status PackedFfn::PackBias(Layer layer, const void* bias, DType dtype) noexcept {
  const Status status = CheckLayer(block_.get(), layer);
  return status.ok() ? PackLayerBias(block_.get(), static_cast<size_t>(layer), bias, dtype) : status;
}

Precision PackedFfn::precision() const noexcept { return block_ ? block_->gemm->precision : Precision::kF32; }

Shape PackedFfn::shape() const noexcept {
  return block_ ? Shape{block_->dim, block_->hidden, block_->out, block_->gated()} : Shape();
}

const char* PackedFfn::target() const noexcept { return block_ ? block_->kernels->name : ""; }

size_t PackedFfn::denormals() const noexcept { return block_ ? Denormals(*block_) : 0; }
size_t PackedFfn::packed_bytes() const noexcept { return block_ ? PackedBytes(*block_) : 0; }

Status Pack(const Weights& weights, const PackOptions& options, PackedFfn* ffn) noexcept {
  if (ffn == nullptr) return Status(StatusCode::kInvalidArgument, "ffn is null");
  const Shape& shape = weights.shape;
  BlockPtr block;
  Status status = CreateFfn(shape, weights.activation, options, &block);
  if (status.ok()) status = CheckWeights(weights);
  const std::pair<Layer, const Linear*> layers[] = {
      {Layer::kFc1, &weights.fc1}, {Layer::kFc2, &weights.fc2}, {Layer::kUp, &weights.up}};
  for (const auto& [layer, linear] : layers) {
    if (!status.ok()) return status;
    if (linear->weight == nullptr) continue;  // up, where there is none
    status = PackLayer(block.get(), static_cast<size_t>(layer), *linear, options.threads);
  }
  if (status.ok()) PackedBlockAccess::Set(std::move(block), ffn);
  return status;
}

}  // namespace v0_2
}  // namespace fusedffn

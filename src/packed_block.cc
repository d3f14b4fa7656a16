#include "src/packed_block.h"

#include <algorithm>
#include <new>
#include <utility>

#include "kernels/cpu.h"
#include "kernels/dtype_traits.h"
#include "kernels/pack_b.h"
#include "src/check.h"
#include "src/system/float_environment.h"
#include "src/system/parallel.h"
#include "src/targets.h"

namespace fusedffn {
inline namespace v0_2 {
namespace {

// Of one target.
Status FindGemm(const Kernels& kernels, const PackOptions& options, const GemmKernel** gemm) {
  *gemm = kernels.Gemm(options.precision, options.int8_group);
  if (*gemm == nullptr && options.precision == Precision::kBF16x3) {
    const char* const missing = AmxIsMissing();
    return Status(StatusCode::kUnsupportedTarget, "kBF16x3 needs AMX: %s; kBF16 runs on every target",
                  missing != nullptr ? missing : "target AVX3_AMX, and no other, has it");
  }
  if (*gemm == nullptr) {
    return Status(StatusCode::kUnsupportedTarget,
                  "target %s has no bf16 dot-product instruction; kBF16 runs on every target", kernels.name);
  }
  const char* const refusal = (*gemm)->ask == nullptr ? nullptr : (*gemm)->ask();
  if (refusal == nullptr) return Status();
  return Status(StatusCode::kUnsupportedTarget, "target %s with %s: %s", kernels.name,
                PrecisionName(options.precision), refusal);
}

// Where no target is named, and the system does not let the best one have what it needs, it is the next one.
Status FindGemm(const PackOptions& options, const Kernels** kernels, const GemmKernel** gemm) {
  Status status = FindKernels(options.target, kernels);
  if (status.ok()) status = CheckPackOptions(options);
  if (status.ok()) status = FindGemm(**kernels, options, gemm);
  if (status.ok() || options.target != nullptr || *gemm == nullptr) return status;
  const Kernels* const end = AllKernels().kernels + AllKernels().count;
  for (const Kernels* next = *kernels + 1; next != end && !status.ok(); ++next) {
    if (!next->supported() || next->Gemm(options.precision, options.int8_group) == nullptr) continue;
    *kernels = next;
    status = FindGemm(*next, options, gemm);
  }
  return status;
}

void AddLayer(const char* name, size_t n, size_t k, size_t interleaved, size_t slot, PackedBlock* block) {
  PackedLayer& layer = block->layers[block->layer_count++];
  layer.name = name;
  layer.b.layout = {block->gemm->b, n, k, interleaved, slot};
  layer.row_taken.resize(n);
  layer.rows_left = n;
}

// By Layer.
void AddFfnLayers(const Shape& shape, PackedBlock* block) {
  const size_t interleaved = shape.gated ? 2 : 1;
  AddLayer("fc1", shape.hidden, shape.dim, interleaved, 0, block);
  AddLayer("fc2", shape.out, shape.hidden, 1, 0, block);
  if (shape.gated) AddLayer("up", shape.hidden, shape.dim, interleaved, 1, block);
}

void AddFfnPasses(bool gated, ActivateFn activate, PackedBlock* block) {
  const auto add = [block](Layer layer, ActivateFn act, bool times_gate, Pass::To to) {
    block->passes[block->pass_count++] = {static_cast<size_t>(layer), act, times_gate, to};
  };
  add(Layer::kFc1, activate, false, gated ? Pass::To::kGate : Pass::To::kHidden);
  if (gated) add(Layer::kUp, nullptr, true, Pass::To::kHidden);
  add(Layer::kFc2, nullptr, false, Pass::To::kOutput);
}

Status Allocate(PackedBlock* block) {
  size_t floats = 0;
  for (size_t i = 0; i < block->layer_count; ++i) floats += block->layers[i].floats();
  block->memory = AlignedFloats::Allocate(floats);
  if (block->memory.data() == nullptr) {
    return Status(StatusCode::kOutOfMemory, "no memory for %zu bytes of packed weights",
                  floats * sizeof(float));
  }
  float* next = block->memory.data();
  for (size_t i = 0; i < block->layer_count; ++i) {
    block->layers[i].PlaceAt(next, block->layers[0]);
    next += block->layers[i].floats();
  }
  return Status();
}

// `add_layers` adds layers and passes.
template <class F>
Status Create(size_t dim, size_t hidden, size_t out, Activation activation, const Kernels& kernels,
              const GemmKernel& gemm, bool flush_denormals, const F& add_layers, BlockPtr* created) noexcept {
  try {
    BlockPtr block(new PackedBlock());
    block->kernels = &kernels;
    block->gemm = &gemm;
    block->flush_denormals = flush_denormals;
    block->dim = dim, block->hidden = hidden, block->out = out;
    add_layers(kernels.ops.activations[static_cast<size_t>(activation)].tile, block.get());
    const Status status = Allocate(block.get());
    if (status.ok()) *created = std::move(block);
    return status;
  } catch (const std::bad_alloc&) {
    return Status(StatusCode::kOutOfMemory, "no memory for a packed block's bookkeeping");
  }
}

Status CheckFinite(const PackedLayer& layer, size_t first_row, size_t rows, const BRows& from) {
  const size_t row = FindInfiniteRow(from, rows, layer.b.layout.k);
  if (row == rows) return Status();
  return Status(
      StatusCode::kInvalidArgument,
      "%s: row %zu has a weight that is infinite in bf16; kBF16x3 takes finite ones, kBF16 takes all",
      layer.name, first_row + row);
}

// Gives these rows to the caller, who packs them: all of them or, with an error, none.
Status TakeRows(size_t first_row, size_t rows, const BRows& from, const GemmKernel& gemm,
                PackedLayer* layer) {
  Status status = CheckDType(from.dtype);
  if (status.ok()) status = CheckWeightRows(*layer, first_row, rows, from);
  if (status.ok() && gemm.finite_weights) status = CheckFinite(*layer, first_row, rows, from);
  if (!status.ok()) return status;
  const std::lock_guard<std::mutex> lock(layer->taking);
  for (size_t row = first_row; row < first_row + rows; ++row) {
    if (layer->row_taken[row]) {
      return Status(StatusCode::kInvalidArgument, "%s: row %zu has been packed before", layer->name, row);
    }
  }
  std::fill_n(layer->row_taken.begin() + static_cast<ptrdiff_t>(first_row), rows, true);
  return Status();
}

void PackTakenRows(const PackedBlock& block, BRows from, Range rows, PackedLayer* layer) {
  from.flush_denormals = block.flush_denormals;
  layer->denormals += block.gemm->pack_b(from, rows, layer->b);
  layer->rows_left -= rows.size();
}

// All rows, in parts of whole panels: threads in one panel would write to the same cache lines.
void PackAllRows(const PackedBlock& block, const BRows& from, const Team& team, PackedLayer* layer) {
  const PanelLayout& layout = layer->b.layout;
  const size_t parts = CopyParts(layout.n, layout.k, team.threads);
  const size_t part_rows = RoundUp(DivideUp(layout.n, parts), layout.b.nr);
  ParallelFor(team, DivideUp(layout.n, part_rows), [&](size_t part) {
    const size_t begin = part * part_rows, end = std::min(begin + part_rows, layout.n);
    BRows rows = from;
    rows.data = ElementAt(from.data, from.dtype, begin * from.stride);
    PackTakenRows(block, rows, {begin, end}, layer);
  });
}

}  // namespace

void PackedLayer::PlaceAt(float* memory, const PackedLayer& first) {
  const PanelLayout& layout = b.layout;
  b.bias = memory;
  float* const data = b.bias + layout.padded_n();
  b.data = layout.slot == 0 ? reinterpret_cast<unsigned char*>(data) : first.b.data;
  b.scale = data + weight_floats();
  b.sum = reinterpret_cast<int32_t*>(b.scale + layout.scales());
  std::fill_n(b.bias, layout.padded_n(), 0.0f);
  ZeroPadding(b);
}

void PackedBlockDeleter::operator()(PackedBlock* block) const noexcept { delete block; }

Status CreateFfn(const Shape& shape, Activation activation, const Kernels& kernels, const GemmKernel& gemm,
                 bool flush_denormals, BlockPtr* block) noexcept {
  const auto& [dim, hidden, out, gated] = shape;
  const auto add_layers = [&shape](ActivateFn activate, PackedBlock* made) {
    AddFfnLayers(shape, made);
    AddFfnPasses(shape.gated, activate, made);
  };
  return Create(dim, hidden, out, activation, kernels, gemm, flush_denormals, add_layers, block);
}

Status CreateFfn(const Shape& shape, Activation activation, const PackOptions& options,
                 BlockPtr* block) noexcept {
  const Kernels* kernels = nullptr;
  const GemmKernel* gemm = nullptr;
  Status status = CheckShape(shape);
  if (status.ok()) status = CheckActivation(activation);
  if (status.ok()) status = FindGemm(options, &kernels, &gemm);
  if (!status.ok()) return status;
  return CreateFfn(shape, activation, *kernels, *gemm, options.flush_denormals, block);
}

Status CreateLinear(size_t in, size_t out, Activation activation, const Kernels& kernels,
                    const GemmKernel& gemm, bool flush_denormals, BlockPtr* block) noexcept {
  const auto add_layers = [in, out](ActivateFn activate, PackedBlock* made) {
    AddLayer("linear", out, in, 1, 0, made);
    made->passes[made->pass_count++] = {0, activate, false, Pass::To::kOutput};
  };
  return Create(in, 0, out, activation, kernels, gemm, flush_denormals, add_layers, block);
}

Status CreateLinear(size_t in, size_t out, Activation activation, const PackOptions& options,
                    BlockPtr* block) noexcept {
  const Kernels* kernels = nullptr;
  const GemmKernel* gemm = nullptr;
  Status status = CheckLinearSizes(in, out);
  if (status.ok()) status = CheckActivation(activation);
  if (status.ok()) status = FindGemm(options, &kernels, &gemm);
  if (!status.ok()) return status;
  return CreateLinear(in, out, activation, *kernels, *gemm, options.flush_denormals, block);
}

Status PackLayerRows(PackedBlock* block, size_t which, size_t first_row, size_t rows,
                     const BRows& from) noexcept {
  PackedLayer& layer = block->layers[which];
  const FloatEnvironment environment;
  const Status status = TakeRows(first_row, rows, from, *block->gemm, &layer);
  if (!status.ok()) return status;
  PackTakenRows(*block, from, {first_row, first_row + rows}, &layer);
  return status;
}

Status PackLayerQuantizedRows(PackedBlock* block, size_t which, size_t first_row, size_t rows,
                              const int8_t* q, size_t stride, const float* scales, size_t group) noexcept {
  const size_t wanted = block->gemm->b.scale_group;
  if (wanted == 0) {
    return Status(StatusCode::kInvalidArgument, "quantized rows need precision kInt8; this is %s",
                  PrecisionName(block->gemm->precision));
  }
  if (group != wanted) {
    return Status(StatusCode::kInvalidArgument, "group is %zu; options.int8_group was %zu", group, wanted);
  }
  if (scales == nullptr && rows != 0) return Status(StatusCode::kInvalidArgument, "scales is null");
  return PackLayerRows(block, which, first_row, rows, {q, stride, DType::kF32, scales});
}

Status PackLayerBias(PackedBlock* block, size_t which, const void* bias, DType dtype) noexcept {
  if (bias == nullptr) return Status(StatusCode::kInvalidArgument, "bias is null");
  const Status status = CheckDType(dtype);
  if (!status.ok()) return status;
  const PackedB& b = block->layers[which].b;
  const FloatEnvironment environment;
  Widen(bias, dtype, b.layout.n, b.bias);
  return status;
}

Status PackLayer(PackedBlock* block, size_t which, const Linear& linear, int threads) noexcept {
  const FloatEnvironment environment;
  PackedLayer& layer = block->layers[which];
  const PanelLayout& layout = layer.b.layout;
  const BRows from = {linear.weight, linear.stride == 0 ? layout.k : linear.stride, linear.dtype};
  const Status status = TakeRows(0, layout.n, from, *block->gemm, &layer);
  if (!status.ok()) return status;
  PackAllRows(*block, from, {ThreadCount(threads)}, &layer);
  return linear.bias == nullptr ? status : PackLayerBias(block, which, linear.bias, linear.dtype);
}

size_t Denormals(const PackedBlock& block) {
  size_t count = 0;
  for (const PackedLayer& layer : block.layers) count += layer.denormals;
  return count;
}

size_t PackedBytes(const PackedBlock& block) {
  size_t bytes = sizeof(block) + block.memory.count() * sizeof(float);
  for (const PackedLayer& layer : block.layers) bytes += layer.row_taken.capacity() / 8;
  return bytes;
}

}  // namespace v0_2
}  // namespace fusedffn

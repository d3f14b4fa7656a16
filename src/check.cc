#include "src/check.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <utility>

#include "kernels/int8_weights.h"

namespace fusedffn {
inline namespace v0_2 {
namespace {

// Keeps every byte count and every index far from overflow: 2^40 parameters a layer are 4 TiB.
constexpr size_t kMaxDimension = size_t{1} << 30;
constexpr size_t kMaxParameters = size_t{1} << 40;

Status CheckAligned(const char* name, const void* data, size_t bytes) {
  if (reinterpret_cast<uintptr_t>(data) % bytes == 0) return Status();
  return Status(StatusCode::kInvalidArgument, "%s is not aligned to %zu bytes", name, bytes);
}

Status CheckSize(const char* name, size_t size) {
  if (size >= 1 && size <= kMaxDimension) return Status();
  return Status(StatusCode::kInvalidArgument, "%s is %zu; it must be 1 to %zu", name, size, kMaxDimension);
}

Status CheckParameters(size_t rows, size_t cols) {
  if (rows <= kMaxParameters / cols) return Status();
  return Status(StatusCode::kInvalidArgument, "a layer of %zu x %zu is too large: at most %zu parameters",
                rows, cols, kMaxParameters);
}

// Of an enum called `type`, all of whose `count` values have names.
template <class Enum>
Status CheckNamed(const char* type, Enum value, size_t count, const char* (*name_of)(Enum)) {
  if (*name_of(value) != '\0') return Status();
  char names[160] = "";
  for (size_t i = 0; i < count; ++i) {
    const size_t length = std::strlen(names);
    std::snprintf(names + length, sizeof(names) - length, "%s %s", i == 0 ? "" : ",",
                  name_of(static_cast<Enum>(i)));
  }
  return Status(StatusCode::kInvalidArgument, "%s %d is none of%s", type, static_cast<int>(value), names);
}

Status Invalid(const char* what) { return Status(StatusCode::kInvalidArgument, "%s", what); }

Status CheckInPlace(const Rows& in, const Rows& y) {
  if (in.data == y.data && in.stride == y.stride && in.dtype == y.dtype) return Status();
  if (!Overlap(in, y)) return Status();
  return Status(StatusCode::kInvalidArgument,
                "%s and y overlap; y must be apart from %s, or %s itself with the same stride and dtype",
                in.name, in.name, in.name);
}

// Where a group of a row lies, for messages.
struct GroupPlace {
  const char* layer;
  size_t row, group, first_column;
};

// Whether QuantizeRows() can have made the steps of one group, with this scale.
Status CheckQuantizedGroup(const GroupPlace& at, const int8_t* q, size_t count, float scale) {
  const bool zeros = scale == 0 || std::isnan(scale);
  if (!zeros && !(scale >= kLeastInt8Scale && std::isfinite(scale))) {
    return Status(
        StatusCode::kInvalidArgument,
        "%s: row %zu, group %zu: the scale is %g; it must be finite and at least 2^-120, or 0, or NaN",
        at.layer, at.row, at.group, double{scale});
  }
  const int8_t most = zeros ? 0 : 127, least = static_cast<int8_t>(-most);
  uint8_t any = 0;  // as wide as q, and without a branch, so that it is done on vectors
  for (size_t i = 0; i < count; ++i) any |= static_cast<uint8_t>((q[i] < least) | (q[i] > most));
  if (any == 0) return Status();
  const size_t wrong = static_cast<size_t>(
      std::find_if(q, q + count, [&](int8_t step) { return step < least || step > most; }) - q);
  return Status(StatusCode::kInvalidArgument,
                "%s: row %zu, column %zu: q is %d; with a scale of %g it must be %d to %d", at.layer, at.row,
                at.first_column + wrong, q[wrong], double{scale}, least, most);
}

// The same of all groups of rows.
Status CheckQuantizedRows(const PackedLayer& layer, size_t first_row, size_t rows, const BRows& from) {
  Status status = CheckAligned("scales", from.scales, sizeof(float));
  if (!status.ok()) return status;
  const size_t columns = layer.b.layout.k, group = layer.b.layout.b.scale_group;
  const float* scale = from.scales;
  for (size_t row = 0; row < rows; ++row) {
    const int8_t* const q = static_cast<const int8_t*>(from.data) + row * from.stride;
    for (size_t k = 0; k < columns; k += group) {
      status = CheckQuantizedGroup({layer.name, first_row + row, k / group, k}, q + k,
                                   std::min(group, columns - k), *scale++);
      if (!status.ok()) return status;
    }
  }
  return Status();
}

Rows RowsOf(const char* name, const char* stride_name, const Addend& addend, const ExpertCall& call) {
  return {name, stride_name, addend.data, addend.dtype, addend.stride, call.first().out, call.tokens};
}

}  // namespace

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
  status = CheckAligned(name, rows.data, bytes);
  if (!status.ok()) return status;
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

Status CheckTokens(const PackedBlock& block, size_t tokens) noexcept {
  const size_t columns = std::max(block.dim, block.out);
  if (FitsInMemory(tokens, columns, columns, BytesOf(DType::kBF16))) return Status();
  return Status(StatusCode::kInvalidArgument,
                "tokens is %zu; so many rows of %zu columns do not fit in memory", tokens, columns);
}

Status CheckShape(const Shape& shape) noexcept {
  Status status = CheckSize("shape.dim", shape.dim);
  if (status.ok()) status = CheckSize("shape.hidden", shape.hidden);
  if (status.ok()) status = CheckSize("shape.out", shape.out);
  return status.ok() ? CheckParameters(shape.hidden, std::max(shape.dim, shape.out)) : status;
}

Status CheckLinearSizes(size_t in, size_t out) noexcept {
  Status status = CheckSize("in", in);
  if (status.ok()) status = CheckSize("out", out);
  return status.ok() ? CheckParameters(out, in) : status;
}

Status CheckActivation(Activation activation) noexcept {
  return CheckNamed<Activation>("activation", activation, kActivationCount, ActivationName);
}

Status CheckPackOptions(const PackOptions& options) noexcept {
  Status status = CheckNamed<Precision>("precision", options.precision, kPrecisionCount, PrecisionName);
  if (status.ok()) status = CheckInt8Group("options.int8_group", options.int8_group);
  return status.ok() ? CheckThreads(options.threads) : status;
}

Status CheckLayer(const PackedBlock* block, Layer layer) noexcept {
  if (block == nullptr) return Invalid("this PackedFfn is empty: Create() it first");
  if (static_cast<size_t>(layer) >= kMaxLayers) return Invalid("layer is none of kFc1, kFc2, kUp");
  if (layer == Layer::kUp && !block->gated()) return Invalid("layer is kUp, but the block is not gated");
  return Status();
}

Status CheckWeightRows(const PackedLayer& layer, size_t first_row, size_t rows, const BRows& from) noexcept {
  const size_t n = layer.b.layout.n;
  if (first_row > n || rows > n - first_row) {
    return Status(StatusCode::kInvalidArgument,
                  "%s has rows 0 to %zu; %zu rows from %zu on are not among them", layer.name, n - 1, rows,
                  first_row);
  }
  if (rows == 0) return Status();
  if (from.data == nullptr) return Status(StatusCode::kInvalidArgument, "%s: weight is null", layer.name);
  const bool quantized = from.scales != nullptr;
  const size_t bytes = quantized ? sizeof(int8_t) : BytesOf(from.dtype);
  const Status status = CheckStride(layer.name, rows, from.stride, layer.b.layout.k, bytes);
  return status.ok() && quantized ? CheckQuantizedRows(layer, first_row, rows, from) : status;
}

Status CheckLinear(const char* name, const Linear& linear, size_t rows, size_t cols) noexcept {
  if (linear.weight == nullptr) return Status(StatusCode::kInvalidArgument, "%s.weight is null", name);
  const Status status = CheckDType(linear.dtype);
  const size_t stride = linear.stride == 0 ? cols : linear.stride;
  return status.ok() ? CheckStride(name, rows, stride, cols, BytesOf(linear.dtype)) : status;
}

Status CheckWeights(const Weights& weights) noexcept {
  const Shape& shape = weights.shape;
  Status status = CheckLinear("fc1", weights.fc1, shape.hidden, shape.dim);
  if (status.ok()) status = CheckLinear("fc2", weights.fc2, shape.out, shape.hidden);
  if (!status.ok()) return status;
  if (shape.gated) return CheckLinear("up", weights.up, shape.hidden, shape.dim);
  if (weights.up.weight == nullptr && weights.up.bias == nullptr) return Status();
  return Invalid("up is set, but shape.gated is not");
}

Status CheckQuantize(const void* weight, DType dtype, size_t rows, size_t cols, size_t stride,
                     const int8_t* q, const float* scales, size_t group) noexcept {
  if (cols == 0) return Status(StatusCode::kInvalidArgument, "cols is 0; it must be at least 1");
  Status status = CheckInt8Group("group", group);
  if (status.ok()) status = CheckDType(dtype);
  if (status.ok()) status = CheckStride("weight", rows, stride, cols, BytesOf(dtype));
  if (!status.ok() || rows == 0) return status;
  const std::pair<const char*, const void*> arrays[] = {{"weight", weight}, {"q", q}, {"scales", scales}};
  for (const auto& [name, array] : arrays) {
    if (array == nullptr) return Status(StatusCode::kInvalidArgument, "%s is null", name);
  }
  return CheckAligned("scales", scales, sizeof(float));
}

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

Status CheckChoices(const ExpertCall& call) noexcept {
  const ExpertChoices& choices = call.choices;
  constexpr size_t kMostExperts = size_t{1} << 31;  // ids are int32
  if (call.experts.list == nullptr) return Invalid("experts is null");
  if (call.experts.count == 0 || call.experts.count > kMostExperts) {
    return Status(StatusCode::kInvalidArgument, "expert_count is %zu; it must be 1 to %zu",
                  call.experts.count, kMostExperts);
  }
  if (choices.ids == nullptr) return Invalid("choices.ids is null");
  if (choices.weights == nullptr) return Invalid("choices.weights is null");
  const Status aligned = CheckAligned("choices.ids", choices.ids, sizeof(int32_t));
  if (!aligned.ok()) return aligned;
  if (choices.top == 0 || choices.top > UINT32_MAX / call.tokens) {
    return Status(StatusCode::kInvalidArgument, "choices.top is %zu; for %zu tokens it must be 1 to %zu",
                  choices.top, call.tokens, UINT32_MAX / call.tokens);
  }
  for (size_t i = 0; i < call.rows(); ++i) {
    const int32_t id = choices.ids[i];
    if (id >= 0 && static_cast<size_t>(id) < call.experts.count) continue;
    return Status(StatusCode::kInvalidArgument, "choices.ids[%zu][%zu] is %d; it must be 0 to %zu",
                  i / choices.top, i % choices.top, id, call.experts.count - 1);
  }
  return Status();
}

// Whether an expert that is chosen can run, and together with the first one.
Status CheckExpert(const ExpertCall& call, int32_t id) noexcept {
  const Status status = CheckPacked(call.experts[id], "PackedFfn");
  if (!status.ok()) return Status(status.code(), "experts[%d]: %s", id, status.message());
  const PackedBlock &first = call.first(), &expert = call.expert(id);
  if (expert.kernels == first.kernels && expert.dim == first.dim && expert.out == first.out) return Status();
  return Status(
      StatusCode::kInvalidArgument,
      "experts[%d] has dim %zu and out %zu on %s, experts[%d] %zu and %zu on %s; they must be alike",
      call.choices.ids[0], first.dim, first.out, first.kernels->name, id, expert.dim, expert.out,
      expert.kernels->name);
}

Status CheckArrays(const ExpertCall& call) noexcept {
  const PackedBlock& first = call.first();
  const Rows x = {"x", "ldx", call.x, call.x_dtype, call.ldx, first.dim, call.tokens};
  const Rows y = {"y", "ldy", call.y, call.y_dtype, call.ldy, first.out, call.tokens};
  Status status = CheckRows(x);
  if (status.ok()) status = CheckRows(y);
  if (status.ok()) status = CheckNorm(call.norm, first.dim, y);
  if (status.ok()) status = CheckAddend(RowsOf("choices.start", "choices.start.stride", call.start, call), y);
  for (const Rows& read : {Rows{"choices.ids", "", call.choices.ids, DType::kF32, call.choices.top,
                                call.choices.top, call.tokens},
                           Rows{"choices.weights", "", call.choices.weights, DType::kF32, call.choices.top,
                                call.choices.top, call.tokens}}) {
    if (status.ok()) status = CheckRows(read);
    if (status.ok() && Overlap(read, y)) {
      return Status(StatusCode::kInvalidArgument, "%s and y overlap; they must be apart", read.name);
    }
  }
  if (status.ok()) status = CheckAddend(RowsOf("residual", "residual.stride", call.residual, call), y);
  return status;
}

}  // namespace v0_2
}  // namespace fusedffn

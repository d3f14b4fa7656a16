// Compiled once. The C interface: each function is the C++ one of its name.
#include "src/c_api.h"

#include <cstdint>
#include <cstdio>
#include <cstring>

#include "src/check.h"
#include "src/experts.h"

namespace fusedffn {
inline namespace v0_2 {
namespace {

Shape ShapeFrom(const fusedffn_shape& shape) {
  return {shape.dim, shape.hidden, shape.out, shape.gated != 0};
}

Linear LinearFrom(const fusedffn_layer& layer) {
  return {layer.weight, layer.bias, static_cast<DType>(layer.dtype), layer.stride};
}

Addend AddendFrom(const fusedffn_addend& addend) {
  return {addend.data, static_cast<DType>(addend.dtype), addend.stride};
}

Status WeightsFrom(const fusedffn_weights* from, fusedffn_activation activation, Weights* weights) {
  if (from == nullptr) return NullArgument("weights");
  fusedffn_weights read;
  Status status = ReadStruct("fusedffn_weights", from, &read);
  *weights = {ShapeFrom(read.shape), LinearFrom(read.fc1), LinearFrom(read.fc2),
              static_cast<Activation>(activation), LinearFrom(read.up)};
  return status;
}

Status ChoicesFrom(const fusedffn_expert_choices* from, ExpertChoices* choices) {
  if (from == nullptr) return NullArgument("choices");
  fusedffn_expert_choices read;
  Status status = ReadStruct("fusedffn_expert_choices", from, &read);
  *choices = {read.ids, read.weights, read.top, AddendFrom(read.start)};
  return status;
}

// A caller's run options as the C++ ones, which point into this.
struct ReadRunOptions {
  Norm norm;
  RunOptions options;
  Status status;

  explicit ReadRunOptions(const fusedffn_run_options* from) {
    fusedffn_run_options read;
    status = ReadStruct("fusedffn_run_options", from, &read);
    if (status.ok() && read.parallel_for != nullptr && read.threads == 0) {
      status = Status(StatusCode::kInvalidArgument, "threads is 0; with a parallel_for it must be 1 to %d",
                      kMostThreads);
    }
    if (status.ok() && read.norm != nullptr) ReadNorm(read.norm);
    if (!status.ok()) return;
    if (read.parallel_for != nullptr) {
      options.executor = {read.parallel_for_context, read.threads, read.parallel_for};
    } else {
      options.threads = read.threads;
    }
    options.workspace = read.workspace;
    options.workspace_bytes = read.workspace_bytes;
    options.residual = AddendFrom(read.residual);
    options.flush_denormals = read.flush_denormals != 0;
  }
  ReadRunOptions(const ReadRunOptions&) = delete;

 private:
  void ReadNorm(const fusedffn_norm* from) {
    fusedffn_norm read;
    status = ReadStruct("fusedffn_norm", from, &read);
    norm = {static_cast<NormKind>(read.kind), read.weight, read.bias,
            static_cast<DType>(read.dtype),   read.eps,    read.weight_offset};
    options.norm = &norm;
  }
};

struct Arrays {
  const void* x;
  fusedffn_dtype x_dtype;
  size_t ldx, tokens;
  void* y;
  fusedffn_dtype y_dtype;
  size_t ldy;
};

template <class Handle>
Status RunHandle(const char* name, const Handle* handle, const Arrays& a, const fusedffn_run_options* from) {
  if (handle == nullptr) return NullArgument(name);
  const ReadRunOptions read(from);
  if (!read.status.ok()) return read.status;
  return Run(handle->packed, a.x, static_cast<DType>(a.x_dtype), a.ldx, a.tokens, a.y,
             static_cast<DType>(a.y_dtype), a.ldy, read.options);
}

template <class Handle>
size_t DescribeHandle(const char* name, const Handle* handle, size_t tokens, const fusedffn_run_options* from,
                      const ErrorText& to) {
  const ReadRunOptions read(from);
  const Status status = handle == nullptr ? NullArgument(name) : read.status;
  Description description;
  if (status.ok()) {
    description = Describe(handle->packed, tokens, read.options);
  } else {
    std::snprintf(description.text, sizeof(description.text), "%s\n", status.message());
  }
  if (to.text != nullptr && to.bytes != 0) std::snprintf(to.text, to.bytes, "%s", description.text);
  return std::strlen(description.text);
}

ExpertList ListOf(const fusedffn_block* const* experts, size_t count) {
  return {experts, count, [](const void* list, size_t index) {
            const fusedffn_block* const block = static_cast<const fusedffn_block* const*>(list)[index];
            return block == nullptr ? nullptr : PackedBlockAccess::Get(block->packed);
          }};
}

// (packed.*get)() of a handle; of a null one, what is true of an empty one.
template <class Handle, class Packed, class Answer>
Answer Ask(const Handle* handle, Answer (Packed::*get)() const noexcept) {
  return handle == nullptr ? (Packed().*get)() : (handle->packed.*get)();
}

// With a name of "" from their number on.
Target TargetAt(size_t index) {
  size_t count = 0;
  const Target* const targets = Targets(&count);
  return index < count ? targets[index] : Target{"", false, false};
}

}  // namespace
}  // namespace v0_2
}  // namespace fusedffn

using namespace fusedffn;  // all that follows is C's

const char* fusedffn_version() noexcept { return Version(); }
const char* fusedffn_precision_name(fusedffn_precision precision) noexcept {
  return PrecisionName(static_cast<Precision>(precision));
}
const char* fusedffn_activation_name(fusedffn_activation activation) noexcept {
  return ActivationName(static_cast<Activation>(activation));
}

fusedffn_precision fusedffn_fastest_precision(fusedffn_accuracy accuracy, fusedffn_dtype weights,
                                              const char* target, size_t tokens, int32_t* measured) noexcept {
  const PrecisionChoice choice =
      FastestPrecision(static_cast<Accuracy>(accuracy), static_cast<DType>(weights), target, tokens);
  if (measured != nullptr) *measured = choice.measured ? 1 : 0;
  return static_cast<fusedffn_precision>(choice.precision);
}

fusedffn_status fusedffn_block_pack(const fusedffn_weights* weights, fusedffn_activation activation,
                                    const fusedffn_pack_options* options, fusedffn_block** block, char* error,
                                    size_t error_bytes) noexcept {
  return ErrorText{error, error_bytes}.Report(MakeHandle("block", block, [&](fusedffn_block* made) {
    Weights read;
    PackOptions pack;
    Status status = WeightsFrom(weights, activation, &read);
    if (status.ok()) status = PackOptionsFrom(options, &pack);
    return status.ok() ? Pack(read, pack, &made->packed) : status;
  }));
}

fusedffn_status fusedffn_block_create(const fusedffn_shape* shape, fusedffn_activation activation,
                                      const fusedffn_pack_options* options, fusedffn_block** block,
                                      char* error, size_t error_bytes) noexcept {
  return ErrorText{error, error_bytes}.Report(MakeHandle("block", block, [&](fusedffn_block* made) {
    if (shape == nullptr) return NullArgument("shape");
    PackOptions pack;
    Status status = PackOptionsFrom(options, &pack);
    if (!status.ok()) return status;
    return PackedFfn::Create(ShapeFrom(*shape), static_cast<Activation>(activation), pack, &made->packed);
  }));
}

void fusedffn_block_free(fusedffn_block* block) noexcept { delete block; }

fusedffn_status fusedffn_block_pack_rows(fusedffn_block* block, fusedffn_layer_id layer, size_t first_row,
                                         size_t rows, const void* weight, fusedffn_dtype dtype, size_t stride,
                                         char* error, size_t error_bytes) noexcept {
  return ErrorText{error, error_bytes}.Report(
      block == nullptr ? NullArgument("block")
                       : block->packed.PackRows(static_cast<Layer>(layer), first_row, rows, weight,
                                                static_cast<DType>(dtype), stride));
}

fusedffn_status fusedffn_block_pack_quantized_rows(fusedffn_block* block, fusedffn_layer_id layer,
                                                   size_t first_row, size_t rows, const int8_t* q,
                                                   size_t stride, const float* scales, int32_t group,
                                                   char* error, size_t error_bytes) noexcept {
  return ErrorText{error, error_bytes}.Report(
      block == nullptr ? NullArgument("block")
                       : block->packed.PackQuantizedRows(static_cast<Layer>(layer), first_row, rows, q,
                                                         stride, scales, Int8GroupFrom(group)));
}

fusedffn_status fusedffn_block_pack_bias(fusedffn_block* block, fusedffn_layer_id layer, const void* bias,
                                         fusedffn_dtype dtype, char* error, size_t error_bytes) noexcept {
  return ErrorText{error, error_bytes}.Report(
      block == nullptr ? NullArgument("block")
                       : block->packed.PackBias(static_cast<Layer>(layer), bias, static_cast<DType>(dtype)));
}

fusedffn_shape fusedffn_block_shape(const fusedffn_block* block) noexcept {
  const Shape shape = Ask(block, &PackedFfn::shape);
  return {shape.dim, shape.hidden, shape.out, shape.gated ? 1 : 0};
}
fusedffn_precision fusedffn_block_precision(const fusedffn_block* block) noexcept {
  return static_cast<fusedffn_precision>(Ask(block, &PackedFfn::precision));
}
const char* fusedffn_block_target(const fusedffn_block* block) noexcept {
  return Ask(block, &PackedFfn::target);
}
size_t fusedffn_block_packed_bytes(const fusedffn_block* block) noexcept {
  return Ask(block, &PackedFfn::packed_bytes);
}
size_t fusedffn_block_denormals(const fusedffn_block* block) noexcept {
  return Ask(block, &PackedFfn::denormals);
}

fusedffn_status fusedffn_linear_pack(const fusedffn_layer* layer, size_t in, size_t out,
                                     fusedffn_activation activation, const fusedffn_pack_options* options,
                                     fusedffn_linear** linear, char* error, size_t error_bytes) noexcept {
  return ErrorText{error, error_bytes}.Report(MakeHandle("linear", linear, [&](fusedffn_linear* made) {
    if (layer == nullptr) return NullArgument("layer");
    PackOptions pack;
    Status status = PackOptionsFrom(options, &pack);
    if (!status.ok()) return status;
    return Pack(LinearFrom(*layer), in, out, static_cast<Activation>(activation), pack, &made->packed);
  }));
}

fusedffn_status fusedffn_linear_create(size_t in, size_t out, fusedffn_activation activation,
                                       const fusedffn_pack_options* options, fusedffn_linear** linear,
                                       char* error, size_t error_bytes) noexcept {
  return ErrorText{error, error_bytes}.Report(MakeHandle("linear", linear, [&](fusedffn_linear* made) {
    PackOptions pack;
    Status status = PackOptionsFrom(options, &pack);
    if (!status.ok()) return status;
    return PackedLinear::Create(in, out, static_cast<Activation>(activation), pack, &made->packed);
  }));
}

void fusedffn_linear_free(fusedffn_linear* linear) noexcept { delete linear; }

fusedffn_status fusedffn_linear_pack_rows(fusedffn_linear* linear, size_t first_row, size_t rows,
                                          const void* weight, fusedffn_dtype dtype, size_t stride,
                                          char* error, size_t error_bytes) noexcept {
  return ErrorText{error, error_bytes}.Report(
      linear == nullptr
          ? NullArgument("linear")
          : linear->packed.PackRows(first_row, rows, weight, static_cast<DType>(dtype), stride));
}

fusedffn_status fusedffn_linear_pack_quantized_rows(fusedffn_linear* linear, size_t first_row, size_t rows,
                                                    const int8_t* q, size_t stride, const float* scales,
                                                    int32_t group, char* error, size_t error_bytes) noexcept {
  return ErrorText{error, error_bytes}.Report(
      linear == nullptr
          ? NullArgument("linear")
          : linear->packed.PackQuantizedRows(first_row, rows, q, stride, scales, Int8GroupFrom(group)));
}

fusedffn_status fusedffn_linear_pack_bias(fusedffn_linear* linear, const void* bias, fusedffn_dtype dtype,
                                          char* error, size_t error_bytes) noexcept {
  return ErrorText{error, error_bytes}.Report(
      linear == nullptr ? NullArgument("linear") : linear->packed.PackBias(bias, static_cast<DType>(dtype)));
}

size_t fusedffn_linear_in(const fusedffn_linear* linear) noexcept { return Ask(linear, &PackedLinear::in); }
size_t fusedffn_linear_out(const fusedffn_linear* linear) noexcept { return Ask(linear, &PackedLinear::out); }
fusedffn_precision fusedffn_linear_precision(const fusedffn_linear* linear) noexcept {
  return static_cast<fusedffn_precision>(Ask(linear, &PackedLinear::precision));
}
const char* fusedffn_linear_target(const fusedffn_linear* linear) noexcept {
  return Ask(linear, &PackedLinear::target);
}
size_t fusedffn_linear_packed_bytes(const fusedffn_linear* linear) noexcept {
  return Ask(linear, &PackedLinear::packed_bytes);
}
size_t fusedffn_linear_denormals(const fusedffn_linear* linear) noexcept {
  return Ask(linear, &PackedLinear::denormals);
}

size_t fusedffn_int8_groups(size_t cols, int32_t group) noexcept {
  const size_t size = Int8GroupFrom(group);
  return CheckInt8Group("group", size).ok() ? Int8Groups(cols, size) : 0;
}

fusedffn_status fusedffn_quantize_rows(const void* weight, fusedffn_dtype dtype, size_t rows, size_t cols,
                                       size_t stride, int8_t* q, float* scales, int32_t group, char* error,
                                       size_t error_bytes) noexcept {
  return ErrorText{error, error_bytes}.Report(
      QuantizeRows(weight, static_cast<DType>(dtype), rows, cols, stride, q, scales, Int8GroupFrom(group)));
}

fusedffn_status fusedffn_block_run(const fusedffn_block* block, const void* x, fusedffn_dtype x_dtype,
                                   size_t ldx, size_t tokens, void* y, fusedffn_dtype y_dtype, size_t ldy,
                                   const fusedffn_run_options* options, char* error,
                                   size_t error_bytes) noexcept {
  return ErrorText{error, error_bytes}.Report(
      RunHandle("block", block, {x, x_dtype, ldx, tokens, y, y_dtype, ldy}, options));
}

fusedffn_status fusedffn_linear_run(const fusedffn_linear* linear, const void* x, fusedffn_dtype x_dtype,
                                    size_t ldx, size_t tokens, void* y, fusedffn_dtype y_dtype, size_t ldy,
                                    const fusedffn_run_options* options, char* error,
                                    size_t error_bytes) noexcept {
  return ErrorText{error, error_bytes}.Report(
      RunHandle("linear", linear, {x, x_dtype, ldx, tokens, y, y_dtype, ldy}, options));
}

size_t fusedffn_block_workspace_bytes(const fusedffn_block* block, size_t tokens, int32_t threads) noexcept {
  return block == nullptr ? 0 : WorkspaceBytes(block->packed, tokens, threads);
}
size_t fusedffn_linear_workspace_bytes(const fusedffn_linear* linear, size_t tokens,
                                       int32_t threads) noexcept {
  return linear == nullptr ? 0 : WorkspaceBytes(linear->packed, tokens, threads);
}

size_t fusedffn_block_describe(const fusedffn_block* block, size_t tokens,
                               const fusedffn_run_options* options, char* text, size_t text_bytes) noexcept {
  return DescribeHandle("block", block, tokens, options, {text, text_bytes});
}
size_t fusedffn_linear_describe(const fusedffn_linear* linear, size_t tokens,
                                const fusedffn_run_options* options, char* text, size_t text_bytes) noexcept {
  return DescribeHandle("linear", linear, tokens, options, {text, text_bytes});
}

fusedffn_status fusedffn_experts_run(const fusedffn_block* const* experts, size_t expert_count,
                                     const fusedffn_expert_choices* choices, const void* x,
                                     fusedffn_dtype x_dtype, size_t ldx, size_t tokens, void* y,
                                     fusedffn_dtype y_dtype, size_t ldy, const fusedffn_run_options* options,
                                     char* error, size_t error_bytes) noexcept {
  const ReadRunOptions read(options);
  ExpertChoices chosen;
  Status status = read.status;
  if (status.ok()) status = ChoicesFrom(choices, &chosen);
  if (status.ok()) {
    status = RunExperts(ListOf(experts, expert_count), chosen, x, static_cast<DType>(x_dtype), ldx, tokens, y,
                        static_cast<DType>(y_dtype), ldy, read.options);
  }
  return ErrorText{error, error_bytes}.Report(status);
}

size_t fusedffn_experts_workspace_bytes(const fusedffn_block* const* experts, size_t expert_count,
                                        size_t tokens, size_t top, int32_t threads) noexcept {
  return ExpertsWorkspaceBytes(ListOf(experts, expert_count), tokens, top, threads);
}

void fusedffn_release_scratch() noexcept { ReleaseScratch(); }

size_t fusedffn_target_count() noexcept {
  size_t count = 0;
  Targets(&count);
  return count;
}
const char* fusedffn_target_name(size_t index) noexcept { return TargetAt(index).name; }
int32_t fusedffn_target_is_supported(size_t index) noexcept { return TargetAt(index).supported ? 1 : 0; }
int32_t fusedffn_target_is_default(size_t index) noexcept { return TargetAt(index).is_default ? 1 : 0; }

int32_t fusedffn_default_threads() noexcept { return DefaultThreads(); }

fusedffn_status fusedffn_environment_status(char* error, size_t error_bytes) noexcept {
  return ErrorText{error, error_bytes}.Report(EnvironmentStatus());
}

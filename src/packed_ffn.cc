#include "src/packed_ffn.h"

#include <strings.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <new>
#include <utility>

#include "src/cpu_budget.h"

namespace fusedffn {
namespace {

// Keeps every byte count and every index far from overflow: 2^40 parameters a layer are 4 TiB.
constexpr size_t kMaxDimension = size_t{1} << 30;
constexpr size_t kMaxParameters = size_t{1} << 40;

const char* const kLayerNames[] = {"fc1", "fc2", "up"};

Status Invalid(const char* what) { return Status(StatusCode::kInvalidArgument, "%s", what); }

Status CheckPrecision(Precision precision, const Kernels& kernels) {
  if (static_cast<size_t>(precision) >= kPrecisionCount) {
    return Status(StatusCode::kInvalidArgument, "precision %d is none of kF32, kBF16, kBF16Dot, kInt8",
                  static_cast<int>(precision));
  }
  if (kernels.gemm[static_cast<size_t>(precision)] == nullptr) {
    return Status(StatusCode::kUnsupportedTarget,
                  "target %s has no bf16 dot-product instruction; kBF16 runs on every target",
                  TargetName(kernels));
  }
  return Status();
}

Status CheckShape(const Shape& shape) {
  const std::pair<const char*, size_t> sizes[] = {
      {"dim", shape.dim}, {"hidden", shape.hidden}, {"out", shape.out}};
  for (const auto& [name, size] : sizes) {
    if (size < 1 || size > kMaxDimension) {
      return Status(StatusCode::kInvalidArgument, "shape.%s is %zu; it must be 1 to %zu", name, size,
                    kMaxDimension);
    }
  }
  if (shape.hidden > kMaxParameters / std::max(shape.dim, shape.out)) {
    return Status(StatusCode::kInvalidArgument, "a layer of %zu x %zu is too large: at most %zu parameters",
                  shape.hidden, std::max(shape.dim, shape.out), kMaxParameters);
  }
  return Status();
}

void MakeLayers(PackedFfn::Impl* ffn) {
  const auto& [dim, hidden, out, gated] = ffn->shape;
  const auto make = [&](size_t n, size_t k, size_t turns, size_t turn) {
    PackedLayer layer = {};
    layer.layout = {
        n, k, ffn->kernels->nr, ffn->kernels->lanes, ffn->operands.b_bytes, ffn->operands.group, turns, turn};
    layer.row_packed.resize(n);
    layer.rows_left = n;
    return layer;
  };
  ffn->layers[0] = make(hidden, dim, gated ? 2 : 1, 0);
  ffn->layers[1] = make(out, hidden, 1, 0);
  ffn->layers[2] = make(gated ? hidden : 0, dim, 2, 1);
}

Status CheckLayer(const PackedFfn::Impl* ffn, Layer layer) {
  if (ffn == nullptr) return Invalid("this PackedFfn is empty: Create() it first");
  if (static_cast<size_t>(layer) >= kLayerCount) return Invalid("layer is none of kFc1, kFc2, kUp");
  if (layer == Layer::kUp && !ffn->shape.gated) return Invalid("layer is kUp, but the block is not gated");
  return Status();
}

size_t StrideOf(const Linear& linear, size_t cols) { return linear.stride == 0 ? cols : linear.stride; }

Status CheckLinear(const char* name, const Linear& linear, size_t rows, size_t cols) {
  if (linear.weight == nullptr) {
    return Status(StatusCode::kInvalidArgument, "%s.weight is null", name);
  }
  const Status status = CheckDType(linear.dtype);
  return status.ok() ? CheckStride(name, rows, StrideOf(linear, cols), cols, BytesOf(linear.dtype)) : status;
}

Status CheckUp(const Weights& weights) {
  const Shape& shape = weights.shape;
  if (shape.gated) return CheckLinear("up", weights.up, shape.hidden, shape.dim);
  if (weights.up.weight == nullptr && weights.up.bias == nullptr) return Status();
  return Invalid("up is set, but shape.gated is not");
}

Status PackLinear(Layer layer, const Linear& linear, size_t rows, size_t cols, PackedFfn* ffn) {
  Status status = ffn->PackRows(layer, 0, rows, linear.weight, linear.dtype, StrideOf(linear, cols));
  if (status.ok() && linear.bias != nullptr) status = ffn->PackBias(layer, linear.bias, linear.dtype);
  return status;
}

// Whether these rows of `weight` can be packed now.
Status CheckRows(const PackedFfn::Impl& ffn, Layer which, size_t first_row, size_t rows, const void* weight,
                 size_t element_bytes, size_t stride) {
  const PackedLayer& layer = ffn.layers[static_cast<size_t>(which)];
  const char* name = kLayerNames[static_cast<size_t>(which)];
  const size_t n = layer.layout.n;
  if (first_row > n || rows > n - first_row) {
    return Status(StatusCode::kInvalidArgument,
                  "%s has rows 0 to %zu; %zu rows from %zu on are not among them", name, n - 1, rows,
                  first_row);
  }
  if (rows == 0) return Status();
  if (weight == nullptr) return Status(StatusCode::kInvalidArgument, "%s: weight is null", name);
  const Status status = CheckStride(name, rows, stride, layer.layout.k, element_bytes);
  if (!status.ok()) return status;
  for (size_t row = first_row; row < first_row + rows; ++row) {
    if (layer.row_packed[row]) {
      return Status(StatusCode::kInvalidArgument, "%s: row %zu has been packed before", name, row);
    }
  }
  return Status();
}

void MarkPacked(size_t first_row, size_t rows, PackedLayer* layer) {
  std::fill_n(layer->row_packed.begin() + static_cast<ptrdiff_t>(first_row), rows, true);
  layer->rows_left -= rows;
}

// " AVX3 AVX2 ...", those that run here.
struct SupportedNames {
  char text[160] = "";
  SupportedNames() {
    for (size_t i = 0; i < AllKernels().count; ++i) {
      const Kernels& kernels = *AllKernels().kernels[i];
      const size_t length = std::strlen(text);
      if (IsSupported(kernels)) {
        std::snprintf(text + length, sizeof(text) - length, " %s", TargetName(kernels));
      }
    }
  }
};

}  // namespace

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

Status FindKernels(const char* name, const Kernels** kernels) noexcept {
  const char* reason = "unknown, or not compiled in";
  for (size_t i = 0; i < AllKernels().count; ++i) {
    const Kernels& candidate = *AllKernels().kernels[i];
    const bool wanted = name == nullptr || strcasecmp(name, TargetName(candidate)) == 0;
    if (wanted && IsSupported(candidate)) {
      *kernels = &candidate;
      return Status();
    }
    if (wanted) reason = "not supported by this CPU";
  }
  return Status(StatusCode::kUnsupportedTarget, "target '%.40s' is %s; these run here:%s", name ? name : "",
                reason, SupportedNames().text);
}

void PackedLayer::PlaceAt(float* memory, const PackedLayer& first) {
  bias = memory;
  float* const data = bias + layout.padded_n();
  weight.data = layout.turn == 0 ? data : first.weight.data;
  weight.scale = data + weight_floats();
  weight.sum = reinterpret_cast<int32_t*>(weight.scale + layout.scales());
  std::fill_n(bias, layout.padded_n(), 0.0f);
  ZeroPadding(layout, weight);
}

PackedFfn::PackedFfn() noexcept = default;
PackedFfn::PackedFfn(PackedFfn&&) noexcept = default;
PackedFfn& PackedFfn::operator=(PackedFfn&&) noexcept = default;
PackedFfn::~PackedFfn() = default;
void PackedFfn::Deleter::operator()(Impl* impl) const noexcept { delete impl; }

Status PackedFfn::Create(const Shape& shape, Activation activation, const PackOptions& options,
                         PackedFfn* ffn) noexcept {
  if (ffn == nullptr) return Invalid("ffn is null");
  Status status = CheckShape(shape);
  if (!status.ok()) return status;
  if (*ActivationName(activation) == '\0') {
    return Status(StatusCode::kInvalidArgument,
                  "activation %d is none of kQuickGelu, kGelu, kGeluTanh, kSilu, kRelu, kRelu2, kIdentity",
                  static_cast<int>(activation));
  }
  const Kernels* kernels = nullptr;
  status = FindKernels(options.target, &kernels);
  if (status.ok()) status = CheckPrecision(options.precision, *kernels);
  if (!status.ok()) return status;

  try {
    std::unique_ptr<Impl, Deleter> impl(new Impl());
    impl->kernels = kernels;
    impl->shape = shape;
    impl->precision = options.precision;
    impl->operands = OperandsOf(options.precision, *kernels);
    impl->gemm = kernels->gemm[static_cast<size_t>(options.precision)];
    impl->activate = kernels->activations[static_cast<size_t>(activation)].tile;
    MakeLayers(impl.get());
    size_t floats = 0;
    for (const PackedLayer& layer : impl->layers) floats += layer.floats();
    impl->memory = AlignedFloats::Allocate(floats);
    if (impl->memory.data() == nullptr) {
      return Status(StatusCode::kOutOfMemory, "no memory for %zu bytes of packed weights",
                    floats * sizeof(float));
    }
    float* next = impl->memory.data();
    for (PackedLayer& layer : impl->layers) {
      layer.PlaceAt(next, impl->layers[0]);
      next += layer.floats();
    }
    ffn->impl_ = std::move(impl);
  } catch (const std::bad_alloc&) {
    return Status(StatusCode::kOutOfMemory, "no memory for a packed block's bookkeeping");
  }
  return Status();
}

Status PackedFfn::PackRows(Layer which, size_t first_row, size_t rows, const void* weight, DType dtype,
                           size_t stride) noexcept {
  Status status = CheckLayer(impl_.get(), which);
  if (status.ok()) status = CheckDType(dtype);
  if (status.ok()) status = CheckRows(*impl_, which, first_row, rows, weight, BytesOf(dtype), stride);
  if (!status.ok()) return status;
  PackedLayer& layer = impl_->layers[static_cast<size_t>(which)];
  fusedffn::PackRows(layer.layout, first_row, rows, weight, dtype, stride, layer.weight);
  MarkPacked(first_row, rows, &layer);
  return status;
}

Status PackedFfn::PackQuantizedRows(Layer which, size_t first_row, size_t rows, const int8_t* q,
                                    size_t stride, const float* scales) noexcept {
  Status status = CheckLayer(impl_.get(), which);
  if (status.ok() && impl_->precision != Precision::kInt8) {
    status = Status(StatusCode::kInvalidArgument, "quantised rows need precision kInt8; this is %s",
                    PrecisionName(impl_->precision));
  }
  if (status.ok()) status = CheckRows(*impl_, which, first_row, rows, q, sizeof(*q), stride);
  if (status.ok() && rows != 0 && scales == nullptr) status = Invalid("scales is null");
  if (!status.ok()) return status;
  PackedLayer& layer = impl_->layers[static_cast<size_t>(which)];
  fusedffn::PackQuantizedRows(layer.layout, first_row, rows, q, stride, scales, layer.weight);
  MarkPacked(first_row, rows, &layer);
  return status;
}

Status PackedFfn::PackBias(Layer which, const void* bias, DType dtype) noexcept {
  Status status = CheckLayer(impl_.get(), which);
  if (status.ok() && bias == nullptr) status = Invalid("bias is null");
  if (status.ok()) status = CheckDType(dtype);
  if (!status.ok()) return status;
  const PackedLayer& layer = impl_->layers[static_cast<size_t>(which)];
  Widen(bias, dtype, layer.layout.n, layer.bias);
  return Status();
}

Precision PackedFfn::precision() const noexcept { return impl_ ? impl_->precision : Precision::kF32; }

Shape PackedFfn::shape() const noexcept { return impl_ ? impl_->shape : Shape(); }

const char* PackedFfn::target() const noexcept { return impl_ ? TargetName(*impl_->kernels) : ""; }

size_t PackedFfn::packed_bytes() const noexcept {
  if (impl_ == nullptr) return 0;
  size_t bytes = sizeof(Impl) + impl_->memory.count() * sizeof(float);
  for (const PackedLayer& layer : impl_->layers) bytes += layer.row_packed.capacity() / 8;
  return bytes;
}

Status Pack(const Weights& weights, const PackOptions& options, PackedFfn* ffn) noexcept {
  if (ffn == nullptr) return Invalid("ffn is null");
  const Shape& shape = weights.shape;
  PackedFfn packed;
  Status status = PackedFfn::Create(shape, weights.activation, options, &packed);
  if (status.ok()) status = CheckLinear("fc1", weights.fc1, shape.hidden, shape.dim);
  if (status.ok()) status = CheckLinear("fc2", weights.fc2, shape.out, shape.hidden);
  if (status.ok()) status = CheckUp(weights);
  if (status.ok()) status = PackLinear(Layer::kFc1, weights.fc1, shape.hidden, shape.dim, &packed);
  if (status.ok()) status = PackLinear(Layer::kFc2, weights.fc2, shape.out, shape.hidden, &packed);
  if (status.ok() && shape.gated) {
    status = PackLinear(Layer::kUp, weights.up, shape.hidden, shape.dim, &packed);
  }
  if (status.ok()) *ffn = std::move(packed);
  return status;
}

bool BF16DotIsFaster(const char* target) noexcept {
  const Kernels* kernels = nullptr;
  return FindKernels(target, &kernels).ok() &&
         kernels->gemm[static_cast<size_t>(Precision::kBF16Dot)] != nullptr && (kernels->amx || IsAmdCpu());
}

const Target* Targets(size_t* count) noexcept {
  struct List {
    size_t count = AllKernels().count;
    Target targets[kMaxTargets];
    List() {
      for (size_t i = 0; i < count; ++i) {
        const Kernels& kernels = *AllKernels().kernels[i];
        targets[i] = {TargetName(kernels), IsSupported(kernels), kernels.mr[0], kernels.nr};
      }
    }
  };
  static const List list;
  if (count != nullptr) *count = list.count;
  return list.targets;
}

}  // namespace fusedffn

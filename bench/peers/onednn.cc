// oneDNN: two matmuls, weights in the layout that it asks for, bias, and as fc1's post-op eltwise_swish,
// which with alpha 1.702 is QuickGELU. bf16: weights, x and the hidden array are bf16. int8: weights s8, x
// and the hidden array u8, with scales given beforehand: nothing is quantised on the way. y is fp32 always.
#include <dnnl.hpp>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "bench/bf16.h"
#include "bench/peers/peer.h"
#include "bench/peers/static_int8.h"

namespace fusedffn {
namespace {

using dnnl::memory;
using Arguments = std::unordered_map<int, memory>;
using Type = memory::data_type;

memory::desc Describe(size_t rows, size_t cols, Type type, memory::format_tag tag) {
  return {{static_cast<int64_t>(rows), static_cast<int64_t>(cols)}, type, tag};
}

memory View(const dnnl::engine& engine, const memory::desc& description, const void* data) {
  return memory(description, engine, const_cast<void*>(data));
}

// int8's own: nn.Linear's weights, and the scales and zero points that the matmuls are given. oneDNN's memory
// points into it.
struct Int8 {
  U8Formats formats;
  S8Weights w1, w2;

  explicit Int8(const Block& block)
      : formats(Calibrate(block)),
        w1(block.w1, block.shape.hidden, block.shape.dim),
        w2(block.w2, block.shape.out, block.shape.hidden) {}
};

void AddFormat(const dnnl::engine& engine, int tensor, const U8Format& format, Arguments* arguments) {
  const auto one = [](Type type) { return memory::desc({1}, type, memory::format_tag::a); };
  (*arguments)[DNNL_ARG_ATTR_SCALES | tensor] = View(engine, one(Type::f32), &format.scale);
  (*arguments)[DNNL_ARG_ATTR_ZERO_POINTS | tensor] = View(engine, one(Type::s32), &format.zero);
}

// `destination`: null for fp32.
Arguments Formats(const dnnl::engine& engine, const U8Format& source, const S8Weights& weights,
                  const U8Format* destination) {
  Arguments arguments;
  AddFormat(engine, DNNL_ARG_SRC, source, &arguments);
  if (destination != nullptr) AddFormat(engine, DNNL_ARG_DST, *destination, &arguments);
  const memory::desc scales({static_cast<int64_t>(weights.scales.size())}, Type::f32, memory::format_tag::a);
  arguments[DNNL_ARG_ATTR_SCALES | DNNL_ARG_WEIGHTS] = View(engine, scales, weights.scales.data());
  return arguments;
}

struct Types {
  Type source, weights, destination;
};

dnnl::primitive_attr Attributes(const Types& types, bool quick_gelu) {
  dnnl::primitive_attr attributes;
  if (quick_gelu) {
    dnnl::post_ops post_ops;
    post_ops.append_eltwise(dnnl::algorithm::eltwise_swish, 1.702f, 0.0f);
    attributes.set_post_ops(post_ops);
  }
  for (const auto& [tensor, type] :
       {std::pair(DNNL_ARG_SRC, types.source), {DNNL_ARG_DST, types.destination}}) {
    if (type != Type::u8) continue;
    attributes.set_scales_mask(tensor, 0);
    attributes.set_zero_points_mask(tensor, 0);
  }
  constexpr int kEachOutput = 1 << 1;
  if (types.weights == Type::s8) attributes.set_scales_mask(DNNL_ARG_WEIGHTS, kEachOutput);
  return attributes;
}

// One nn.Linear for one token count: y [tokens, out] = x [tokens, in] * w^T + b.
class Linear {
 public:
  Linear(const dnnl::engine& engine, size_t tokens, size_t in, size_t out, const Types& types,
         bool quick_gelu)
      : in_(in),
        out_(out),
        description_(engine, Describe(tokens, in, types.source, memory::format_tag::ab),
                     Describe(in, out, types.weights, memory::format_tag::any),
                     Describe(1, out, Type::f32, memory::format_tag::ab),
                     Describe(tokens, out, types.destination, memory::format_tag::ab),
                     Attributes(types, quick_gelu)),
        matmul_(description_) {}

  // nn.Linear's [out, in] is the transpose of what the matmul multiplies by: tag ba.
  memory Pack(dnnl::stream& stream, Type type, const void* w) const {
    memory stored = View(Describe(in_, out_, type, memory::format_tag::ba), w);
    memory packed(description_.weights_desc(), description_.get_engine());
    dnnl::reorder(stored, packed).execute(stream, stored, packed);
    stream.wait();
    return packed;
  }

  // `arguments`: the formats of int8.
  void Run(dnnl::stream& stream, const memory& weights, const Floats& bias, const void* x, void* y,
           Arguments arguments) const {
    arguments[DNNL_ARG_SRC] = View(description_.src_desc(), x);
    arguments[DNNL_ARG_WEIGHTS] = weights;
    arguments[DNNL_ARG_BIAS] = View(description_.bias_desc(), bias.data());
    arguments[DNNL_ARG_DST] = View(description_.dst_desc(), y);
    matmul_.execute(stream, arguments);
  }

  std::string implementation() const { return description_.impl_info_str(); }

 private:
  memory View(const memory::desc& description, const void* data) const {
    return fusedffn::View(description_.get_engine(), description, data);
  }

  size_t in_, out_;
  dnnl::matmul::primitive_desc description_;
  dnnl::matmul matmul_;
};

class OneDnn : public Peer {
 public:
  explicit OneDnn(const PeerOptions& options) {
    RequireDtype(options, {"f32", "bf16", "int8"});
    if (options.dtype == "bf16") activations_ = weights_ = Type::bf16;
    if (options.dtype == "int8") activations_ = Type::u8, weights_ = Type::s8;
  }

  std::string Version() const override {
    const dnnl_version_t* version = dnnl_version();
    return std::to_string(version->major) + "." + std::to_string(version->minor) + "." +
           std::to_string(version->patch);
  }

  std::string Config() const override {
    return "matmul, weights in its own layout, post-op eltwise_swish; SYCL on TBB; " +
           std::string(int8_ ? "static scales; " : "") + MakeFc1(257, kClipL).implementation();
  }

  void AddLayer(const Block& block) override {
    block_ = &block;
    if (weights_ == Type::s8 && !int8_) {
      int8_.emplace(block);
      fc1_formats_ = Formats(engine_, int8_->formats.x, int8_->w1, &int8_->formats.hidden);
      fc2_formats_ = Formats(engine_, int8_->formats.hidden, int8_->w2, nullptr);
    }
    layers_.emplace_back();
    tokens_ = 0;
  }

  void Prepare(const float* x, size_t tokens) override {
    const Shape& shape = block_->shape;
    if (activations_ == Type::bf16) x_bf16_ = ToBf16(x, tokens * shape.dim);
    if (activations_ == Type::u8) x_u8_ = Quantise(int8_->formats.x, x, tokens * shape.dim);
    if (tokens == tokens_) return;
    fc1_.emplace(MakeFc1(tokens, shape));
    fc2_.emplace(engine_, tokens, shape.hidden, shape.out, Types{activations_, weights_, Type::f32}, false);
    for (Layer& layer : layers_) {
      layer.w1 = Pack(*fc1_, block_->w1, &Int8::w1);
      layer.w2 = Pack(*fc2_, block_->w2, &Int8::w2);
    }
    hidden_ = Floats(tokens * shape.hidden);  // or room for it
    tokens_ = tokens;
  }

  void Run(size_t layer, const float* x, size_t /*tokens*/, float* y) override {
    const void* input = x;
    if (activations_ == Type::bf16) input = x_bf16_.data();
    if (activations_ == Type::u8) input = x_u8_.data();
    const Layer& l = layers_[layer];
    fc1_->Run(stream_, l.w1, block_->b1, input, hidden_.data(), fc1_formats_);
    fc2_->Run(stream_, l.w2, block_->b2, hidden_.data(), y, fc2_formats_);
    stream_.wait();
  }

 private:
  struct Layer {
    memory w1, w2;
  };

  Linear MakeFc1(size_t tokens, const Shape& shape) const {
    return {engine_, tokens, shape.dim, shape.hidden, Types{activations_, weights_, activations_}, true};
  }

  memory Pack(const Linear& linear, const Floats& w, S8Weights Int8::*quantised) {
    if (int8_) return linear.Pack(stream_, Type::s8, ((*int8_).*quantised).values.data());
    return linear.Pack(stream_, Type::f32, w.data());
  }

  dnnl::engine engine_{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream_{engine_};
  Type activations_ = Type::f32, weights_ = Type::f32;
  const Block* block_ = nullptr;
  std::optional<Int8> int8_;
  Arguments fc1_formats_, fc2_formats_;
  std::vector<Layer> layers_;
  std::optional<Linear> fc1_, fc2_;  // for tokens_
  size_t tokens_ = 0;
  Buffer<uint16_t> x_bf16_;
  Buffer<uint8_t> x_u8_;
  Floats hidden_;
};

}  // namespace

// Its threads are those of the OpenCL CPU device: one for each CPU that the process may use.
std::unique_ptr<Peer> MakePeer(const PeerOptions& options) { return std::make_unique<OneDnn>(options); }

}  // namespace fusedffn

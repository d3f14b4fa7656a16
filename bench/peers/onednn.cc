// oneDNN: two matmuls, weights in the layout that it asks for, bias, and the activation as fc1's post-op.
// Gated: between the two a third, up, whose post-op multiplies by what fc1's has written. bf16: weights, x
// and the hidden arrays are bf16. int8: weights s8, x and the hidden array u8, with scales given beforehand:
// nothing is quantized on the way, and a gate is fp32. y is fp32 always.
#include <dnnl.hpp>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "bench/bf16.h"
#include "bench/peers/peer.h"
#include "bench/peers/static_int8.h"

namespace fusedffn::bench {
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
struct Int8Block {
  U8Formats formats;
  S8Weights w1, up, w2;

  explicit Int8Block(const Block& block)
      : formats(Calibrate(block)),
        w1(block.w1, block.shape.hidden, block.shape.dim),
        up(block.up, block.shape.gated ? block.shape.hidden : 0, block.shape.dim),
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

struct Eltwise {
  dnnl::algorithm algorithm;
  float alpha;
  const char* name;
};

Eltwise EltwiseOf(Activation activation) {
  switch (activation) {
    case Activation::kQuickGelu:
      return {dnnl::algorithm::eltwise_swish, 1.702f, "eltwise_swish"};
    case Activation::kSilu:
      return {dnnl::algorithm::eltwise_swish, 1.0f, "eltwise_swish"};
    case Activation::kGelu:
      return {dnnl::algorithm::eltwise_gelu_erf, 0.0f, "eltwise_gelu_erf"};
    case Activation::kGeluTanh:
      return {dnnl::algorithm::eltwise_gelu_tanh, 0.0f, "eltwise_gelu_tanh"};
    default:
      throw std::runtime_error("onednn: only quick_gelu, gelu, gelu_tanh and silu");
  }
}

dnnl::post_ops Activate(const Eltwise& eltwise) {
  dnnl::post_ops post_ops;
  post_ops.append_eltwise(eltwise.algorithm, eltwise.alpha, 0.0f);
  return post_ops;
}

dnnl::post_ops MultiplyBy(const memory::desc& gate) {
  dnnl::post_ops post_ops;
  post_ops.append_binary(dnnl::algorithm::binary_mul, gate);
  return post_ops;
}

dnnl::primitive_attr Attributes(const Types& types, const dnnl::post_ops& post_ops) {
  dnnl::primitive_attr attributes;
  attributes.set_post_ops(post_ops);
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

// One nn.Linear for one token count: y [tokens, out] = post_ops(x [tokens, in] * w^T + b).
class Linear {
 public:
  Linear(const dnnl::engine& engine, size_t tokens, size_t in, size_t out, bool biased, const Types& types,
         const dnnl::post_ops& post_ops)
      : in_(in),
        out_(out),
        description_(engine, Describe(tokens, in, types.source, memory::format_tag::ab),
                     Describe(in, out, types.weights, memory::format_tag::any),
                     biased ? Describe(1, out, Type::f32, memory::format_tag::ab) : memory::desc(),
                     Describe(tokens, out, types.destination, memory::format_tag::ab),
                     Attributes(types, post_ops)),
        matmul_(description_) {}

  // nn.Linear's [out, in] is the transpose of what the matmul multiplies by: tag ba.
  memory Pack(dnnl::stream& stream, Type type, const void* w) const {
    memory stored = View(Describe(in_, out_, type, memory::format_tag::ba), w);
    memory packed(description_.weights_desc(), description_.get_engine());
    dnnl::reorder(stored, packed).execute(stream, stored, packed);
    stream.wait();
    return packed;
  }

  // `arguments`: the formats of int8, and the gate.
  void Run(dnnl::stream& stream, const memory& weights, const Floats& bias, const void* x, void* y,
           Arguments arguments) const {
    arguments[DNNL_ARG_SRC] = View(description_.src_desc(), x);
    arguments[DNNL_ARG_WEIGHTS] = weights;
    if (bias.size() != 0) arguments[DNNL_ARG_BIAS] = View(description_.bias_desc(), bias.data());
    arguments[DNNL_ARG_DST] = View(description_.dst_desc(), y);
    matmul_.execute(stream, arguments);
  }

  std::string implementation() const { return description_.impl_info_str(); }

 private:
  memory View(const memory::desc& description, const void* data) const {
    return bench::View(description_.get_engine(), description, data);
  }

  size_t in_, out_;
  dnnl::matmul::primitive_desc description_;
  dnnl::matmul matmul_;
};

class OneDnn : public Peer {
 public:
  explicit OneDnn(const PeerOptions& options)
      : shape_(options.shape), activation_(EltwiseOf(options.activation)) {
    RequireDtype(options, {"f32", "bf16", "int8"});
    if (options.dtype == "bf16") activations_ = gate_type_ = weights_ = Type::bf16;
    if (options.dtype == "int8") activations_ = Type::u8, weights_ = Type::s8;
  }

  std::string Version() const override {
    const dnnl_version_t* version = dnnl_version();
    return std::to_string(version->major) + "." + std::to_string(version->minor) + "." +
           std::to_string(version->patch);
  }

  std::string Config() const override {
    return std::string("matmul, weights in its own layout, post-op ") + activation_.name +
           (shape_.gated ? ", of up's product binary_mul" : "") + "; SYCL on TBB; " +
           (int8_ ? "static scales; " : "") + MakeFc1(257).implementation();
  }

  void AddLayer(const Block& block) override {
    block_ = &block;
    if (weights_ == Type::s8 && !int8_) {
      int8_.emplace(block);
      const auto& [x, hidden] = int8_->formats;
      fc1_arguments_ = Formats(engine_, x, int8_->w1, shape_.gated ? nullptr : &hidden);
      if (shape_.gated) up_arguments_ = Formats(engine_, x, int8_->up, &hidden);
      fc2_arguments_ = Formats(engine_, hidden, int8_->w2, nullptr);
    }
    layers_.emplace_back();
    tokens_ = 0;
  }

  void Prepare(const float* x, size_t tokens) override {
    if (activations_ == Type::bf16) x_bf16_ = ToBf16(x, tokens * shape_.dim);
    if (activations_ == Type::u8) x_u8_ = Quantize(int8_->formats.x, x, tokens * shape_.dim);
    if (tokens == tokens_) return;
    fc1_.emplace(MakeFc1(tokens));
    if (shape_.gated) PrepareUp(tokens);
    fc2_.emplace(engine_, tokens, shape_.hidden, shape_.out, !shape_.gated,
                 Types{activations_, weights_, Type::f32}, dnnl::post_ops());
    for (Layer& layer : layers_) {
      layer.w1 = Pack(*fc1_, block_->w1, &Int8Block::w1);
      if (shape_.gated) layer.up = Pack(*up_, block_->up, &Int8Block::up);
      layer.w2 = Pack(*fc2_, block_->w2, &Int8Block::w2);
    }
    hidden_ = Floats(tokens * shape_.hidden);  // or room for it
    tokens_ = tokens;
  }

  void Run(size_t layer, const float* x, size_t /*tokens*/, float* y) override {
    const void* input = x;
    if (activations_ == Type::bf16) input = x_bf16_.data();
    if (activations_ == Type::u8) input = x_u8_.data();
    const Layer& l = layers_[layer];
    fc1_->Run(stream_, l.w1, block_->b1, input, shape_.gated ? gate_.data() : hidden_.data(), fc1_arguments_);
    if (shape_.gated) up_->Run(stream_, l.up, block_->b1, input, hidden_.data(), up_arguments_);
    fc2_->Run(stream_, l.w2, block_->b2, hidden_.data(), y, fc2_arguments_);
    stream_.wait();
  }

 private:
  struct Layer {
    memory w1, up, w2;
  };

  Linear MakeFc1(size_t tokens) const {
    const Types types = {activations_, weights_, shape_.gated ? gate_type_ : activations_};
    return {engine_, tokens, shape_.dim, shape_.hidden, !shape_.gated, types, Activate(activation_)};
  }

  void PrepareUp(size_t tokens) {
    const memory::desc gate = Describe(tokens, shape_.hidden, gate_type_, memory::format_tag::ab);
    up_.emplace(engine_, tokens, shape_.dim, shape_.hidden, false,
                Types{activations_, weights_, activations_}, MultiplyBy(gate));
    gate_ = Floats(tokens * shape_.hidden);  // or room for it
    up_arguments_[DNNL_ARG_ATTR_MULTIPLE_POST_OP(0) | DNNL_ARG_SRC_1] = View(engine_, gate, gate_.data());
  }

  memory Pack(const Linear& linear, const Floats& w, S8Weights Int8Block::*quantized) {
    if (int8_) return linear.Pack(stream_, Type::s8, ((*int8_).*quantized).values.data());
    return linear.Pack(stream_, Type::f32, w.data());
  }

  dnnl::engine engine_{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream_{engine_};
  Shape shape_;
  Eltwise activation_;
  Type activations_ = Type::f32, gate_type_ = Type::f32, weights_ = Type::f32;
  const Block* block_ = nullptr;
  std::optional<Int8Block> int8_;
  Arguments fc1_arguments_, up_arguments_, fc2_arguments_;
  std::vector<Layer> layers_;
  std::optional<Linear> fc1_, up_, fc2_;  // for tokens_
  size_t tokens_ = 0;
  Buffer<uint16_t> x_bf16_;
  Buffer<uint8_t> x_u8_;
  Floats gate_, hidden_;
};

}  // namespace

// Its threads are those of the OpenCL CPU device: one for each CPU that the process may use.
std::unique_ptr<Peer> MakePeer(const PeerOptions& options) { return std::make_unique<OneDnn>(options); }

}  // namespace fusedffn::bench

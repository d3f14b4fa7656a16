// oneDNN: two matmuls, weights in the layout that it asks for, bias, and as fc1's post-op eltwise_swish,
// which with alpha 1.702 is QuickGELU.
#include <dnnl.hpp>
#include <optional>
#include <string>
#include <vector>

#include "bench/peers/peer.h"

namespace fusedffn {
namespace {

using dnnl::memory;

memory::desc Describe(size_t rows, size_t cols, memory::format_tag tag) {
  return {{static_cast<int64_t>(rows), static_cast<int64_t>(cols)}, memory::data_type::f32, tag};
}

dnnl::primitive_attr QuickGelu() {
  dnnl::post_ops post_ops;
  post_ops.append_eltwise(dnnl::algorithm::eltwise_swish, 1.702f, 0.0f);
  dnnl::primitive_attr attributes;
  attributes.set_post_ops(post_ops);
  return attributes;
}

// One nn.Linear for one token count: y [tokens, out] = x [tokens, in] * w^T + b.
class Linear {
 public:
  Linear(const dnnl::engine& engine, size_t tokens, size_t in, size_t out,
         const dnnl::primitive_attr& attributes)
      : in_(in),
        out_(out),
        description_(engine, Describe(tokens, in, memory::format_tag::ab),
                     Describe(in, out, memory::format_tag::any), Describe(1, out, memory::format_tag::ab),
                     Describe(tokens, out, memory::format_tag::ab), attributes),
        matmul_(description_) {}

  // nn.Linear's [out, in] is the transpose of what the matmul multiplies by: tag ba.
  memory Pack(dnnl::stream& stream, const Floats& w) const {
    memory stored = View(Describe(in_, out_, memory::format_tag::ba), w.data());
    memory packed(description_.weights_desc(), description_.get_engine());
    dnnl::reorder(stored, packed).execute(stream, stored, packed);
    stream.wait();
    return packed;
  }

  void Run(dnnl::stream& stream, const memory& weights, const Floats& bias, const float* x, float* y) const {
    matmul_.execute(stream, {{DNNL_ARG_SRC, View(description_.src_desc(), x)},
                             {DNNL_ARG_WEIGHTS, weights},
                             {DNNL_ARG_BIAS, View(description_.bias_desc(), bias.data())},
                             {DNNL_ARG_DST, View(description_.dst_desc(), y)}});
  }

  std::string implementation() const { return description_.impl_info_str(); }

 private:
  memory View(const memory::desc& description, const float* data) const {
    return memory(description, description_.get_engine(), const_cast<float*>(data));
  }

  size_t in_, out_;
  dnnl::matmul::primitive_desc description_;
  dnnl::matmul matmul_;
};

class OneDnn : public Peer {
 public:
  std::string Version() const override {
    const dnnl_version_t* version = dnnl_version();
    return std::to_string(version->major) + "." + std::to_string(version->minor) + "." +
           std::to_string(version->patch);
  }

  std::string Config() const override {
    return "matmul, weights in its own layout, post-op eltwise_swish; SYCL on TBB; " +
           Linear(engine_, 257, kClipL.dim, kClipL.hidden, QuickGelu()).implementation();
  }

  void AddLayer(const Block& block) override {
    layers_.push_back({&block, {}, {}});
    tokens_ = 0;
  }

  void Prepare(size_t tokens) override {
    if (tokens == tokens_) return;
    const Shape& shape = layers_[0].block->shape;
    fc1_.emplace(engine_, tokens, shape.dim, shape.hidden, QuickGelu());
    fc2_.emplace(engine_, tokens, shape.hidden, shape.out, dnnl::primitive_attr());
    for (Layer& layer : layers_) {
      layer.w1 = fc1_->Pack(stream_, layer.block->w1);
      layer.w2 = fc2_->Pack(stream_, layer.block->w2);
    }
    hidden_ = Floats(tokens * shape.hidden);
    tokens_ = tokens;
  }

  void Run(size_t layer, const float* x, size_t /*tokens*/, float* y) override {
    const Layer& l = layers_[layer];
    fc1_->Run(stream_, l.w1, l.block->b1, x, hidden_.data());
    fc2_->Run(stream_, l.w2, l.block->b2, hidden_.data(), y);
    stream_.wait();
  }

 private:
  struct Layer {
    const Block* block;
    memory w1, w2;
  };

  dnnl::engine engine_{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream_{engine_};
  std::vector<Layer> layers_;
  std::optional<Linear> fc1_, fc2_;  // for tokens_
  size_t tokens_ = 0;
  Floats hidden_;
};

}  // namespace

// Its threads are those of the OpenCL CPU device: one for each CPU that the process may use.
std::unique_ptr<Peer> MakePeer(const PeerOptions&) { return std::make_unique<OneDnn>(); }

}  // namespace fusedffn

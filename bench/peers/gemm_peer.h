// The block on a library that multiplies matrices. On OpenMP: the same threads run the products and the
// passes between them, bias, activation and conversions.
//
// A library is a template, Gemm<Precision>: one nn.Linear's weights, [out, in], as it wants them.
//
//   Gemm(const Precision::Weight* weights, size_t out, size_t in, const PeerOptions& options);
//       `weights` outlives it, and is the same array for every layer: see Peer::AddLayer()
//   void Prepare(size_t tokens);
//   void Run(const Precision::Input* x, size_t tokens, int beta, Precision::Sum* y) const;
//       y [tokens, out] = beta * y + x [tokens, in] * weights^T
#ifndef FUSEDFFN_BENCH_PEERS_GEMM_PEER_H_
#define FUSEDFFN_BENCH_PEERS_GEMM_PEER_H_

#include <optional>
#include <stdexcept>
#include <type_traits>
#include <vector>

#include "bench/peers/gemm_precision.h"
#include "bench/peers/peer.h"

namespace fusedffn::bench {

struct GemmLibrary {
  std::string version;
  std::string config;  // how it is called, and the kernels that it has chosen for this CPU
};

template <template <class> class Gemm, class Precision>
class GemmPeer : public Peer {
 public:
  GemmPeer(const PeerOptions& options, const GemmLibrary& library) : options_(options), library_(library) {}

  std::string Version() const override { return library_.version; }
  std::string Config() const override { return library_.config; }

  void AddLayer(const Block& block) override {
    block_ = &block;
    if (!precision_) precision_.emplace(block);
    const Shape& shape = block.shape;
    layers_.push_back({Gemm<Precision>(precision_->w1(), shape.hidden, shape.dim, options_),
                       Gemm<Precision>(precision_->w2(), shape.out, shape.hidden, options_)});
  }

  void Prepare(const float* x, size_t tokens) override {
    const Shape& shape = block_->shape;
    precision_->PrepareInput(x, tokens * shape.dim);
    precision_->PrepareHidden(tokens * shape.hidden);
    sums_ = Buffer<Sum>(tokens * std::max(shape.hidden, shape.out));
    for (Layer& layer : layers_) {
      layer.fc1.Prepare(tokens);
      layer.fc2.Prepare(tokens);
    }
  }

  void Run(size_t layer, const float* /*x*/, size_t tokens, float* y) override {
    const Layer& l = layers_[layer];
    l.fc1.Run(precision_->input(), tokens, 0, sums_.data());
    const auto* hidden = precision_->Activate(sums_.data(), tokens, options_.threads);
    if constexpr (std::is_same_v<Sum, float>) {
      FillWithBias(y, tokens, block_->shape.out, block_->b2.data(), options_.threads);
      l.fc2.Run(hidden, tokens, 1, y);
    } else {
      l.fc2.Run(hidden, tokens, 0, sums_.data());
      precision_->Finish(sums_.data(), tokens, options_.threads, y);
    }
  }

 private:
  using Sum = typename Precision::Sum;

  struct Layer {
    Gemm<Precision> fc1, fc2;
  };

  PeerOptions options_;
  GemmLibrary library_;
  const Block* block_ = nullptr;  // for its biases
  std::optional<Precision> precision_;
  std::vector<Layer> layers_;
  Buffer<Sum> sums_;
};

// The peer for options.dtype, one of `Precisions`.
template <template <class> class Gemm, class... Precisions>
std::unique_ptr<Peer> MakeGemmPeer(const PeerOptions& options, const GemmLibrary& library) {
  RequireClipL(options);  // for its biases and the pass over the hidden array
  RequireDtype(options, {Precisions::kName...});
  std::unique_ptr<Peer> peer;
  const auto make = [&](auto* precision) {
    using Precision = std::remove_pointer_t<decltype(precision)>;
    if (options.dtype == Precision::kName)
      peer = std::make_unique<GemmPeer<Gemm, Precision>>(options, library);
  };
  (make(static_cast<Precisions*>(nullptr)), ...);
  return peer;
}

}  // namespace fusedffn::bench

#endif  // FUSEDFFN_BENCH_PEERS_GEMM_PEER_H_

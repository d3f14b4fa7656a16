// The loops that the formula suggests, as the compiler makes them: a floor, not a rival.
#include <cmath>
#include <stdexcept>
#include <vector>

#include "bench/peers/peer.h"

namespace fusedffn::bench {
namespace {

void NaiveLinear(const Floats& w, const Floats& b, size_t in, size_t out, const float* x, float* y) {
  for (size_t n = 0; n < out; ++n) {
    float sum = b.data()[n];
    for (size_t k = 0; k < in; ++k) sum += w.data()[n * in + k] * x[k];
    y[n] = sum;
  }
}

class Naive : public Peer {
 public:
  std::string Version() const override { return FUSEDFFN_COMPILER; }
  std::string Config() const override { return "plain loops"; }
  void AddLayer(const Block& block) override {
    layers_.push_back({block.shape, block.w1.Copy(), block.b1.Copy(), block.w2.Copy(), block.b2.Copy()});
  }

  void Run(size_t layer, const float* x, size_t tokens, float* y) override {
    const Block& block = layers_[layer];
    const Shape& shape = block.shape;
    std::vector<float> hidden(shape.hidden);
    for (size_t t = 0; t < tokens; ++t) {
      NaiveLinear(block.w1, block.b1, shape.dim, shape.hidden, x + t * shape.dim, hidden.data());
      for (float& h : hidden) h /= 1.0f + std::exp(-1.702f * h);
      NaiveLinear(block.w2, block.b2, shape.hidden, shape.out, hidden.data(), y + t * shape.out);
    }
  }

 private:
  std::vector<Block> layers_;
};

}  // namespace

std::unique_ptr<Peer> MakePeer(const PeerOptions& options) {
  RequireClipL(options);
  RequireDtype(options, {"f32"});
  if (options.threads != 1) throw std::runtime_error("naive: plain loops run on one thread only");
  return std::make_unique<Naive>();
}

}  // namespace fusedffn::bench

// The block on a library that multiplies matrices. On OpenMP: the same threads run the GEMMs and the pass
// between them, bias of fc1 and activation.
#include <vector>

#include "bench/peers/activation_pass.h"
#include "bench/peers/blas_library.h"
#include "bench/peers/peer.h"

namespace fusedffn {
namespace {

class BlasPeer : public Peer {
 public:
  explicit BlasPeer(const PeerOptions& options) : threads_(options.threads) { SetBlasThreads(threads_); }

  std::string Version() const override { return BlasVersion(); }
  std::string Config() const override { return BlasConfig(); }

  void AddLayer(const Block& block) override {
    const Shape& shape = block.shape;
    layers_.push_back(
        {&block, MakeGemm(block.w1, shape.hidden, shape.dim), MakeGemm(block.w2, shape.out, shape.hidden)});
  }

  void Prepare(size_t tokens) override { hidden_ = Floats(tokens * layers_[0].block->shape.hidden); }

  void Run(size_t layer, const float* x, size_t tokens, float* y) override {
    const Layer& l = layers_[layer];
    const Shape& shape = l.block->shape;
    l.fc1->Run(x, tokens, 0.0f, hidden_.data());
    AddBiasQuickGelu(hidden_.data(), tokens, shape.hidden, l.block->b1.data(), threads_);
    FillWithBias(y, tokens, shape.out, l.block->b2.data(), threads_);
    l.fc2->Run(hidden_.data(), tokens, 1.0f, y);
  }

 private:
  struct Layer {
    const Block* block;  // for its biases
    std::unique_ptr<Gemm> fc1, fc2;
  };

  int threads_;
  std::vector<Layer> layers_;
  Floats hidden_;
};

}  // namespace

std::unique_ptr<Peer> MakePeer(const PeerOptions& options) { return std::make_unique<BlasPeer>(options); }

}  // namespace fusedffn

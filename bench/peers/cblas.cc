// OpenBLAS or BLIS through their common interface, on their OpenMP builds: the same threads run the GEMMs
// and the pass between them (bias of fc1 and activation).
#include <cblas.h>

#include <stdexcept>
#include <vector>

#include "bench/peers/activation_pass.h"
#include "bench/peers/blas_library.h"
#include "bench/peers/peer.h"

namespace fusedffn {
namespace {

// y [tokens, out] = beta * y + x [tokens, in] * w^T, w [out, in]
void Gemm(const float* x, size_t tokens, const Floats& w, size_t out, size_t in, float beta, float* y) {
  const auto integer = [](size_t value) { return static_cast<int>(value); };
  cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, integer(tokens), integer(out), integer(in), 1.0f, x,
              integer(in), w.data(), integer(in), beta, y, integer(out));
}

class Cblas : public Peer {
 public:
  explicit Cblas(const PeerOptions& options) : threads_(options.threads) { SetBlasThreads(threads_); }

  std::string Version() const override { return BlasVersion(); }
  std::string Config() const override { return "cblas_sgemm; OpenMP; for " + BlasCodePath(); }
  void AddLayer(const Block& block) override { layers_.push_back(&block); }

  void Prepare(size_t tokens) override { hidden_ = Floats(tokens * layers_[0]->shape.hidden); }

  void Run(size_t layer, const float* x, size_t tokens, float* y) override {
    const Block& block = *layers_[layer];
    const Shape& shape = block.shape;
    Gemm(x, tokens, block.w1, shape.hidden, shape.dim, 0.0f, hidden_.data());
    AddBiasQuickGelu(hidden_.data(), tokens, shape.hidden, block.b1.data(), threads_);
    FillWithBias(y, tokens, shape.out, block.b2.data(), threads_);
    Gemm(hidden_.data(), tokens, block.w2, shape.out, shape.hidden, 1.0f, y);
  }

 private:
  int threads_;
  std::vector<const Block*> layers_;
  Floats hidden_;
};

}  // namespace

std::unique_ptr<Peer> MakePeer(const PeerOptions& options) { return std::make_unique<Cblas>(options); }

}  // namespace fusedffn

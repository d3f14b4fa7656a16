// OpenBLAS and BLIS, through their common interface, on the weights as they are stored. Neither of these
// builds has a product of bf16 or int8 (OpenBLAS's cblas_sbgemm is left out of Debian's).
#include <cblas.h>

#include "bench/peers/cblas_library.h"
#include "bench/peers/gemm_peer.h"

namespace fusedffn::bench {
namespace {

template <class Precision>
class CblasGemm {
 public:
  CblasGemm(const float* weights, size_t out, size_t in, const PeerOptions&)
      : weights_(out * in), out_(static_cast<int>(out)), in_(static_cast<int>(in)) {
    std::copy_n(weights, out * in, weights_.data());
  }

  void Prepare(size_t) {}

  void Run(const float* x, size_t tokens, int beta, float* y) const {
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, static_cast<int>(tokens), out_, in_, 1.0f, x, in_,
                weights_.data(), in_, static_cast<float>(beta), y, out_);
  }

 private:
  Floats weights_;
  int out_, in_;
};

}  // namespace

std::unique_ptr<Peer> MakePeer(const PeerOptions& options) {
  SetCblasThreads(options.threads);
  return MakeGemmPeer<CblasGemm, F32>(options,
                                      {CblasVersion(), "cblas_sgemm; OpenMP; for " + CblasKernels()});
}

}  // namespace fusedffn::bench

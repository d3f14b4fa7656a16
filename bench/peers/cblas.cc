// OpenBLAS and BLIS, through their common interface, on the weights as they are stored.
#include <cblas.h>

#include "bench/peers/blas_library.h"

namespace fusedffn {
namespace {

class Cblas : public Gemm {
 public:
  Cblas(const Floats& weights, size_t out, size_t in)
      : weights_(weights.Copy()), out_(static_cast<int>(out)), in_(static_cast<int>(in)) {}

  void Run(const float* x, size_t tokens, float beta, float* y) const override {
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, static_cast<int>(tokens), out_, in_, 1.0f, x, in_,
                weights_.data(), in_, beta, y, out_);
  }

 private:
  Floats weights_;
  int out_, in_;
};

}  // namespace

std::unique_ptr<Gemm> MakeGemm(const Floats& weights, size_t out, size_t in) {
  return std::make_unique<Cblas>(weights, out, in);
}

}  // namespace fusedffn

// libxsmm, as its users call it: kernels that it compiles at run time for one block, inside the caller's
// loops over weights that were reordered once. libxsmm_sgemm() is for small matrices and leaves these to a
// BLAS.
#include <libxsmm.h>
#include <omp.h>

#include <algorithm>
#include <stdexcept>

#include "bench/peers/blas_library.h"

namespace fusedffn {
namespace {

constexpr size_t kColumns = 64;    // of a block: as in the layers that come with libxsmm
constexpr size_t kMostRows = 320;  // of a block
constexpr size_t kDepth = 1024;    // of k in one call: the weights for it take 256 KB and stay in L2

class LibXsmm : public Gemm {
 public:
  // [out, in] becomes panels [out / kColumns][in][kColumns].
  LibXsmm(const Floats& weights, size_t out, size_t in) : out_(out), in_(in), panels_(out * in) {
    for (size_t n = 0; n < out; ++n) {
      float* panel = panels_.data() + n / kColumns * kColumns * in + n % kColumns;
      for (size_t k = 0; k < in; ++k) panel[k * kColumns] = weights.data()[n * in + k];
    }
  }

  void Run(const float* x, size_t tokens, float beta, float* y) const override {
    const size_t blocks = (tokens + kMostRows - 1) / kMostRows;
    const size_t rows = (tokens + blocks - 1) / blocks;
    const Kernels full = Compile(rows, beta), last = Compile(tokens - (blocks - 1) * rows, beta);
#pragma omp parallel for collapse(2) schedule(static)
    for (size_t block = 0; block < blocks; ++block) {
      for (size_t n = 0; n < out_; n += kColumns) {
        const size_t row = block * rows;
        RunBlock(block + 1 < blocks ? full : last, x + row * in_, n, y + row * out_ + n);
      }
    }
  }

 private:
  struct Kernels {
    libxsmm_smmfunction first, next;  // of the calls along k
  };

  void RunBlock(const Kernels& kernels, const float* x, size_t n, float* y) const {
    for (size_t k = 0; k < in_; k += kDepth) {
      (k == 0 ? kernels.first : kernels.next)(panels_.data() + n * in_ + k * kColumns, x + k, y);
    }
  }

  Kernels Compile(size_t rows, float beta) const { return {CompileOne(rows, beta), CompileOne(rows, 1.0f)}; }

  // Column-major, as libxsmm has it: y^T [kColumns, rows] = beta * y^T + panel [kColumns, k] * x^T [k, rows].
  // From the second time on, this is a look-up.
  libxsmm_smmfunction CompileOne(size_t rows, float beta) const {
    const auto integer = [](size_t value) { return static_cast<libxsmm_blasint>(value); };
    const libxsmm_blasint m = integer(kColumns), k = integer(std::min(kDepth, in_));
    const libxsmm_blasint ldb = integer(in_), ldc = integer(out_);
    const float alpha = 1.0f;
    const int flags = LIBXSMM_GEMM_FLAG_NONE, prefetch = LIBXSMM_GEMM_PREFETCH_NONE;
    const libxsmm_smmfunction kernel =
        libxsmm_smmdispatch(m, integer(rows), k, &m, &ldb, &ldc, &alpha, &beta, &flags, &prefetch);
    if (kernel == nullptr) throw std::runtime_error("libxsmm: has no kernel for this CPU");
    return kernel;
  }

  size_t out_, in_;
  Floats panels_;
};

}  // namespace

std::unique_ptr<Gemm> MakeGemm(const Floats& weights, size_t out, size_t in) {
  return std::make_unique<LibXsmm>(weights, out, in);
}

void SetBlasThreads(int threads) { omp_set_num_threads(threads); }

std::string BlasVersion() { return LIBXSMM_VERSION; }

std::string BlasConfig() {
  return std::string("kernels of libxsmm_smmdispatch, weights in panels; OpenMP; for ") +
         libxsmm_get_target_arch();
}

}  // namespace fusedffn

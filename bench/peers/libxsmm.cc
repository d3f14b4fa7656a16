// libxsmm, as its users call it: kernels that it compiles at run time for one block, inside the caller's
// loops over weights that were reordered once. libxsmm_sgemm() is for small matrices and leaves these to a
// BLAS.
#include <libxsmm.h>
#include <omp.h>

#include <algorithm>
#include <stdexcept>

#include "bench/peers/gemm_peer.h"

namespace fusedffn::bench {
namespace {

constexpr size_t kColumns = 64;    // of a block: as in the layers that come with libxsmm
constexpr size_t kMostRows = 320;  // of a block
constexpr size_t kDepth = 1024;    // of k in one call: the weights for it take 256 KB or less and stay in L2

// Column-major, as libxsmm has it: y^T [kColumns, rows] = beta * y^T + panel [kColumns, k] * x^T [k, rows].
struct KernelShape {
  libxsmm_blasint rows, k, ldx, ldy;
};

// kGroup: consecutive k of one column that lie side by side in a panel, for the dot-product instructions.
template <class Precision>
struct Kernels;

// libxsmm's dispatch functions differ in types only. From the second time on, this is a look-up.
template <class Function, class Scalar, class Dispatch>
Function Compile(const KernelShape& shape, Scalar beta, int flags, const Dispatch& dispatch) {
  const libxsmm_blasint m = kColumns;
  const Scalar alpha = 1;
  const int prefetch = LIBXSMM_GEMM_PREFETCH_NONE;
  const Function kernel =
      dispatch(m, shape.rows, shape.k, &m, &shape.ldx, &shape.ldy, &alpha, &beta, &flags, &prefetch);
  if (kernel == nullptr) throw std::runtime_error("libxsmm: has no kernel for this CPU");
  return kernel;
}

template <>
struct Kernels<F32> {
  using Function = libxsmm_smmfunction;
  static constexpr size_t kGroup = 1;
  static constexpr const char* kName = "libxsmm_smmdispatch";
  static Function Make(const KernelShape& shape, int beta) {
    return Compile<Function>(shape, static_cast<float>(beta), LIBXSMM_GEMM_FLAG_NONE, libxsmm_smmdispatch);
  }
  static void Call(Function kernel, const float* panel, const float* x, float* y) { kernel(panel, x, y); }
};

template <>
struct Kernels<Bf16> {
  using Function = libxsmm_bsmmfunction;
  static constexpr size_t kGroup = 2;
  static constexpr const char* kName = "libxsmm_bsmmdispatch";
  static Function Make(const KernelShape& shape, int beta) {
    return Compile<Function>(shape, static_cast<float>(beta), LIBXSMM_GEMM_FLAG_VNNI_A, libxsmm_bsmmdispatch);
  }
  static void Call(Function kernel, const uint16_t* panel, const uint16_t* x, float* y) {
    kernel(panel, x, y);
  }
};

template <>
struct Kernels<Int8> {
  using Function = libxsmm_subimmfunction;
  static constexpr size_t kGroup = 4;
  static constexpr const char* kName = "libxsmm_subimmdispatch";
  static Function Make(const KernelShape& shape, int beta) {
    return Compile<Function>(shape, beta, LIBXSMM_GEMM_FLAG_VNNI_A, libxsmm_subimmdispatch);
  }
  static void Call(Function kernel, const int8_t* panel, const uint8_t* x, int32_t* y) {
    kernel(reinterpret_cast<const char*>(panel), x, y);
  }
};

template <class Precision>
class XsmmGemm {
 public:
  using Input = typename Precision::Input;
  using Weight = typename Precision::Weight;
  using Sum = typename Precision::Sum;
  using K = Kernels<Precision>;

  // [out, in] becomes panels [out / kColumns][in / kGroup][kColumns][kGroup].
  XsmmGemm(const Weight* weights, size_t out, size_t in, const PeerOptions&)
      : out_(out), in_(in), panels_(out * in) {
    for (size_t n = 0; n < out; ++n) {
      Weight* panel = panels_.data() + n / kColumns * kColumns * in + n % kColumns * K::kGroup;
      for (size_t k = 0; k < in; ++k) {
        panel[k / K::kGroup * K::kGroup * kColumns + k % K::kGroup] = weights[n * in + k];
      }
    }
  }

  void Prepare(size_t) {}

  void Run(const Input* x, size_t tokens, int beta, Sum* y) const {
    const size_t blocks = (tokens + kMostRows - 1) / kMostRows;
    const size_t rows = (tokens + blocks - 1) / blocks;
    const Steps full = MakeSteps(rows, beta), last = MakeSteps(tokens - (blocks - 1) * rows, beta);
#pragma omp parallel for collapse(2) schedule(static)
    for (size_t block = 0; block < blocks; ++block) {
      for (size_t n = 0; n < out_; n += kColumns) {
        const size_t row = block * rows;
        RunBlock(block + 1 < blocks ? full : last, x + row * in_, n, y + row * out_ + n);
      }
    }
  }

 private:
  struct Steps {
    typename K::Function first, next;  // of the calls along k
  };

  void RunBlock(const Steps& steps, const Input* x, size_t n, Sum* y) const {
    for (size_t k = 0; k < in_; k += kDepth) {
      K::Call(k == 0 ? steps.first : steps.next, panels_.data() + n * in_ + k * kColumns, x + k, y);
    }
  }

  Steps MakeSteps(size_t rows, int beta) const {
    const auto integer = [](size_t value) { return static_cast<libxsmm_blasint>(value); };
    const KernelShape shape = {integer(rows), integer(std::min(kDepth, in_)), integer(in_), integer(out_)};
    return {K::Make(shape, beta), K::Make(shape, 1)};
  }

  size_t out_, in_;
  Buffer<Weight> panels_;
};

std::string DispatchName(const std::string& dtype) {
  if (dtype == Bf16::kName) return Kernels<Bf16>::kName;
  return dtype == Int8::kName ? Kernels<Int8>::kName : Kernels<F32>::kName;
}

}  // namespace

std::unique_ptr<Peer> MakePeer(const PeerOptions& options) {
  omp_set_num_threads(options.threads);
  libxsmm_init();  // before it is asked for the CPU
  return MakeGemmPeer<XsmmGemm, F32, Bf16, Int8>(
      options, {LIBXSMM_VERSION, "kernels of " + DispatchName(options.dtype) +
                                     ", weights in panels; OpenMP; for " + libxsmm_get_target_arch()});
}

}  // namespace fusedffn::bench

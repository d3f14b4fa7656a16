// Intel MKL: its matrix products on the weights as they are stored, or ("packed") on weights that it has
// reordered once.
#include <mkl.h>

#include <fstream>
#include <stdexcept>
#include <string>

#include "bench/peers/gemm_peer.h"

namespace fusedffn::bench {
namespace {

// C [rows, cols] = beta * C + A [rows, k] * B^T, B [cols, k]
struct Product {
  MKL_INT rows, cols, k;
};

template <class Precision>
struct Calls;

template <>
struct Calls<F32> {
  static constexpr const char* kName = "cblas_sgemm";
  static size_t PackSize(const Product& p) {
    return cblas_sgemm_pack_get_size(CblasBMatrix, p.rows, p.cols, p.k);
  }
  static void Pack(const Product& p, const float* b, float* packed) {
    cblas_sgemm_pack(CblasRowMajor, CblasBMatrix, CblasTrans, p.rows, p.cols, p.k, 1.0f, b, p.k, packed);
  }
  static void RunPacked(const Product& p, const float* a, const float* packed, int beta, float* c) {
    cblas_sgemm_compute(CblasRowMajor, CblasNoTrans, CblasPacked, p.rows, p.cols, p.k, a, p.k, packed, p.k,
                        static_cast<float>(beta), c, p.cols);
  }
  static void Run(const Product& p, const float* a, const float* b, int beta, float* c) {
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, p.rows, p.cols, p.k, 1.0f, a, p.k, b, p.k,
                static_cast<float>(beta), c, p.cols);
  }
};

template <>
struct Calls<Bf16> {
  static constexpr const char* kName = "cblas_gemm_bf16bf16f32";
  static size_t PackSize(const Product& p) {
    return cblas_gemm_bf16bf16f32_pack_get_size(CblasBMatrix, p.rows, p.cols, p.k);
  }
  static void Pack(const Product& p, const uint16_t* b, uint16_t* packed) {
    cblas_gemm_bf16bf16f32_pack(CblasRowMajor, CblasBMatrix, CblasTrans, p.rows, p.cols, p.k, b, p.k, packed);
  }
  static void RunPacked(const Product& p, const uint16_t* a, const uint16_t* packed, int beta, float* c) {
    cblas_gemm_bf16bf16f32_compute(CblasRowMajor, CblasNoTrans, CblasPacked, p.rows, p.cols, p.k, 1.0f, a,
                                   p.k, packed, p.k, static_cast<float>(beta), c, p.cols);
  }
  static void Run(const Product& p, const uint16_t* a, const uint16_t* b, int beta, float* c) {
    cblas_gemm_bf16bf16f32(CblasRowMajor, CblasNoTrans, CblasTrans, p.rows, p.cols, p.k, 1.0f, a, p.k, b, p.k,
                           static_cast<float>(beta), c, p.cols);
  }
};

// Row-major, A is the unsigned one. Zero points are left to the passes: an offset here would cost a pass.
template <>
struct Calls<Int8> {
  static constexpr const char* kName = "cblas_gemm_s8u8s32";
  static size_t PackSize(const Product& p) {
    return cblas_gemm_s8u8s32_pack_get_size(CblasBMatrix, p.rows, p.cols, p.k);
  }
  static void Pack(const Product& p, const int8_t* b, int8_t* packed) {
    cblas_gemm_s8u8s32_pack(CblasRowMajor, CblasBMatrix, CblasTrans, p.rows, p.cols, p.k, b, p.k, packed);
  }
  static void RunPacked(const Product& p, const uint8_t* a, const int8_t* packed, int beta, int32_t* c) {
    const MKL_INT32 offset = 0;
    cblas_gemm_s8u8s32_compute(CblasRowMajor, CblasNoTrans, CblasPacked, CblasFixOffset, p.rows, p.cols, p.k,
                               1.0f, a, p.k, 0, packed, p.k, 0, static_cast<float>(beta), c, p.cols, &offset);
  }
  static void Run(const Product& p, const uint8_t* a, const int8_t* b, int beta, int32_t* c) {
    const MKL_INT32 offset = 0;
    cblas_gemm_s8u8s32(CblasRowMajor, CblasNoTrans, CblasTrans, CblasFixOffset, p.rows, p.cols, p.k, 1.0f, a,
                       p.k, 0, b, p.k, 0, static_cast<float>(beta), c, p.cols, &offset);
  }
};

bool IsPacked(const PeerOptions& options) { return options.variant == "packed"; }

template <class Precision>
class MklGemm {
 public:
  using Input = typename Precision::Input;
  using Weight = typename Precision::Weight;
  using Sum = typename Precision::Sum;

  MklGemm(const Weight* weights, size_t out, size_t in, const PeerOptions& options)
      : stored_(weights), out_(out), in_(in), packed_(IsPacked(options)), own_(packed_ ? 0 : out * in) {
    if (!packed_) std::copy_n(weights, out * in, own_.data());
  }

  // MKL is told the number of rows when it packs, and may choose the layout for it.
  void Prepare(size_t tokens) {
    if (!packed_ || tokens == packed_tokens_) return;
    const Product product = Of(tokens);
    own_ = Buffer<Weight>(Calls<Precision>::PackSize(product) / sizeof(Weight) + 1);
    Calls<Precision>::Pack(product, stored_, own_.data());
    packed_tokens_ = tokens;
  }

  void Run(const Input* x, size_t tokens, int beta, Sum* y) const {
    const auto run = packed_ ? Calls<Precision>::RunPacked : Calls<Precision>::Run;
    run(Of(tokens), x, own_.data(), beta, y);
  }

 private:
  Product Of(size_t tokens) const {
    return {static_cast<MKL_INT>(tokens), static_cast<MKL_INT>(out_), static_cast<MKL_INT>(in_)};
  }

  const Weight* stored_;
  size_t out_, in_;
  bool packed_;
  size_t packed_tokens_ = 0;
  Buffer<Weight> own_;
};

// MKL's kernels are a library that its first call loads, by CPU: libmkl_avx512.so.3 on Intel's; on others
// libmkl_def.so.3, which holds kernels of its own for AMD's Zen. MKL itself says nothing of these.
std::string CodePath() {
  const float one = 1.0f;
  float sum = 0.0f;
  Calls<F32>::Run({1, 1, 1}, &one, &one, 0, &sum);
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    for (const char* name : {"libmkl_def", "libmkl_mc3", "libmkl_avx2", "libmkl_avx512", "libmkl_avx10"}) {
      if (line.find(name + std::string(".so")) != std::string::npos) return name;
    }
  }
  return "unknown kernels";
}

std::string Version() {
  MKLVersion version;
  mkl_get_version(&version);
  return std::to_string(version.MajorVersion) + "." + std::to_string(version.UpdateVersion);
}

std::string Config(const PeerOptions& options) {
  std::string name = Calls<F32>::kName;
  if (options.dtype == Bf16::kName) name = Calls<Bf16>::kName;
  if (options.dtype == Int8::kName) name = Calls<Int8>::kName;
  return (IsPacked(options) ? name + "_pack, " + name + "_compute" : name) + "; " +
         (options.threads == 1 ? "sequential" : "Intel OpenMP") + "; " + CodePath();
}

}  // namespace

std::unique_ptr<Peer> MakePeer(const PeerOptions& options) {
  if (!IsPacked(options) && !options.variant.empty()) {
    throw std::runtime_error("mkl: unknown variant '" + options.variant + "': accepted is packed");
  }
  mkl_set_threading_layer(options.threads == 1 ? MKL_THREADING_SEQUENTIAL : MKL_THREADING_INTEL);
  mkl_set_dynamic(0);
  mkl_set_num_threads(options.threads);
  return MakeGemmPeer<MklGemm, F32, Bf16, Int8>(options, {Version(), Config(options)});
}

}  // namespace fusedffn::bench

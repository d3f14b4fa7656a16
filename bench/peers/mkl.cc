// Intel MKL: cblas_sgemm on the weights as they are stored, or ("packed") cblas_sgemm_compute on weights that
// cblas_sgemm_pack has reordered once. Bias of fc1 and activation are one vectorised pass between the two.
#include <mkl.h>

#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "bench/peers/activation_pass.h"
#include "bench/peers/peer.h"

namespace fusedffn {
namespace {

// y [tokens, out] = beta * y + x [tokens, in] * w^T, w [out, in]
class Gemm {
 public:
  // `packed`: Pack() comes before Run(), and `w` outlives this.
  Gemm(const Floats& w, size_t out, size_t in, bool packed)
      : stored_(w.data()),
        out_(Int(out)),
        in_(Int(in)),
        packed_(packed),
        own_(packed ? Floats() : w.Copy()) {}

  void Pack(size_t tokens) {
    own_ = Floats(cblas_sgemm_pack_get_size(CblasBMatrix, Int(tokens), out_, in_) / sizeof(float) + 1);
    cblas_sgemm_pack(CblasRowMajor, CblasBMatrix, CblasTrans, Int(tokens), out_, in_, 1.0f, stored_, in_,
                     own_.data());
  }

  void Run(const float* x, size_t tokens, float beta, float* y) const {
    if (packed_) {
      cblas_sgemm_compute(CblasRowMajor, CblasNoTrans, CblasPacked, Int(tokens), out_, in_, x, in_,
                          own_.data(), in_, beta, y, out_);
    } else {
      cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, Int(tokens), out_, in_, 1.0f, x, in_, own_.data(),
                  in_, beta, y, out_);
    }
  }

 private:
  static MKL_INT Int(size_t value) { return static_cast<MKL_INT>(value); }

  const float* stored_;
  MKL_INT out_, in_;
  bool packed_;
  Floats own_;
};

// MKL's kernels are a library that its first call loads, by CPU: libmkl_avx512.so.3 on Intel's; on others
// libmkl_def.so.3, which holds kernels of its own for AMD's Zen. MKL itself says nothing of these.
std::string CodePath() {
  const float one = 1.0f;
  float sum = 0.0f;
  cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, 1, 1, 1, 1.0f, &one, 1, &one, 1, 0.0f, &sum, 1);
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    for (const char* name : {"libmkl_def", "libmkl_mc3", "libmkl_avx2", "libmkl_avx512", "libmkl_avx10"}) {
      if (line.find(name + std::string(".so")) != std::string::npos) return name;
    }
  }
  return "unknown kernels";
}

class Mkl : public Peer {
 public:
  explicit Mkl(const PeerOptions& options) : threads_(options.threads), packed_(options.variant == "packed") {
    if (!packed_ && !options.variant.empty()) {
      throw std::runtime_error("mkl: unknown variant '" + options.variant + "': accepted is packed");
    }
    mkl_set_threading_layer(threads_ == 1 ? MKL_THREADING_SEQUENTIAL : MKL_THREADING_INTEL);
    mkl_set_dynamic(0);
    mkl_set_num_threads(threads_);
  }

  std::string Version() const override {
    MKLVersion version;
    mkl_get_version(&version);
    return std::to_string(version.MajorVersion) + "." + std::to_string(version.UpdateVersion);
  }

  std::string Config() const override {
    return std::string(packed_ ? "cblas_sgemm_pack, cblas_sgemm_compute" : "cblas_sgemm") + "; " +
           (threads_ == 1 ? "sequential" : "Intel OpenMP") + "; " + CodePath();
  }

  void AddLayer(const Block& block) override {
    layers_.push_back({&block, Gemm(block.w1, block.shape.hidden, block.shape.dim, packed_),
                       Gemm(block.w2, block.shape.out, block.shape.hidden, packed_)});
    packed_tokens_ = 0;
  }

  // MKL is told the number of rows when it packs, and may choose the layout for it.
  void Prepare(size_t tokens) override {
    if (hidden_.size() != tokens * layers_[0].block->shape.hidden)
      hidden_ = Floats(tokens * layers_[0].block->shape.hidden);
    if (!packed_ || tokens == packed_tokens_) return;
    for (Layer& layer : layers_) {
      layer.fc1.Pack(tokens);
      layer.fc2.Pack(tokens);
    }
    packed_tokens_ = tokens;
  }

  void Run(size_t layer, const float* x, size_t tokens, float* y) override {
    const Layer& l = layers_[layer];
    const Shape& shape = l.block->shape;
    l.fc1.Run(x, tokens, 0.0f, hidden_.data());
    AddBiasQuickGelu(hidden_.data(), tokens, shape.hidden, l.block->b1.data(), threads_);
    FillWithBias(y, tokens, shape.out, l.block->b2.data(), threads_);
    l.fc2.Run(hidden_.data(), tokens, 1.0f, y);
  }

 private:
  struct Layer {
    const Block* block;
    Gemm fc1, fc2;
  };

  int threads_;
  bool packed_;
  size_t packed_tokens_ = 0;
  std::vector<Layer> layers_;
  Floats hidden_;
};

}  // namespace

std::unique_ptr<Peer> MakePeer(const PeerOptions& options) { return std::make_unique<Mkl>(options); }

}  // namespace fusedffn

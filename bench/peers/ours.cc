// This library, called as any user would.
#include <stdexcept>
#include <vector>

#include "bench/commit.h"
#include "bench/peers/peer.h"

namespace fusedffn::bench {
namespace {

void ThrowIfError(const Status& status) {
  if (!status.ok()) throw std::runtime_error(status.message());
}

constexpr char kInt8By128[] = "int8-128";  // int8 in groups of 128

Precision PrecisionOf(const PeerOptions& options) {
  RequireDtype(options, {"f32", "bf16", "bf16-dot", "bf16-x3", "int8", kInt8By128});
  if (options.dtype == kInt8By128) return Precision::kInt8;
  for (size_t i = 0; i < kPrecisionCount; ++i) {
    if (options.dtype == PrecisionName(static_cast<Precision>(i))) return static_cast<Precision>(i);
  }
  return Precision::kF32;
}

class Ours : public Peer {
 public:
  explicit Ours(const PeerOptions& options) : options_(options) {}

  std::string Version() const override { return std::string(FUSEDFFN_VERSION " (") + kCommit + ")"; }

  std::string Config() const override {
    return layers_.empty() ? "" : std::string("target ") + layers_[0].target();
  }

  void AddLayer(const Block& block) override {
    PackOptions pack;
    pack.precision = PrecisionOf(options_);
    if (options_.dtype == kInt8By128) pack.int8_group = 128;
    if (!options_.variant.empty()) pack.target = options_.variant.c_str();
    PackedFfn ffn;
    ThrowIfError(Pack(WeightsOf(block), pack, &ffn));
    layers_.push_back(std::move(ffn));
  }

  void Run(size_t layer, const float* x, size_t tokens, float* y) override {
    const PackedFfn& ffn = layers_[layer];
    RunOptions run;
    run.threads = options_.threads;
    ThrowIfError(fusedffn::Run(ffn, x, ffn.shape().dim, tokens, y, ffn.shape().out, run));
  }

 private:
  PeerOptions options_;
  std::vector<PackedFfn> layers_;
};

}  // namespace

std::unique_ptr<Peer> MakePeer(const PeerOptions& options) { return std::make_unique<Ours>(options); }

}  // namespace fusedffn::bench

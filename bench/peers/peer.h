// One library that can compute the block. Each peer is one file that defines MakePeer(), linked with
// peer_main.cc into a program of its own: two libraries' thread pools in one process disturb each other.
#ifndef FUSEDFFN_BENCH_PEERS_PEER_H_
#define FUSEDFFN_BENCH_PEERS_PEER_H_

#include <algorithm>
#include <cstddef>
#include <initializer_list>
#include <memory>
#include <stdexcept>
#include <string>

#include "bench/workload.h"

namespace fusedffn::bench {

struct PeerOptions {
  Shape shape;
  Activation activation = Activation::kQuickGelu;
  int threads = 1;
  std::string dtype = "f32";  // or "bf16", "int8", and for this library "bf16-dot"
  std::string variant;  // the peer's own word: "packed" for MKL, a target's name for this library; or empty
};

// Throws one line unless options.dtype is one of `dtypes`.
inline void RequireDtype(const PeerOptions& options, std::initializer_list<const char*> dtypes) {
  if (std::find(dtypes.begin(), dtypes.end(), options.dtype) != dtypes.end()) return;
  std::string message = "does not compute in " + options.dtype + ", only in";
  for (const char* dtype : dtypes) message += std::string(" ") + dtype;
  throw std::runtime_error(message);
}

// Throws one line unless the block is CLIP-L's.
inline void RequireClipL(const PeerOptions& options) {
  const Shape& shape = options.shape;
  if (shape.dim == kClipL.dim && shape.hidden == kClipL.hidden && !shape.gated &&
      options.activation == Activation::kQuickGelu) {
    return;
  }
  throw std::runtime_error("computes only clip_l's block: dim 1024, hidden 4096, quick_gelu, not gated");
}

class Peer {
 public:
  virtual ~Peer() = default;

  virtual std::string Version() const = 0;
  virtual std::string Config() const = 0;  // how it is called, and on which code path where it says so

  // Prepares one more layer, in whatever layout the library prefers. `block` outlives the peer and is the
  // same for every layer, to save memory: a library that reads its weights in place needs a copy for each, so
  // that one layer leaves nothing of the next in a cache.
  virtual void AddLayer(const Block& block) = 0;

  // Untimed, before the runs of an input, and again when a layer has been added: for libraries that prepare
  // for a token count, or take x in another type, as the layer before would hand it to them.
  virtual void Prepare(const float* /*x*/, size_t /*tokens*/) {}

  // y = block(x), x [tokens, dim] and y [tokens, out] dense, for the x and the tokens of the last Prepare().
  virtual void Run(size_t layer, const float* x, size_t tokens, float* y) = 0;
};

// Throws std::runtime_error with one line that says why the peer cannot run here.
std::unique_ptr<Peer> MakePeer(const PeerOptions& options);

}  // namespace fusedffn::bench

#endif  // FUSEDFFN_BENCH_PEERS_PEER_H_

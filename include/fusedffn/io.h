// Blocks and layers from checkpoints in files, packed: a library of its own, fusedffn::io in CMake, which
// links fusedffn::fusedffn. In short:
//
//   fusedffn::CheckpointLoader checkpoint;
//   std::vector<fusedffn::LoadedBlock> layers;                  // of the CLIP-L tower: 24
//   fusedffn::Status status = fusedffn::CheckpointLoader::Open("DeepSeek-OCR", &checkpoint);
//   if (status.ok()) status = checkpoint.LoadLayers("DeepSeek-OCR CLIP-L", {}, &layers);
//
// A checkpoint is a .safetensors file, a model.safetensors.index.json with its shards beside it, or a folder
// with either; a config.json beside it is read where names do not say what a block is. Which models are
// known, and how a block's activation and norm are found: src/models/README.md. Files are read as hostile
// input. Nothing prints, aborts or throws; what is loaded is replaced on success only.
#ifndef FUSEDFFN_IO_H_
#define FUSEDFFN_IO_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "fusedffn/fusedffn.h"

namespace fusedffn {
inline namespace v0_2 {

struct OpenOptions {
  // Tensors to leave out of account, and modules with all below them: by their whole names, or by those
  // behind the prefix of a block, or the name of a layer, "lora_A". Else a block that has more tensors than
  // its layers' weights and biases, or a layer that has more, is refused, since its model is likely to
  // compute with them.
  std::vector<std::string> ignore_tensors = {};
};

struct LoadOptions {
  // pack.threads read and pack at the same time. Weights that a file holds quantized have groups of their
  // own, whatever pack.int8_group, and need Precision::kInt8.
  PackOptions pack;
  // None: what the checkpoint says, by names or config.json; it is an error if it does not, never a guess.
  std::optional<Activation> activation = {};
  // Load the norm in front of each block as well, for y = x + mlp(norm(x)). It is an error if it is not
  // known.
  bool norm = false;
  std::optional<double> norm_eps = {};  // none: what the checkpoint says
};

// A norm with its weights, as they are stored.
struct LoadedNorm {
  NormKind kind = NormKind::kLayerNorm;
  std::vector<char> weight, bias;  // [dim]; bias may be empty
  DType dtype = DType::kF32;
  double eps = 0, weight_offset = 0;

  // For RunOptions::norm. Valid as long as this object is unchanged.
  Norm view() const noexcept {
    return {kind, weight.data(), bias.empty() ? nullptr : bias.data(), dtype, eps, weight_offset};
  }
};

struct LoadedBlock {
  std::string prefix;  // "model.vision_model.transformer.layers.0.mlp"
  PackedFfn ffn;
  std::optional<LoadedNorm> norm;  // with LoadOptions::norm
};

// What a checkpoint says of one of its blocks.
struct BlockInfo {
  std::string prefix;
  std::string models;  // whose names these are: "", "A", "A or B"
  Shape shape;
  std::optional<Activation> activation;  // none: LoadOptions must have it
  size_t int8_group = 0;                 // of weights that are quantized; 0: they are not
  std::string problem;                   // why it cannot be loaded, and then the rest may be missing; or ""
};

// One layer by its name, such as "model.layers.0.self_attn.q_proj": NAME.weight, and NAME.bias if it is
// there.
struct LinearOptions {
  PackOptions pack;  // as LoadOptions::pack
  Activation activation = Activation::kIdentity;
  bool transposed = false;  // the weight is stored as [in, out], as GPT-2's are
};

class CheckpointLoader {
 public:
  CheckpointLoader() noexcept;  // of no checkpoint: every call is an error
  CheckpointLoader(CheckpointLoader&&) noexcept;
  CheckpointLoader& operator=(CheckpointLoader&&) noexcept;
  ~CheckpointLoader();

  // Reads the index, or the file's header; tensors are read when they are loaded. The files stay open.
  static Status Open(const std::string& path, CheckpointLoader* loader,
                     const OpenOptions& options = {}) noexcept;

  // All blocks, in the order of their layers. The calls of one loader follow each other; those of several run
  // at the same time.
  Status ListBlocks(std::vector<BlockInfo>* blocks) noexcept;
  // The block at a prefix.
  Status LoadBlock(const std::string& prefix, const LoadOptions& options, LoadedBlock* block) noexcept;
  // The blocks of all layers of a model in the checkpoint, in their order, each of which takes what the one
  // before gives: `model` is its name in BlockInfo::models, or the prefixes with N for the layer,
  // "model.layers.N.mlp"; "" stands for the only one with more than one layer.
  Status LoadLayers(const std::string& model, const LoadOptions& options,
                    std::vector<LoadedBlock>* blocks) noexcept;
  Status LoadLinear(const std::string& name, const LinearOptions& options, PackedLinear* linear) noexcept;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace v0_2
}  // namespace fusedffn

#endif  // FUSEDFFN_IO_H_

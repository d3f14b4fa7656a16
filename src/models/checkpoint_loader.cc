// The public face of this folder: its exceptions become Status.
#include <fmt/format.h>

#include <exception>
#include <new>
#include <utility>

#include "fusedffn/io.h"
#include "src/files/error.h"
#include "src/models/block_config.h"
#include "src/models/block_loader.h"
#include "src/models/checkpoint_blocks.h"
#include "src/models/layer_stack.h"
#include "src/models/model_config.h"
#include "src/models/norm_weights.h"

namespace fusedffn {
inline namespace v0_2 {

struct CheckpointLoader::State {
  io::Checkpoint checkpoint;
  io::ModelConfig config;

  explicit State(const std::string& path)
      : checkpoint(path), config(io::ReadModelConfig(checkpoint.Beside("config.json"))) {}
};

namespace {

// The options must say what the checkpoint does not.
class MissingOption : public io::Error {
 public:
  using Error::Error;
};

// What `work` returns, unless it throws.
template <class Work>
Status StatusOf(const Work& work) noexcept {
  try {
    return work();
  } catch (const io::PackError& error) {
    return Status(error.code(), "%s", error.what());
  } catch (const MissingOption& error) {
    return Status(StatusCode::kInvalidArgument, "%s", error.what());
  } catch (const std::bad_alloc&) {
    return Status(StatusCode::kOutOfMemory, "no memory to read a checkpoint");
  } catch (const std::exception& error) {
    return Status(StatusCode::kBadFile, "%s", error.what());
  }
}

Status NoCheckpoint() {
  return Status(StatusCode::kIncomplete, "the loader has no checkpoint: CheckpointLoader::Open() gives one");
}

Status NullOutput(const char* name) { return Status(StatusCode::kInvalidArgument, "%s is null", name); }

Activation ActivationFor(const std::string& path, const LoadOptions& options, const io::Block& block,
                         const io::BlockActivation& known) {
  if (options.activation) return *options.activation;
  if (known.activation) return *known.activation;
  throw MissingOption(path,
                      fmt::format("the activation of block {} is not known: {}; give LoadOptions::activation",
                                  io::Quoted(block.prefix), known.reason));
}

LoadedNorm NormFor(const io::Checkpoint& checkpoint, const LoadOptions& options, const io::Block& block,
                   const io::BlockActivation& known) {
  const io::FamilyNorm& norm = io::NormOf(checkpoint.path(), block, known);
  io::RequirePlainResidual(checkpoint.path(), block, known, norm);
  const std::optional<double> eps = options.norm_eps ? options.norm_eps : known.norm_eps;
  if (!eps) {
    throw MissingOption(
        checkpoint.path(),
        fmt::format("the eps of the norm in front of block {} is not known: neither its names nor "
                    "a config.json say it; give LoadOptions::norm_eps",
                    io::Quoted(block.prefix)));
  }
  io::BlockNorm weights = io::LoadNorm(checkpoint, block, norm.name);
  return {norm.kind, std::move(weights.weight), std::move(weights.bias), weights.dtype,
          *eps,      norm.weight_offset};
}

LoadedBlock Load(const io::Checkpoint& checkpoint, const io::ModelConfig& config, const LoadOptions& options,
                 const io::Block& block) {
  const io::BlockActivation known = io::ActivationOf(block, config);
  LoadedBlock loaded;
  loaded.prefix = block.prefix;
  const Activation activation = ActivationFor(checkpoint.path(), options, block, known);
  if (options.norm) loaded.norm = NormFor(checkpoint, options, block, known);
  loaded.ffn = io::LoadBlock(block, activation, options.pack);
  return loaded;
}

}  // namespace

CheckpointLoader::CheckpointLoader() noexcept = default;
CheckpointLoader::CheckpointLoader(CheckpointLoader&&) noexcept = default;
CheckpointLoader& CheckpointLoader::operator=(CheckpointLoader&&) noexcept = default;
CheckpointLoader::~CheckpointLoader() = default;

Status CheckpointLoader::Open(const std::string& path, CheckpointLoader* loader) noexcept {
  if (loader == nullptr) return NullOutput("loader");
  return StatusOf([&] {
    loader->state_ = std::make_unique<State>(path);
    return Status();
  });
}

Status CheckpointLoader::ListBlocks(std::vector<BlockInfo>* blocks) noexcept {
  if (state_ == nullptr) return NoCheckpoint();
  if (blocks == nullptr) return NullOutput("blocks");
  return StatusOf([&] {
    std::vector<BlockInfo> listed;
    for (const auto& [block, problem] : io::ListBlocks(state_->checkpoint)) {
      BlockInfo& info = listed.emplace_back();
      info.prefix = block.prefix;
      info.problem = problem;
      if (!problem.empty()) continue;
      const io::BlockActivation known = io::ActivationOf(block, state_->config);
      info.models = io::NamesOf(known.families);
      info.shape = block.shape;
      info.activation = known.activation;
      info.int8_group = io::Int8GroupOf(block);
    }
    *blocks = std::move(listed);
    return Status();
  });
}

Status CheckpointLoader::LoadBlock(const std::string& prefix, const LoadOptions& options,
                                   LoadedBlock* block) noexcept {
  if (state_ == nullptr) return NoCheckpoint();
  if (block == nullptr) return NullOutput("block");
  return StatusOf([&] {
    *block = Load(state_->checkpoint, state_->config, options, io::FindBlock(state_->checkpoint, prefix));
    return Status();
  });
}

Status CheckpointLoader::LoadLayers(const std::string& model, const LoadOptions& options,
                                    std::vector<LoadedBlock>* blocks) noexcept {
  if (state_ == nullptr) return NoCheckpoint();
  if (blocks == nullptr) return NullOutput("blocks");
  return StatusOf([&] {
    const auto& [checkpoint, config] = *state_;
    const std::optional<std::string> name = model.empty() ? std::nullopt : std::optional(model);
    std::vector<LoadedBlock> loaded;
    for (const io::Block& block : io::LayersOf(checkpoint, io::FindTower(checkpoint, name), {})) {
      loaded.push_back(Load(checkpoint, config, options, block));
    }
    *blocks = std::move(loaded);
    return Status();
  });
}

Status CheckpointLoader::LoadLinear(const std::string& name, const LinearOptions& options,
                                    PackedLinear* linear) noexcept {
  if (state_ == nullptr) return NoCheckpoint();
  if (linear == nullptr) return NullOutput("linear");
  return StatusOf([&] {
    io::Layout layout;
    layout.transposed = options.transposed;
    const io::BlockLayer layer = io::FindLayer(state_->checkpoint, name, layout);
    *linear = io::LoadLinear(layer, layout, options.activation, options.pack);
    return Status();
  });
}

}  // namespace v0_2
}  // namespace fusedffn

// The public face of this folder: its exceptions become Status.
#include <fmt/format.h>

#include <exception>
#include <new>

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

  State(const std::string& path, const OpenOptions& options)
      : checkpoint(path, options.ignore_tensors),
        config(io::ReadModelConfig(checkpoint.Beside("config.json"))) {}
};

namespace {

// The options must say what the checkpoint does not.
class MissingOption : public io::Error {
 public:
  using Error::Error;
};

// *to = load(), unless it throws.
template <class T, class Load>
Status LoadInto(const char* name, T* to, const Load& load) noexcept {
  if (to == nullptr) return Status(StatusCode::kInvalidArgument, "%s is null", name);
  try {
    *to = load();
    return Status();
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
  io::RequirePlainResidual(checkpoint, block, known, norm);
  const std::optional<double> eps = options.norm_eps ? options.norm_eps : known.norm_eps;
  if (eps) return io::LoadNorm(checkpoint, block, norm, *eps);
  throw MissingOption(checkpoint.path(),
                      fmt::format("the eps of the norm in front of block {} is not known: neither its names "
                                  "nor a config.json say it; give LoadOptions::norm_eps",
                                  io::Quoted(block.prefix)));
}

BlockInfo InfoOf(const io::BlockListing& listing, const io::ModelConfig& config) {
  const io::Block& block = listing.block;
  BlockInfo info;
  info.prefix = block.prefix;
  info.problem = listing.problem;
  if (!info.problem.empty()) return info;
  info.problem = io::CheckConfig(block, config);
  if (!info.problem.empty()) return info;
  const io::BlockActivation known = io::ActivationOf(block, config);
  info.models = io::NamesOf(known.families);
  info.shape = block.shape;
  info.activation = known.activation;
  info.int8_group = io::Int8GroupOf(block);
  return info;
}

LoadedBlock Load(const io::Checkpoint& checkpoint, const io::ModelConfig& config, const LoadOptions& options,
                 const io::Block& block) {
  const std::string problem = io::CheckConfig(block, config);
  if (!problem.empty()) {
    throw io::Error(checkpoint.path(), fmt::format("block {}: {}", io::Quoted(block.prefix), problem));
  }
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

Status CheckpointLoader::Open(const std::string& path, CheckpointLoader* loader,
                              const OpenOptions& options) noexcept {
  return LoadInto("loader", loader, [&] {
    CheckpointLoader opened;
    opened.state_ = std::make_unique<State>(path, options);
    return opened;
  });
}

Status CheckpointLoader::ListBlocks(std::vector<BlockInfo>* blocks) noexcept {
  if (state_ == nullptr) return NoCheckpoint();
  return LoadInto("blocks", blocks, [&] {
    std::vector<BlockInfo> listed;
    for (const io::BlockPlace& place : io::BlockPlaces(state_->checkpoint)) {
      listed.push_back(InfoOf(io::ListBlock(state_->checkpoint, place), state_->config));
    }
    return listed;
  });
}

Status CheckpointLoader::LoadBlock(const std::string& prefix, const LoadOptions& options,
                                   LoadedBlock* block) noexcept {
  if (state_ == nullptr) return NoCheckpoint();
  return LoadInto("block", block, [&] {
    return Load(state_->checkpoint, state_->config, options, io::FindBlock(state_->checkpoint, prefix));
  });
}

Status CheckpointLoader::LoadLayers(const std::string& model, const LoadOptions& options,
                                    std::vector<LoadedBlock>* blocks) noexcept {
  if (state_ == nullptr) return NoCheckpoint();
  return LoadInto("blocks", blocks, [&] {
    const auto& [checkpoint, config] = *state_;
    const std::optional<std::string> name = model.empty() ? std::nullopt : std::optional(model);
    std::vector<LoadedBlock> loaded;
    for (const io::Block& block : io::LayersOf(checkpoint, io::FindTower(checkpoint, name), {})) {
      loaded.push_back(Load(checkpoint, config, options, block));
    }
    return loaded;
  });
}

Status CheckpointLoader::LoadLinear(const std::string& name, const LinearOptions& options,
                                    PackedLinear* linear) noexcept {
  if (state_ == nullptr) return NoCheckpoint();
  return LoadInto("linear", linear, [&] {
    io::Layout layout;
    layout.transposed = options.transposed;
    const io::BlockLayer layer = io::FindLayer(state_->checkpoint, name, layout);
    return io::LoadLinear(layer, layout, options.activation, options.pack);
  });
}

}  // namespace v0_2
}  // namespace fusedffn

// The C interface of this folder: each function is the C++ one of its name.
#include "src/c_api.h"

#include <exception>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "fusedffn/fusedffn_io_c.h"
#include "fusedffn/io.h"

struct fusedffn_checkpoint {
  fusedffn::CheckpointLoader loader;
};

struct fusedffn_listing {
  std::vector<fusedffn::BlockInfo> blocks;
};

struct fusedffn_blocks {
  struct One {
    std::string prefix;
    fusedffn_block block;
    std::optional<fusedffn::LoadedNorm> norm;
    fusedffn_norm norm_view;
  };
  std::vector<One> all;
};

namespace fusedffn {
inline namespace v0_2 {
namespace {

// What call() returns; of what it throws, for lack of memory, the error.
template <class Call>
Status Guarded(const Call& call) noexcept {
  try {
    return call();
  } catch (const std::exception&) {
    return Status(StatusCode::kOutOfMemory, "no memory to read a checkpoint");
  }
}

// A checkpoint, and a text that is handed to it.
Status CheckArguments(const fusedffn_checkpoint* checkpoint, const char* name, const char* text) {
  if (checkpoint == nullptr) return NullArgument("checkpoint");
  return text == nullptr ? NullArgument(name) : Status();
}

Status LoadOptionsFrom(const fusedffn_load_options* from, LoadOptions* options) {
  fusedffn_load_options read;
  Status status = ReadStruct("fusedffn_load_options", from, &read);
  if (status.ok()) status = PackOptionsFrom(read.pack, &options->pack);
  if (!status.ok()) return status;
  if (read.activation != nullptr) options->activation = static_cast<Activation>(*read.activation);
  if (read.norm_eps != nullptr) options->norm_eps = *read.norm_eps;
  options->norm = read.norm != 0;
  return status;
}

fusedffn_norm ViewOf(const std::optional<LoadedNorm>& norm) {
  if (!norm) return {};
  const Norm view = norm->view();
  return {sizeof(fusedffn_norm),
          view.weight,
          view.bias,
          static_cast<fusedffn_norm_kind>(view.kind),
          static_cast<fusedffn_dtype>(view.dtype),
          view.eps,
          view.weight_offset};
}

void Append(LoadedBlock loaded, fusedffn_blocks* blocks) {
  fusedffn_blocks::One& one = blocks->all.emplace_back();
  one.prefix = std::move(loaded.prefix);
  one.block.packed = std::move(loaded.ffn);
  one.norm = std::move(loaded.norm);
}

// A set of what load(options, &loaded) gives, once the arguments are right.
template <class Load>
Status LoadSet(fusedffn_checkpoint* checkpoint, const char* name, const char* text,
               const fusedffn_load_options* from, fusedffn_blocks** blocks, const Load& load) {
  return MakeHandle("blocks", blocks, [&](fusedffn_blocks* made) {
    return Guarded([&] {
      LoadOptions options;
      std::vector<LoadedBlock> loaded;
      Status status = CheckArguments(checkpoint, name, text);
      if (status.ok()) status = LoadOptionsFrom(from, &options);
      if (status.ok()) status = load(options, &loaded);
      if (!status.ok()) return status;
      for (LoadedBlock& block : loaded) Append(std::move(block), made);
      // What they point to stays where it is from here on.
      for (fusedffn_blocks::One& one : made->all) one.norm_view = ViewOf(one.norm);
      return status;
    });
  });
}

fusedffn_block_info InfoFrom(const BlockInfo& info) {
  const Shape& shape = info.shape;
  return {sizeof(fusedffn_block_info),
          info.prefix.c_str(),
          info.models.c_str(),
          info.problem.c_str(),
          {shape.dim, shape.hidden, shape.out, shape.gated ? 1 : 0},
          info.activation ? static_cast<fusedffn_activation>(*info.activation) : -1,
          static_cast<int32_t>(info.int8_group)};
}

const fusedffn_blocks::One* OneOf(const fusedffn_blocks* blocks, size_t index) {
  return index < fusedffn_blocks_count(blocks) ? &blocks->all[index] : nullptr;
}

}  // namespace
}  // namespace v0_2
}  // namespace fusedffn

using namespace fusedffn;  // all that follows is C's

fusedffn_status fusedffn_checkpoint_open(const char* path, fusedffn_checkpoint** checkpoint, char* error,
                                         size_t error_bytes) noexcept {
  return fusedffn_checkpoint_open_ignoring(path, nullptr, 0, checkpoint, error, error_bytes);
}

fusedffn_status fusedffn_checkpoint_open_ignoring(const char* path, const char* const* names, size_t count,
                                                  fusedffn_checkpoint** checkpoint, char* error,
                                                  size_t error_bytes) noexcept {
  return ErrorText{error, error_bytes}.Report(
      MakeHandle("checkpoint", checkpoint, [&](fusedffn_checkpoint* made) {
        if (path == nullptr) return NullArgument("path");
        if (names == nullptr && count != 0) return NullArgument("names");
        return Guarded([&] {
          OpenOptions options;
          for (size_t i = 0; i < count; ++i) {
            if (names[i] == nullptr) return NullArgument("a name to ignore");
            options.ignore_tensors.emplace_back(names[i]);
          }
          return CheckpointLoader::Open(path, &made->loader, options);
        });
      }));
}

void fusedffn_checkpoint_free(fusedffn_checkpoint* checkpoint) noexcept { delete checkpoint; }

fusedffn_status fusedffn_checkpoint_list(fusedffn_checkpoint* checkpoint, fusedffn_listing** listing,
                                         char* error, size_t error_bytes) noexcept {
  return ErrorText{error, error_bytes}.Report(MakeHandle("listing", listing, [&](fusedffn_listing* made) {
    return checkpoint == nullptr ? NullArgument("checkpoint") : checkpoint->loader.ListBlocks(&made->blocks);
  }));
}

void fusedffn_listing_free(fusedffn_listing* listing) noexcept { delete listing; }

size_t fusedffn_listing_count(const fusedffn_listing* listing) noexcept {
  return listing == nullptr ? 0 : listing->blocks.size();
}

fusedffn_status fusedffn_listing_get(const fusedffn_listing* listing, size_t index, fusedffn_block_info* info,
                                     char* error, size_t error_bytes) noexcept {
  const ErrorText text = {error, error_bytes};
  const size_t count = fusedffn_listing_count(listing);
  if (index >= count) {
    return text.Report(
        Status(StatusCode::kInvalidArgument, "index is %zu; the listing has %zu blocks", index, count));
  }
  if (info == nullptr) return text.Report(NullArgument("info"));
  const fusedffn_block_info filled = InfoFrom(listing->blocks[index]);
  return text.Report(WriteStruct("fusedffn_block_info", filled, info));
}

void fusedffn_blocks_free(fusedffn_blocks* blocks) noexcept { delete blocks; }

size_t fusedffn_blocks_count(const fusedffn_blocks* blocks) noexcept {
  return blocks == nullptr ? 0 : blocks->all.size();
}
const fusedffn_block* fusedffn_blocks_block(const fusedffn_blocks* blocks, size_t index) noexcept {
  const fusedffn_blocks::One* const one = OneOf(blocks, index);
  return one == nullptr ? nullptr : &one->block;
}
const char* fusedffn_blocks_prefix(const fusedffn_blocks* blocks, size_t index) noexcept {
  const fusedffn_blocks::One* const one = OneOf(blocks, index);
  return one == nullptr ? nullptr : one->prefix.c_str();
}
const fusedffn_norm* fusedffn_blocks_norm(const fusedffn_blocks* blocks, size_t index) noexcept {
  const fusedffn_blocks::One* const one = OneOf(blocks, index);
  return one == nullptr || !one->norm ? nullptr : &one->norm_view;
}

fusedffn_status fusedffn_checkpoint_load_block(fusedffn_checkpoint* checkpoint, const char* prefix,
                                               const fusedffn_load_options* options, fusedffn_blocks** blocks,
                                               char* error, size_t error_bytes) noexcept {
  const auto load = [&](const LoadOptions& read, std::vector<LoadedBlock>* loaded) {
    return checkpoint->loader.LoadBlock(prefix, read, &loaded->emplace_back());
  };
  return ErrorText{error, error_bytes}.Report(LoadSet(checkpoint, "prefix", prefix, options, blocks, load));
}

fusedffn_status fusedffn_checkpoint_load_layers(fusedffn_checkpoint* checkpoint, const char* model,
                                                const fusedffn_load_options* options,
                                                fusedffn_blocks** blocks, char* error,
                                                size_t error_bytes) noexcept {
  const auto load = [&](const LoadOptions& read, std::vector<LoadedBlock>* loaded) {
    return checkpoint->loader.LoadLayers(model, read, loaded);
  };
  return ErrorText{error, error_bytes}.Report(LoadSet(checkpoint, "model", model, options, blocks, load));
}

fusedffn_status fusedffn_checkpoint_load_linear(fusedffn_checkpoint* checkpoint, const char* name,
                                                fusedffn_activation activation,
                                                const fusedffn_linear_load_options* options,
                                                fusedffn_linear** linear, char* error,
                                                size_t error_bytes) noexcept {
  return ErrorText{error, error_bytes}.Report(MakeHandle("linear", linear, [&](fusedffn_linear* made) {
    return Guarded([&] {
      fusedffn_linear_load_options read;
      LinearOptions load;
      Status status = CheckArguments(checkpoint, "name", name);
      if (status.ok()) status = ReadStruct("fusedffn_linear_load_options", options, &read);
      if (status.ok()) status = PackOptionsFrom(read.pack, &load.pack);
      if (!status.ok()) return status;
      load.activation = static_cast<Activation>(activation);
      load.transposed = read.transposed != 0;
      return checkpoint->loader.LoadLinear(name, load, &made->packed);
    });
  }));
}

// Compiled once. The blocks of a checkpoint that follow each other: the layers of one of its models.
#ifndef FUSEDFFN_SRC_MODELS_LAYER_STACK_H_
#define FUSEDFFN_SRC_MODELS_LAYER_STACK_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "src/models/block.h"
#include "src/models/checkpoint.h"
#include "src/models/checkpoint_blocks.h"

namespace fusedffn {
inline namespace v0_2 {
namespace io {

// Blocks whose prefixes differ by their last number only, which is that of the layer.
struct Tower {
  std::string pattern;                    // their prefix with N for the layer
  std::vector<const Family*> families;    // whose names these are
  std::map<uint64_t, BlockPlace> layers;  // those that cannot be used among them
};

// "'model.layers.N.mlp' (OPT, 24 layers)"
std::string Described(const Tower& tower);

// Whether `name` is that of a family of the block, or a pattern as in known_models.json that stands for its
// prefix.
bool IsCalled(const Block& block, std::string_view name);

// The tower whose blocks are called `name`. Without one, the only tower that has more than one layer. Throws
// Error that lists the towers if there is none such, or more than one.
Tower FindTower(const Checkpoint& checkpoint, const std::optional<std::string>& name);

// Some layers: the first `count` of them, or those from `first` to `last`. All, if neither is given.
struct LayerRange {
  std::optional<uint64_t> count;
  std::optional<uint64_t> first, last;
};

// These blocks in the order of the layers, as a chain: y of each is x of the next. Throws Error if one of
// them is missing or cannot be used, or they do not fit each other.
std::vector<Block> LayersOf(const Checkpoint& checkpoint, const Tower& tower, const LayerRange& range);

}  // namespace io
}  // namespace v0_2
}  // namespace fusedffn

#endif  // FUSEDFFN_SRC_MODELS_LAYER_STACK_H_

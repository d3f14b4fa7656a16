// Compiled once. The feed-forward blocks of a checkpoint: all of them, or one by its prefix.
#ifndef FUSEDFFN_SRC_MODELS_CHECKPOINT_BLOCKS_H_
#define FUSEDFFN_SRC_MODELS_CHECKPOINT_BLOCKS_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "src/models/block.h"
#include "src/models/checkpoint.h"

namespace fusedffn {
inline namespace v0_2 {
namespace io {

// Where there is a block, or a part of one.
struct BlockPlace {
  std::string_view prefix;  // valid as long as the checkpoint
  uint32_t layouts = 0;     // bit i: a weight of the i-th of Families().layouts is there
  bool is_listed = false;   // and by its name it can be of nothing but a block
};

// Every prefix before the name of a block's first layer; before that of its last layer, if it is one of a
// known family. layers.2 stands before layers.10. A million of them take a fraction of the memory that their
// listings would.
std::vector<BlockPlace> BlockPlaces(const Checkpoint& checkpoint);

// The block at one of these. A shard that is missing or damaged is its problem: others may be fine.
BlockListing ListBlock(const Checkpoint& checkpoint, const BlockPlace& place);

// What a checkpoint has not got if BlockPlaces() is empty.
std::string NoBlocks();

// Throws Error if there is none such, or it cannot be used.
Block FindBlock(const Checkpoint& checkpoint, const std::string& prefix);

}  // namespace io
}  // namespace v0_2
}  // namespace fusedffn

#endif  // FUSEDFFN_SRC_MODELS_CHECKPOINT_BLOCKS_H_

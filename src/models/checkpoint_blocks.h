// Compiled once. The feed-forward blocks of a checkpoint: all of them, or one by its prefix.
#ifndef FUSEDFFN_SRC_MODELS_CHECKPOINT_BLOCKS_H_
#define FUSEDFFN_SRC_MODELS_CHECKPOINT_BLOCKS_H_

#include <string>
#include <vector>

#include "src/models/block.h"
#include "src/models/checkpoint.h"

namespace fusedffn {
inline namespace v0_2 {
namespace io {

// Every prefix before the name of a block's first layer; before that of its last layer, if it is one of a
// known family. layers.2 stands before layers.10.
std::vector<BlockListing> ListBlocks(const Checkpoint& checkpoint);

// What a checkpoint has not got if ListBlocks() is empty.
std::string NoBlocks();

// Throws Error if there is none such, or it cannot be used.
Block FindBlock(const Checkpoint& checkpoint, const std::string& prefix);

}  // namespace io
}  // namespace v0_2
}  // namespace fusedffn

#endif  // FUSEDFFN_SRC_MODELS_CHECKPOINT_BLOCKS_H_

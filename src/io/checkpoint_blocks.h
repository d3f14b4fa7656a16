// Compiled once. The feed-forward blocks of a checkpoint, and the way of one into packed weights.
#ifndef FUSEDFFN_SRC_IO_CHECKPOINT_BLOCKS_H_
#define FUSEDFFN_SRC_IO_CHECKPOINT_BLOCKS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "fusedffn/fusedffn.h"
#include "src/io/checkpoint.h"

namespace fusedffn::io {

// PREFIX.fc1.weight [hidden, dim], PREFIX.fc2.weight [out, hidden], and the biases [hidden] and [out], each
// of which may be absent. An empty prefix stands for plain fc1.weight and so on. The dimensions are the
// tensors' own: a model's configuration may say something else.
struct Block {
  std::string prefix;
  Shape shape;
  // Of the checkpoint that the block was found in. By layer: fc1, fc2.
  StoredTensor weight[2];
  StoredTensor bias[2];  // each may be empty
};

// Bytes of its tensors in their files.
uint64_t FileBytes(const Block& block);

// Its tensors' dtypes, each once: "BF16", or "BF16+F32".
std::string DTypes(const Block& block);

struct BlockListing {
  Block block;
  std::string problem;  // "" if the block can be used; else only its prefix is meant
};

// Every prefix that has an fc1.weight or fc2.weight, layers.2 before layers.10.
std::vector<BlockListing> ListBlocks(const Checkpoint& checkpoint);

// Throws Error if there is none such, or it cannot be used.
Block FindBlock(const Checkpoint& checkpoint, const std::string& prefix);

// Reads a block's tensors a few rows at a time into packed weights, so that memory never holds them twice.
// Throws Error.
PackedFfn LoadBlock(const Checkpoint& checkpoint, const Block& block, Activation activation,
                    const PackOptions& options);

}  // namespace fusedffn::io

#endif  // FUSEDFFN_SRC_IO_CHECKPOINT_BLOCKS_H_

// Compiled once. The LayerNorm in front of a block, from its file.
#ifndef FUSEDFFN_SRC_IO_BLOCK_NORM_H_
#define FUSEDFFN_SRC_IO_BLOCK_NORM_H_

#include <string>
#include <vector>

#include "fusedffn/fusedffn.h"
#include "src/io/block.h"
#include "src/io/checkpoint.h"
#include "src/io/families.h"

namespace fusedffn::io {

// Its name within the layer, as the block's families have it. Throws Error, for `path`, if they differ, have
// none, or there are none.
std::string NormNameOf(const std::string& path, const Block& block,
                       const std::vector<const Family*>& families);

// Its tensors, as they are stored.
struct BlockNorm {
  std::vector<char> weight, bias;  // [dim]; without a bias, empty
  DType dtype = DType::kF32;

  Norm WithEps(double eps) const {
    return {NormKind::kLayerNorm, weight.data(), bias.empty() ? nullptr : bias.data(), dtype, eps};
  }
};

// Of the block's layer: `name` behind the prefix up to its last number. Throws Error.
BlockNorm LoadNorm(const Checkpoint& checkpoint, const Block& block, const std::string& name);

}  // namespace fusedffn::io

#endif  // FUSEDFFN_SRC_IO_BLOCK_NORM_H_

// Compiled once. Tensors of a block, or of the layer around it, that are not computed with: with one of them
// the model is likely to compute something else.
#ifndef FUSEDFFN_SRC_MODELS_UNUSED_TENSORS_H_
#define FUSEDFFN_SRC_MODELS_UNUSED_TENSORS_H_

#include <string>
#include <vector>

#include "src/models/block.h"
#include "src/models/checkpoint.h"

namespace fusedffn {
inline namespace v0_2 {
namespace io {

// What is wrong if a tensor below the block's prefix is neither the block's, nor harmless, nor one that the
// checkpoint's reader was told to ignore; or "". Where the block's layers stand in a model's layer, beside
// the attention, that and the layer's norms are not the block's. One search and a few steps, however many
// tensors there are, but for a block without a prefix.
std::string CheckUnused(const Checkpoint& checkpoint, const Block& block);

// The same for a single layer of this name.
std::string CheckUnused(const Checkpoint& checkpoint, const std::string& name, const BlockLayer& layer);

// The same for the layer that is `layer`, as x + block(norm(x)): beside the block, `norms` in it and what
// comes before them are accounted for.
std::string CheckUnusedInLayer(const Checkpoint& checkpoint, const std::string& layer, const Block& block,
                               const std::vector<std::string>& norms);

}  // namespace io
}  // namespace v0_2
}  // namespace fusedffn

#endif  // FUSEDFFN_SRC_MODELS_UNUSED_TENSORS_H_

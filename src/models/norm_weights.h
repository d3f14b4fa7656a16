// Compiled once. The norm in front of a block, from its file.
#ifndef FUSEDFFN_SRC_MODELS_NORM_WEIGHTS_H_
#define FUSEDFFN_SRC_MODELS_NORM_WEIGHTS_H_

#include <string>

#include "fusedffn/io.h"
#include "src/models/block.h"
#include "src/models/block_config.h"
#include "src/models/checkpoint.h"
#include "src/models/known_models.h"

namespace fusedffn {
inline namespace v0_2 {
namespace io {

// As the block's families have it, of which this is `known`. Throws Error, for `path`, if they differ, have
// none, or there are none; and for a gated block, whose names many models have, if none tells which it is.
const FamilyNorm& NormOf(const std::string& path, const Block& block, const BlockActivation& known);

// Throws Error if this block's layer is not x + block(norm(x)): if there is one more norm behind the block,
// or config.json or another tensor in the layer makes it something else.
void RequirePlainResidual(const Checkpoint& checkpoint, const Block& block, const BlockActivation& known,
                          const FamilyNorm& norm);

// That of the block's layer: its name behind the prefix up to its last number. Throws Error.
LoadedNorm LoadNorm(const Checkpoint& checkpoint, const Block& block, const FamilyNorm& norm, double eps);

}  // namespace io
}  // namespace v0_2
}  // namespace fusedffn

#endif  // FUSEDFFN_SRC_MODELS_NORM_WEIGHTS_H_

// What stands around the blocks in a transformer, x + block(norm(x)), as far as it is asked for.
#ifndef FUSEDFFN_TOOLS_FUSEDFFN_NORM_RESIDUAL_OPTIONS_H_
#define FUSEDFFN_TOOLS_FUSEDFFN_NORM_RESIDUAL_OPTIONS_H_

#include <CLI/App.hpp>
#include <optional>
#include <string>
#include <vector>

#include "fusedffn/fusedffn.h"
#include "src/models/block_config.h"
#include "src/models/checkpoint.h"
#include "src/models/norm_weights.h"

namespace fusedffn::program {

struct Surroundings {
  bool norm = false, residual = false;
  std::optional<double> eps;  // none: the checkpoint says it
};

void AddSurroundings(CLI::App* command, Surroundings* surroundings);

struct Norms {
  io::FamilyNorm of;  // what they have in common
  double eps = 0;
  std::vector<LoadedNorm> blocks;  // empty: no norms
};

// Those in front of `blocks`, if they are asked for, which are of one model, of which this is `known`. Throws
// io::Error if it is not known which they are, they cannot be read, or the model's residual is not the one
// that is asked for, and UsageError if eps is neither given nor known.
Norms LoadNorms(const Surroundings& surroundings, const io::BlockActivation& known,
                const io::Checkpoint& weights, const std::vector<io::Block>& blocks);

}  // namespace fusedffn::program

#endif  // FUSEDFFN_TOOLS_FUSEDFFN_NORM_RESIDUAL_OPTIONS_H_

// Compiled once. Which activation a block has, and which eps the norm in front of it, as far as its
// names and config.json determine it.
#ifndef FUSEDFFN_SRC_MODELS_BLOCK_CONFIG_H_
#define FUSEDFFN_SRC_MODELS_BLOCK_CONFIG_H_

#include <optional>
#include <string>
#include <vector>

#include "fusedffn/fusedffn.h"
#include "src/models/block.h"
#include "src/models/model_config.h"

namespace fusedffn {
inline namespace v0_2 {
namespace io {

struct BlockActivation {
  std::optional<Activation> activation;
  // "its names say so", "config.json says so"; or, if it is not known, why: what it could be, and what is
  // missing.
  std::string reason;
  std::vector<const Family*> families;  // the block's own, without those that the configuration rules out
  std::optional<double> norm_eps;
  bool model_is_told = false;  // by names that suffice, or by config.json: then there is one family
};

// Never guesses: models with the same names have different activations.
BlockActivation ActivationOf(const Block& block, const ModelConfig& config);

}  // namespace io
}  // namespace v0_2
}  // namespace fusedffn

#endif  // FUSEDFFN_SRC_MODELS_BLOCK_CONFIG_H_

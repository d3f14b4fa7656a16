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
  bool model_is_told = false;         // by names that suffice, or by config.json: then there is one family
  std::string other_model = {};       // what config.json says it is, if that is none of the families; or ""
  std::string residual_problem = {};  // why x + block(norm(x)) is not the model's, by config.json; or ""
};

// Never guesses: models with the same names have different activations. What config.json says of the block is
// more than what its names say.
BlockActivation ActivationOf(const Block& block, const ModelConfig& config);

// What config.json says that makes the block another function than is computed here, such as a limit of its
// hidden values; or "".
std::string CheckConfig(const Block& block, const ModelConfig& config);

}  // namespace io
}  // namespace v0_2
}  // namespace fusedffn

#endif  // FUSEDFFN_SRC_MODELS_BLOCK_CONFIG_H_

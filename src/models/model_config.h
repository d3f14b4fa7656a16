// Compiled once. What the config.json beside a checkpoint says of activations and norms.
#ifndef FUSEDFFN_SRC_MODELS_MODEL_CONFIG_H_
#define FUSEDFFN_SRC_MODELS_MODEL_CONFIG_H_

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "src/models/known_models.h"

namespace fusedffn {
inline namespace v0_2 {
namespace io {

struct ModelConfig {
  // That of a known ConfigTerm, if it is not neutral.
  struct Term {
    const ConfigTerm* known;
    std::string name, value;       // "text_config.swiglu_limit", "10.0"
    std::vector<bool> is_neutral;  // of each element of a list; else of the value
  };

  struct Section {
    std::string model_type;  // "" if it gives none
    std::string key;         // "hidden_act", ...; "" if it gives no activation
    std::string activation;  // as it calls it
    // NaN if it gives one that is no number.
    std::optional<double> layer_norm_eps, rms_norm_eps;
    std::vector<Term> terms;  // also those of the objects in it, but for the whole
  };

  // Its objects by name, those in them as "vision_config.sam_config", and itself as "". What "NAME_dict"
  // holds is that of NAME: in such files it wins.
  std::map<std::string, Section> sections;
  std::string problem;  // why there are no sections: "there is no config.json beside it", ...
};

// Does not throw: a configuration that cannot be read may not be needed.
ModelConfig ReadModelConfig(const std::string& path);

}  // namespace io
}  // namespace v0_2
}  // namespace fusedffn

#endif  // FUSEDFFN_SRC_MODELS_MODEL_CONFIG_H_

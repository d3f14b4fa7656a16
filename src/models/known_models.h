// Compiled once. The models whose blocks are known by their names: src/models/known_models.json, which
// explains itself.
#ifndef FUSEDFFN_SRC_MODELS_KNOWN_MODELS_H_
#define FUSEDFFN_SRC_MODELS_KNOWN_MODELS_H_

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "fusedffn/fusedffn.h"

namespace fusedffn {
inline namespace v0_2 {
namespace io {

// What the layers of a block are called, without .weight and .bias.
struct Layout {
  std::string gate;  // "": the block is not gated
  std::string up, down;
  bool transposed = false;  // weights are [in, out]

  bool gated() const { return !gate.empty(); }
};

// The norm in front of a block.
struct FamilyNorm {
  std::string name;  // in its layer; "": there is none such
  NormKind kind = NormKind::kLayerNorm;
  double weight_offset = 0;
  std::string behind;  // of one more norm, between the block and the residual; "": there is none
  std::optional<double> eps;
  bool eps_in_config = false;  // config.json may say another one
  bool told = false;           // config.json must say that it is this model
};

// Whether they are one norm, but for eps.
bool IsSameNorm(const FamilyNorm& a, const FamilyNorm& b);

struct Family {
  std::string name;
  std::vector<std::string> prefixes;
  const Layout* layout = nullptr;
  Activation activation = Activation::kIdentity;
  bool names_suffice = false;
  FamilyNorm norm;
  std::vector<std::string> sections, model_types, parents, other_models;
  std::map<std::string, Activation> legacy;  // by their names in config.json
  std::string source;
};

// What a config.json may say that changes a block, or its residual.
struct ConfigTerm {
  std::string key;  // a part of it
  double neutral = 0;
  bool per_layer = false, of_residual = false;
};

struct FamilyTable {
  std::map<std::string, Layout> layouts;
  std::map<std::string, Activation> activations;  // by their names in config.json
  // See known_models.json.
  std::vector<std::string> harmless_tensors, beside_blocks, before_blocks, wrappers, wrappers_in_front;
  std::vector<ConfigTerm> config_terms;
  std::vector<Family> families;
};

// The text of known_models.json, and what it says.
const char* KnownModelsText();
const FamilyTable& Families();

// A prefix without what wrappers of modules have put into it: "model.layers.0" for
// "module._orig_mod.model.layers.0".
std::string Unwrapped(std::string_view prefix);

// Those that have a block of this layout at `prefix`, wrapped or not.
std::vector<const Family*> FamiliesAt(std::string_view prefix, const Layout& layout);

// "A", "A or B", "A, B or C".
std::string NamesOf(const std::vector<const Family*>& families);

// Whether `pattern`, as in the table, stands for `prefix`.
bool MatchesPattern(std::string_view prefix, std::string_view pattern);

}  // namespace io
}  // namespace v0_2
}  // namespace fusedffn

#endif  // FUSEDFFN_SRC_MODELS_KNOWN_MODELS_H_

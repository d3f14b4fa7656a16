#include "src/models/known_models.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <utility>

#include "src/files/text.h"
#include "src/names.h"

namespace fusedffn {
inline namespace v0_2 {
namespace io {
namespace {

using nlohmann::json;

Activation KnownActivation(const std::string& name) {
  if (const std::optional<Activation> activation = ActivationNamed(name)) return *activation;
  throw std::logic_error("known_models.json: unknown activation " + name);
}

std::map<std::string, Activation> ParseActivations(const json& rows) {
  std::map<std::string, Activation> activations;
  for (const auto& [name, ours] : rows.items()) activations.emplace(name, KnownActivation(ours));
  return activations;
}

Layout ParseLayout(const json& row) {
  return {row.value("gate", ""), row.at("up"), row.at("down"), row.value("transposed", false)};
}

NormKind NormKindNamed(const std::string& name) {
  if (name == "layer_norm") return NormKind::kLayerNorm;
  if (name == "rms_norm") return NormKind::kRmsNorm;
  throw std::logic_error("known_models.json: unknown norm " + name);
}

FamilyNorm ParseNorm(const json& row) {
  FamilyNorm norm;
  norm.name = row.at("name");
  norm.kind = NormKindNamed(row.value("kind", "layer_norm"));
  norm.weight_offset = row.value("weight_offset", 0.0);
  norm.behind = row.value("behind", "");
  if (row.contains("eps")) norm.eps = row.at("eps");
  norm.eps_in_config = row.value("eps_in_config", false);
  norm.told = row.value("told", false);
  return norm;
}

Family ParseFamily(const json& row, const FamilyTable& table) {
  const auto texts = [&](const char* key) { return row.value(key, std::vector<std::string>()); };
  Family family;
  family.name = row.at("name");
  family.prefixes = texts("prefixes");
  family.layout = &table.layouts.at(row.at("layout"));
  family.activation = KnownActivation(row.at("activation"));
  family.names_suffice = row.value("names_suffice", false);
  if (row.contains("norm")) family.norm = ParseNorm(row.at("norm"));
  family.sections = texts("sections");
  family.model_types = texts("model_types");
  family.parents = texts("parents");
  family.other_models = texts("other_models");
  family.legacy = ParseActivations(row.value("legacy", json::object()));
  family.source = row.at("source");
  return family;
}

FamilyTable Parse() {
  const json text = json::parse(KnownModelsText());
  FamilyTable table;
  for (const auto& [name, row] : text.at("layouts").items()) table.layouts.emplace(name, ParseLayout(row));
  table.activations = ParseActivations(text.at("activations"));
  for (const json& row : text.at("config_terms")) {
    table.config_terms.push_back(
        {row.at("key"), row.at("neutral"), row.value("per_layer", false), row.value("of_residual", false)});
  }
  table.harmless_tensors = text.at("harmless_tensors");
  table.beside_blocks = text.at("beside_blocks");
  table.wrappers = text.at("wrappers");
  table.wrappers_in_front = text.at("wrappers_in_front");
  table.before_blocks = text.at("before_blocks");
  for (const json& row : text.at("families")) table.families.push_back(ParseFamily(row, table));
  return table;
}

// Takes the first of the parts between dots.
std::string_view TakePart(std::string_view* text) {
  const size_t dot = text->find('.');
  const std::string_view part = text->substr(0, dot);
  text->remove_prefix(dot == std::string_view::npos ? text->size() : dot + 1);
  return part;
}

}  // namespace

bool IsSameNorm(const FamilyNorm& a, const FamilyNorm& b) {
  return a.name == b.name && a.kind == b.kind && a.weight_offset == b.weight_offset && a.behind == b.behind;
}

const FamilyTable& Families() {
  static const FamilyTable table = Parse();
  return table;
}

std::string Unwrapped(std::string_view prefix) {
  const std::vector<std::string>&anywhere = Families().wrappers, &in_front = Families().wrappers_in_front;
  std::string plain;
  while (!prefix.empty()) {
    const auto wrapper = std::find_if(in_front.begin(), in_front.end(), [&](const std::string& name) {
      return prefix.size() > name.size() && IsAtOrBelow(prefix, name);
    });
    if (plain.empty() && wrapper != in_front.end()) {
      prefix.remove_prefix(wrapper->size() + 1);
      continue;
    }
    const std::string_view part = TakePart(&prefix);
    if (std::find(anywhere.begin(), anywhere.end(), part) != anywhere.end()) continue;
    plain += plain.empty() ? "" : ".";
    plain += part;
  }
  return plain;
}

std::vector<const Family*> FamiliesAt(std::string_view wrapped, const Layout& layout) {
  std::vector<const Family*> families;
  const std::string prefix = Unwrapped(wrapped);
  for (const Family& family : Families().families) {
    const auto matches = [&](const std::string& pattern) { return MatchesPattern(prefix, pattern); };
    if (family.layout != &layout) continue;
    if (std::any_of(family.prefixes.begin(), family.prefixes.end(), matches)) families.push_back(&family);
  }
  return families;
}

std::string NamesOf(const std::vector<const Family*>& families) {
  std::vector<std::string> names;
  for (const Family* family : families) names.push_back(family->name);
  return AnyOf(names);
}

bool MatchesPattern(std::string_view prefix, std::string_view pattern) {
  if (pattern.substr(0, 2) == "*.") {
    pattern.remove_prefix(2);
    while (!prefix.empty()) {
      if (MatchesPattern(prefix, pattern)) return true;
      TakePart(&prefix);
    }
    return false;
  }
  while (!prefix.empty() && !pattern.empty()) {
    const std::string_view part = TakePart(&prefix), wanted = TakePart(&pattern);
    if (wanted == "N" || wanted == "E" ? !NumberOf(part) : part != wanted) return false;
  }
  return prefix.empty() && pattern.empty();
}

}  // namespace io
}  // namespace v0_2
}  // namespace fusedffn

#include "src/models/model_config.h"

#include <algorithm>
#include <initializer_list>
#include <limits>
#include <utility>

#include "src/files/error.h"
#include "src/files/json_file.h"
#include "src/files/system_call.h"

namespace fusedffn {
inline namespace v0_2 {
namespace io {
namespace {

using nlohmann::json;

// The first of `keys` that is there: NaN if it is no number.
std::optional<double> NumberAt(const json& object, std::initializer_list<const char*> keys) {
  for (const char* key : keys) {
    const auto value = object.find(key);
    if (value == object.end() || value->is_null()) continue;
    return value->is_number() ? value->get<double>() : std::numeric_limits<double>::quiet_NaN();
  }
  return std::nullopt;
}

bool IsNeutral(const ConfigTerm& known, const json& value) {
  if (value.is_number()) return value.get<double>() == known.neutral;
  return value.is_null() || value == false || value == json::array();  // [] stands for Infinity
}

void AddTerms(const json& object, const std::string& name, bool with_objects,
              std::vector<ModelConfig::Term>* terms) {
  for (const auto& [key, value] : object.items()) {
    const std::string full = name.empty() ? key : name + "." + key;
    if (value.is_object()) {
      if (with_objects) AddTerms(value, full, true, terms);
      continue;
    }
    for (const ConfigTerm& known : Families().config_terms) {
      if (key.find(known.key) == std::string::npos) continue;
      ModelConfig::Term term = {&known, full, value.dump(), {}};
      for (const json& element : value.is_array() ? value : json::array({value})) {
        term.is_neutral.push_back(IsNeutral(known, element));
      }
      const auto& each = term.is_neutral;
      if (std::find(each.begin(), each.end(), false) != each.end()) terms->push_back(std::move(term));
    }
  }
}

ModelConfig::Section ReadSection(const json& object, const std::string& name) {
  ModelConfig::Section section;
  const auto type = object.find("model_type");
  if (type != object.end() && type->is_string()) section.model_type = *type;
  // Gemma has the first two, and means the first.
  for (const char* key : {"hidden_activation", "hidden_act", "activation_function"}) {
    const auto value = object.find(key);
    if (value == object.end() || value->is_null()) continue;
    section.key = key;
    section.activation = value->is_string() ? value->get<std::string>() : value->dump();
    break;
  }
  section.layer_norm_eps = NumberAt(object, {"layer_norm_eps", "layer_norm_epsilon"});
  section.rms_norm_eps = NumberAt(object, {"rms_norm_eps"});
  AddTerms(object, name, !name.empty(), &section.terms);
  return section;
}

void AddSections(const json& object, const std::string& of,
                 std::map<std::string, ModelConfig::Section>* sections) {
  for (const auto& [key, value] : object.items()) {
    if (!value.is_object()) continue;
    const std::string name = of.empty() ? key : of + "." + key;
    sections->emplace(name, ReadSection(value, name));
    if (of.empty()) AddSections(value, name, sections);
  }
}

// "vision_config_dict", where there is one, as vision_config, but for its model_type.
void ReplaceByDict(const json& whole, const std::string& name,
                   std::map<std::string, ModelConfig::Section>* sections) {
  const auto dict = whole.find(name + "_dict");
  if (dict == whole.end() || !dict->is_object()) return;
  ModelConfig::Section& section = (*sections)[name];
  std::string type = std::move(section.model_type);
  section = ReadSection(*dict, name + "_dict");
  if (section.model_type.empty()) section.model_type = std::move(type);
}

}  // namespace

ModelConfig ReadModelConfig(const std::string& path) {
  ModelConfig config;
  try {
    if (!Exists(path)) {
      config.problem = "there is no config.json beside it";
      return config;
    }
    const json whole = ReadJsonObject(path);
    config.sections.emplace("", ReadSection(whole, ""));
    AddSections(whole, "", &config.sections);
    for (const char* name : {"vision_config", "text_config"}) ReplaceByDict(whole, name, &config.sections);
  } catch (const Error& unreadable) {
    config.problem = unreadable.what();
  }
  return config;
}

}  // namespace io
}  // namespace v0_2
}  // namespace fusedffn

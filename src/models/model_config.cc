#include "src/models/model_config.h"

#include <initializer_list>
#include <limits>

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

ModelConfig::Section ReadSection(const json& object) {
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
  return section;
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
    config.sections.emplace("", ReadSection(whole));
    for (const auto& [name, value] : whole.items()) {
      if (value.is_object()) config.sections.emplace(name, ReadSection(value));
    }
  } catch (const Error& unreadable) {
    config.problem = unreadable.what();
  }
  return config;
}

}  // namespace io
}  // namespace v0_2
}  // namespace fusedffn

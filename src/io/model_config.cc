#include "src/io/model_config.h"

#include <filesystem>

#include "src/io/error.h"
#include "src/io/json_file.h"

namespace fusedffn::io {
namespace {

using nlohmann::json;

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
  for (const char* key : {"layer_norm_eps", "layer_norm_epsilon"}) {
    const auto value = object.find(key);
    if (value != object.end() && value->is_number()) section.layer_norm_eps = value->get<double>();
  }
  return section;
}

}  // namespace

ModelConfig ReadModelConfig(const std::string& path) {
  ModelConfig config;
  std::error_code error;
  if (!std::filesystem::exists(path, error)) {
    config.problem = "there is no config.json beside it";
    return config;
  }
  try {
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

}  // namespace fusedffn::io

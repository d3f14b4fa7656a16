#include "src/files/json_file.h"

#include <fmt/format.h>

#include <cstdint>
#include <set>
#include <vector>

#include "src/files/error.h"
#include "src/files/input_file.h"

namespace fusedffn {
inline namespace v0_2 {
namespace io {
namespace {

using nlohmann::json;

std::string ReadText(const std::string& path) {
  constexpr uint64_t kMostBytes = uint64_t{64} << 20;
  const InputFile file(path);
  if (file.size() > kMostBytes) {
    throw Error(path, fmt::format("{} bytes of JSON; {} are the most", file.size(), kMostBytes));
  }
  std::string text(file.size(), '\0');
  file.ReadAt(0, text.size(), text.data());
  return text;
}

}  // namespace

json ReadJsonObject(const std::string& path) {
  constexpr int kDeepest = 64;
  std::vector<std::set<std::string>> keys;  // so far, of the objects around the current place
  const auto check = [&](int depth, json::parse_event_t event, json& parsed) {
    if (depth > kDeepest) throw Error(path, fmt::format("nested deeper than {}, the most", kDeepest));
    if (event == json::parse_event_t::object_start) keys.emplace_back();
    if (event == json::parse_event_t::object_end) keys.pop_back();
    if (event == json::parse_event_t::key && !keys.back().insert(parsed.get<std::string>()).second) {
      throw Error(path, fmt::format("has the key {} twice", Quoted(parsed.get<std::string>())));
    }
    return true;
  };
  json object;
  try {
    object = json::parse(ReadText(path), check);
  } catch (const json::parse_error& error) {
    throw Error(path, fmt::format("not valid JSON at its byte {}", error.byte));
  } catch (const json::exception&) {
    throw Error(path, "not valid JSON: a number is too large");
  }
  if (!object.is_object()) throw Error(path, "must hold a JSON object");
  return object;
}

}  // namespace io
}  // namespace v0_2
}  // namespace fusedffn

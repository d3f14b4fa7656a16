#include "src/models/checkpoint.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <utility>

#include "src/files/json_file.h"
#include "src/files/system_call.h"
#include "src/files/text.h"

namespace fusedffn {
inline namespace v0_2 {
namespace io {
namespace {

namespace fs = std::filesystem;

constexpr const char* kIndexName = "model.safetensors.index.json";
constexpr const char* kFileName = "model.safetensors";

// The file or index that a folder stands for; another path stands for itself.
std::string Resolved(const std::string& path) {
  const std::optional<struct stat> status = StatusOf(path);
  if (!status || !S_ISDIR(status->st_mode)) return path;
  const std::string index = (fs::path(path) / kIndexName).string(),
                    file = (fs::path(path) / kFileName).string();
  const bool has_index = Exists(index), has_file = Exists(file);
  if (has_index && has_file) {
    throw Error(path,
                fmt::format("a folder with both {} and {}; name one of the two", kIndexName, kFileName));
  }
  if (!has_index && !has_file) {
    throw Error(path, fmt::format("a folder with neither {} nor {}; it must hold one of them, or name a file",
                                  kIndexName, kFileName));
  }
  return has_index ? index : file;
}

// An index must not reach out of its folder.
void CheckShardName(const std::string& index, const std::string& name) {
  if (name.find_first_of(std::string_view("/\\\0", 3)) != std::string::npos ||
      !EndsIn(name, ".safetensors")) {
    throw Error(index,
                fmt::format("weight_map names the file {}; it must end in .safetensors and be beside the "
                            "index, so without any / or \\",
                            Quoted(name)));
  }
}

}  // namespace

std::optional<DType> UsableDType(const Tensor& tensor) {
  if (tensor.dtype == "F32") return DType::kF32;
  if (tensor.dtype == "BF16") return DType::kBF16;
  if (tensor.dtype == "F16") return DType::kF16;
  return std::nullopt;
}

Checkpoint::Checkpoint(const std::string& path, std::vector<std::string> ignored)
    : path_(Resolved(path)), ignored_(std::move(ignored)) {
  if (EndsIn(path_, ".json")) {
    ReadIndex();
    return;
  }
  shards_.push_back({path_, std::make_unique<SafetensorsFile>(path_), {}});
  const std::vector<Tensor>& tensors = shards_[0].file->tensors();
  entries_.reserve(tensors.size());
  for (const Tensor& tensor : tensors) entries_.push_back({tensor.name, 0, &tensor});
}

void Checkpoint::ReadIndex() {
  std::map<std::string, size_t> number_of;
  const auto add = [&](std::string_view name, const std::string* shard) {
    if (shard == nullptr) {
      throw Error(path_, fmt::format("weight_map: {} must be a file's name", Quoted(name)));
    }
    const auto [number, is_new] = number_of.try_emplace(*shard, shards_.size());
    if (is_new) {
      CheckShardName(path_, *shard);
      shards_.push_back({Beside(*shard), nullptr, {}});
    }
    entries_.push_back({name, number->second, nullptr});
  };
  if (!ReadJsonMembers(path_, "weight_map", &memory_, add)) {
    throw Error(path_,
                "not an index: it must have an object weight_map, {\"TENSOR\": \"FILE.safetensors\", ...}");
  }
  std::sort(entries_.begin(), entries_.end(), [](const Entry& a, const Entry& b) { return a.name < b.name; });
}

std::string Checkpoint::Beside(const std::string& name) const {
  return (fs::path(path_).parent_path() / name).string();
}

std::vector<std::string> Checkpoint::Files() const {
  std::vector<std::string> files = {path_};
  for (const Shard& shard : shards_) {
    if (shard.path != path_) files.push_back(shard.path);
  }
  return files;
}

std::vector<std::string_view> Checkpoint::Names() const {
  std::vector<std::string_view> names;
  names.reserve(entries_.size());
  for (const Entry& entry : entries_) names.push_back(entry.name);
  return names;
}

bool Checkpoint::IsIgnored(std::string_view name) const {
  return std::any_of(ignored_.begin(), ignored_.end(),
                     [&](const std::string& module) { return IsAtOrBelow(name, module); });
}

std::string_view Checkpoint::FirstBelow(std::string_view prefix, const Account& account) const {
  const std::string start = prefix.empty() ? "" : fmt::format("{}.", prefix);
  for (size_t i = LowerBound(start); i < entries_.size();) {
    const std::string_view name = entries_[i].name;
    if (name.substr(0, start.size()) != start) break;
    const std::string_view below = name.substr(start.size());
    const size_t length = IsIgnored(name) || IsIgnored(below) ? below.size() : account(name, below);
    if (length == 0) return name;
    // '/' is behind '.': behind all names in a module.
    i = length == below.size() ? i + 1 : LowerBound(fmt::format("{}{}/", start, below.substr(0, length)));
  }
  return "";
}

size_t Checkpoint::LowerBound(std::string_view name) const {
  const auto found =
      std::lower_bound(entries_.begin(), entries_.end(), name,
                       [](const Entry& entry, std::string_view wanted) { return entry.name < wanted; });
  return static_cast<size_t>(found - entries_.begin());
}

Checkpoint::Entry* Checkpoint::EntryOf(std::string_view name) const {
  const size_t found = LowerBound(name);
  return found < entries_.size() && entries_[found].name == name ? &entries_[found] : nullptr;
}

StoredTensor Checkpoint::Find(std::string_view name) const {
  Entry* const found = EntryOf(name);
  if (found == nullptr) return {};
  Shard& shard = shards_[found->shard];
  if (shard.file == nullptr) {
    if (!Exists(shard.path)) {
      throw Error(path_, fmt::format("{} should be in {}, and there is no such file beside the index",
                                     Quoted(name), Quoted(fs::path(shard.path).filename().string())));
    }
    if (shard.damage) throw Error(*shard.damage);
    try {
      shard.file = std::make_unique<SafetensorsFile>(shard.path);
    } catch (const Error& error) {
      if (!error.is_systems()) shard.damage = error;
      throw;
    }
  }
  if (found->tensor == nullptr) found->tensor = shard.file->Find(name);
  if (found->tensor == nullptr) {
    throw Error(shard.path, fmt::format("has no tensor {}, but {} says so", Quoted(name), OneLine(path_)));
  }
  return {shard.file.get(), found->tensor};
}

}  // namespace io
}  // namespace v0_2
}  // namespace fusedffn

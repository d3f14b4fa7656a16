#include "tools/fusedffn/arguments.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <optional>

#include "kernels/gemm.h"
#include "src/files/array_file.h"
#include "src/files/error.h"
#include "src/files/text.h"
#include "src/names.h"

namespace fusedffn::program {
namespace {

std::optional<io::LayerRange> ParseLayers(const std::string& text) {
  if (const std::optional<uint64_t> count = io::NumberOf(text)) {
    return *count >= 1 ? std::optional(io::LayerRange{count, {}, {}}) : std::nullopt;
  }
  const size_t dots = std::min(text.find(".."), text.size());
  const std::optional<uint64_t> first = io::NumberOf(text.substr(0, dots));
  const std::optional<uint64_t> last = io::NumberOf(text.substr(std::min(dots + 2, text.size())));
  return first && last && *first <= *last ? std::optional(io::LayerRange{{}, first, last}) : std::nullopt;
}

}  // namespace

Check WholeNumber(uint64_t most) {
  return [most](const std::string& text) -> std::string {
    const uint64_t value = io::NumberOf(text).value_or(0);
    if (value >= 1 && value <= most) return "";
    return fmt::format("must be a whole number from 1 to {}, not {}", most, io::Quoted(text));
  };
}

std::string CheckLayers(const std::string& text) {
  if (ParseLayers(text)) return "";
  return fmt::format("must be N, the first N layers, or A..B, with A not above B, and not {}",
                     io::Quoted(text));
}

io::LayerRange LayerRangeOf(const std::string& text) { return ParseLayers(text).value(); }

Check OneOf(const std::vector<std::string>& names) {
  return [names](const std::string& text) -> std::string {
    if (std::find(names.begin(), names.end(), text) != names.end()) return "";
    return fmt::format("must be {}, not {}", io::AnyOf(names), io::Quoted(text));
  };
}

std::vector<std::string> ActivationNames() {
  std::vector<std::string> names;
  for (const Activation activation : AllActivations()) names.push_back(ActivationName(activation));
  return names;
}

std::vector<std::string> PrecisionNames() {
  std::vector<std::string> names;
  for (const Precision precision : AllPrecisions()) names.push_back(PrecisionName(precision));
  return names;
}

std::vector<std::string> Int8GroupNames() {
  return {std::to_string(kInt8GroupSize), std::to_string(kSmallInt8GroupSize)};
}

std::string CheckArrayName(const std::string& path) {
  if (io::IsArrayFileName(path)) return "";
  return fmt::format("must end in .npy or .safetensors, not {}", io::Quoted(path));
}

std::string CheckCheckpointName(const std::string& path) {
  if (std::filesystem::path(path).extension() == ".safetensors") return "";
  return fmt::format("must end in .safetensors, not {}", io::Quoted(path));
}

std::string CheckTarget(const std::string& name) {
  PackOptions options;
  options.target = name.c_str();
  PackedFfn smallest;
  return PackedFfn::Create({1, 1, 1}, Activation::kQuickGelu, options, &smallest).message();
}

std::string SupportedTargets() {
  std::string names;
  size_t count = 0;
  const Target* targets = Targets(&count);
  for (size_t i = 0; i < count; ++i) {
    if (!targets[i].supported) continue;
    if (!names.empty()) names += ' ';
    names += targets[i].name;
  }
  return names;
}

}  // namespace fusedffn::program

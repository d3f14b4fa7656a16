#include "tools/fusedffn/arguments.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <optional>
#include <string_view>

#include "kernels/gemm.h"
#include "src/files/array_file.h"
#include "src/files/error.h"

namespace fusedffn::program {
namespace {

// The number that is all of `text`, or nothing.
std::optional<uint64_t> NumberOf(std::string_view text) {
  uint64_t value = 0;
  const char* const end = text.data() + text.size();
  const auto [next, error] = std::from_chars(text.data(), end, value);
  return error == std::errc() && next == end ? std::optional(value) : std::nullopt;
}

std::optional<io::LayerRange> ParseLayers(const std::string& text) {
  if (const std::optional<uint64_t> count = NumberOf(text)) {
    return *count >= 1 ? std::optional(io::LayerRange{count, {}, {}}) : std::nullopt;
  }
  const size_t dots = std::min(text.find(".."), text.size());
  const std::optional<uint64_t> first = NumberOf(text.substr(0, dots));
  const std::optional<uint64_t> last = NumberOf(text.substr(std::min(dots + 2, text.size())));
  return first && last && *first <= *last ? std::optional(io::LayerRange{{}, first, last}) : std::nullopt;
}

// By number, up to the first that has none.
template <class Enum>
std::vector<std::string> NamesOf(const char* (*name)(Enum) noexcept) {
  std::vector<std::string> names;
  for (int i = 0; *name(static_cast<Enum>(i)) != '\0'; ++i) names.push_back(name(static_cast<Enum>(i)));
  return names;
}

size_t IndexOf(const std::vector<std::string>& names, const std::string& name) {
  return static_cast<size_t>(std::find(names.begin(), names.end(), name) - names.begin());
}

}  // namespace

Check WholeNumber(uint64_t most) {
  return [most](const std::string& text) -> std::string {
    const uint64_t value = NumberOf(text).value_or(0);
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
    return fmt::format("must be {} or {}, not {}", fmt::join(names.begin(), names.end() - 1, ", "),
                       names.back(), io::Quoted(text));
  };
}

std::vector<std::string> ActivationNames() { return NamesOf(ActivationName); }
std::vector<std::string> PrecisionNames() { return NamesOf(PrecisionName); }
std::vector<std::string> Int8GroupNames() {
  return {std::to_string(kInt8GroupSize), std::to_string(kSmallInt8GroupSize)};
}

Activation ActivationNamed(const std::string& name) {
  return static_cast<Activation>(IndexOf(ActivationNames(), name));
}

Precision PrecisionNamed(const std::string& name) {
  return static_cast<Precision>(IndexOf(PrecisionNames(), name));
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

#include "src/models/unused_tensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <optional>
#include <string_view>

#include "src/files/error.h"
#include "src/files/text.h"

namespace fusedffn {
inline namespace v0_2 {
namespace io {
namespace {

using Names = std::vector<std::string>;

bool IsAtOrBelowAny(std::string_view name, const Names& modules) {
  return std::any_of(modules.begin(), modules.end(),
                     [&](const std::string& module) { return IsAtOrBelow(name, module); });
}

bool IsHarmless(std::string_view name) {
  const Names& harmless = Families().harmless_tensors;
  while (!name.empty()) {
    if (IsAtOrBelowAny(name, harmless)) return true;
    name.remove_prefix(std::min(name.find('.'), name.size() - 1) + 1);
  }
  return false;
}

// Of a name in a model's layer.
bool IsAttention(std::string_view name) {
  std::string part(name.substr(0, name.find('.')));
  std::transform(part.begin(), part.end(), part.begin(), [](unsigned char c) { return std::tolower(c); });
  return part.find("attn") != std::string::npos || part.find("attention") != std::string::npos;
}

// Whether the block's layers stand in the model's layer itself, as "layers.0.fc1" does.
bool IsLayer(std::string_view prefix) {
  const size_t dot = prefix.rfind('.');
  const std::string_view last = dot == std::string_view::npos ? prefix : prefix.substr(dot + 1);
  const std::string_view before = dot == std::string_view::npos ? "" : prefix.substr(0, dot);
  if (NumberOf(last)) return before != "experts" && !EndsIn(before, ".experts");
  return prefix.empty() || last == "layer" || EndsIn(last, "_layer");
}

// Of the block's layers: "fc1.weight", "fc1.bias", ...
Names OwnTensors(const Block& block) {
  Names names;
  for (const BlockLayer* layer : {&block.gate, &block.up, &block.down}) {
    for (const StoredTensor& tensor : {layer->weight, layer->bias, layer->scale}) {
      if (tensor) names.emplace_back(tensor->name);
    }
  }
  return names;
}

// Whether a tensor at the root of all names is of another module than a block that stands there.
bool IsOthers(std::string_view name, const Layout& layout) {
  return std::count(name.begin(), name.end(), '.') > 1 && !IsAtOrBelowAny(name, {layout.up, layout.down}) &&
         !(layout.gated() && IsAtOrBelow(name, layout.gate));
}

}  // namespace

std::string CheckUnused(const Checkpoint& checkpoint, const Block& block) {
  const Names own = OwnTensors(block);
  const bool is_layer = IsLayer(block.prefix);
  const auto is_unused = [&](std::string_view name, std::string_view below) {
    if (std::find(own.begin(), own.end(), name) != own.end() || IsHarmless(below)) return false;
    if (is_layer && (IsAttention(below) || IsAtOrBelowAny(below, Families().beside_blocks))) return false;
    return !(block.prefix.empty() && IsOthers(name, *block.layout));
  };
  const std::string_view unused = checkpoint.FirstBelow(block.prefix, is_unused);
  if (unused.empty()) return "";
  return fmt::format(
      "{} is a tensor of the block {} that is not computed with, so y might not be the model's; accepted are "
      "the weights and biases of {}, and what --ignore-tensors or OpenOptions::ignore_tensors names",
      Quoted(unused), Quoted(block.prefix), LayerNames(*block.layout));
}

std::string CheckUnusedInLayer(const Checkpoint& checkpoint, const std::string& layer, const Block& block,
                               const Names& norms) {
  const Names own = OwnTensors(block);
  const auto is_unused = [&](std::string_view name, std::string_view below) {
    if (std::find(own.begin(), own.end(), name) != own.end() || IsHarmless(below)) return false;
    if (block.prefix != layer && IsAtOrBelow(name, block.prefix)) return false;  // see CheckUnused()
    return !IsAttention(below) && !IsAtOrBelowAny(below, Families().before_blocks) &&
           !IsAtOrBelowAny(below, norms);
  };
  const std::string_view unused = checkpoint.FirstBelow(layer, is_unused);
  if (unused.empty()) return "";
  return fmt::format(
      "its layer has {} as well, so x + block(norm(x)) might not be the model's; accepted are the block, the "
      "norm in front "
      "of it, an attention, and what --ignore-tensors or OpenOptions::ignore_tensors names",
      Quoted(unused));
}

}  // namespace io
}  // namespace v0_2
}  // namespace fusedffn

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

// The length of the module that `name` is, or is in; 0 if it is none of them.
size_t LengthOf(std::string_view name, const Names& modules) {
  for (const std::string& module : modules) {
    if (IsAtOrBelow(name, module)) return module.size();
  }
  return 0;
}

// The length of the name up to a part that is harmless, or 0.
size_t LengthOfHarmless(std::string_view name) {
  for (size_t begin = 0;;) {
    const size_t length = LengthOf(name.substr(begin), Families().harmless_tensors);
    if (length != 0) return begin + length;
    const size_t dot = name.find('.', begin);
    if (dot == std::string_view::npos) return 0;
    begin = dot + 1;
  }
}

// The length of an attention's name in a model's layer, or 0.
size_t LengthOfAttention(std::string_view name) {
  std::string part(name.substr(0, name.find('.')));
  std::transform(part.begin(), part.end(), part.begin(), [](unsigned char c) { return std::tolower(c); });
  const bool is = part.find("attn") != std::string::npos || part.find("attention") != std::string::npos;
  return is ? part.size() : 0;
}

// Whether the block's layers stand in the model's layer itself, as "layers.0.fc1" does.
bool IsLayer(std::string_view prefix) {
  const size_t dot = prefix.rfind('.');
  const std::string_view last = dot == std::string_view::npos ? prefix : prefix.substr(dot + 1);
  const std::string_view before = dot == std::string_view::npos ? "" : prefix.substr(0, dot);
  if (NumberOf(last)) return before != "experts" && !EndsIn(before, ".experts");
  return prefix.empty() || last == "layer" || EndsIn(last, "_layer");
}

// The names of what layers are made of.
Names TensorsOf(const std::vector<const BlockLayer*>& layers) {
  Names names;
  for (const BlockLayer* layer : layers) {
    for (const StoredTensor& tensor : {layer->weight, layer->bias, layer->scale}) {
      if (tensor) names.emplace_back(tensor->name);
    }
  }
  return names;
}

// Whether a tensor at the root of all names is of another module than a block that stands there.
bool IsOthers(std::string_view name, const Layout& layout) {
  return std::count(name.begin(), name.end(), '.') > 1 && LengthOf(name, {layout.up, layout.down}) == 0 &&
         !(layout.gated() && IsAtOrBelow(name, layout.gate));
}

}  // namespace

std::string CheckUnused(const Checkpoint& checkpoint, const Block& block) {
  const Names own = TensorsOf({&block.gate, &block.up, &block.down});
  const bool is_layer = IsLayer(block.prefix);
  const auto account = [&](std::string_view name, std::string_view below) -> size_t {
    const bool is_own = std::find(own.begin(), own.end(), name) != own.end();
    if (is_own || (block.prefix.empty() && IsOthers(name, *block.layout))) return below.size();
    size_t length = is_layer ? LengthOfAttention(below) : 0;
    if (length == 0 && is_layer) length = LengthOf(below, Families().beside_blocks);
    return length != 0 ? length : LengthOfHarmless(below);
  };
  const std::string_view unused = checkpoint.FirstBelow(block.prefix, account);
  if (unused.empty()) return "";
  return fmt::format(
      "{} is a tensor of the block {} that is not computed with, so y might not be the model's; accepted are "
      "the weights and biases of {}, and what --ignore-tensors or OpenOptions::ignore_tensors names",
      Quoted(unused), Quoted(block.prefix), LayerNames(*block.layout));
}

std::string CheckUnused(const Checkpoint& checkpoint, const std::string& name, const BlockLayer& layer) {
  const Names own = TensorsOf({&layer});
  const std::string_view unused =
      checkpoint.FirstBelow(name, [&](std::string_view tensor, std::string_view below) -> size_t {
        const bool is_own = std::find(own.begin(), own.end(), tensor) != own.end();
        return is_own ? below.size() : LengthOfHarmless(below);
      });
  if (unused.empty()) return "";
  return fmt::format(
      "{} is a tensor of the layer {} that is not computed with, so y might not be the model's; accepted are "
      "its weight and bias, and what OpenOptions::ignore_tensors names",
      Quoted(unused), Quoted(name));
}

std::string CheckUnusedInLayer(const Checkpoint& checkpoint, const std::string& layer, const Block& block,
                               const Names& norms) {
  const Names own = TensorsOf({&block.gate, &block.up, &block.down});
  Names accounted = Families().before_blocks;
  accounted.insert(accounted.end(), norms.begin(), norms.end());
  // See CheckUnused() for what is in it.
  if (block.prefix != layer) accounted.push_back(block.prefix.substr(layer.empty() ? 0 : layer.size() + 1));
  const auto account = [&](std::string_view name, std::string_view below) -> size_t {
    if (std::find(own.begin(), own.end(), name) != own.end()) return below.size();
    size_t length = LengthOfAttention(below);
    if (length == 0) length = LengthOf(below, accounted);
    return length != 0 ? length : LengthOfHarmless(below);
  };
  const std::string_view unused = checkpoint.FirstBelow(layer, account);
  if (unused.empty()) return "";
  return fmt::format(
      "its layer has {} as well, so x + block(norm(x)) might not be the model's; accepted are the block, the "
      "norm in front of it, an attention, and what --ignore-tensors or OpenOptions::ignore_tensors names",
      Quoted(unused));
}

}  // namespace io
}  // namespace v0_2
}  // namespace fusedffn

#include "src/models/checkpoint_blocks.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <optional>
#include <set>
#include <string_view>
#include <utility>

#include "src/files/error.h"

namespace fusedffn {
inline namespace v0_2 {
namespace io {
namespace {

// Like text, but runs of digits by their value.
bool NaturalLess(std::string_view a, std::string_view b) {
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  const auto take_number = [&](std::string_view* text) {
    while (text->size() > 1 && (*text)[0] == '0' && is_digit((*text)[1])) text->remove_prefix(1);
    const size_t digits = std::find_if_not(text->begin(), text->end(), is_digit) - text->begin();
    const std::string_view number = text->substr(0, digits);
    text->remove_prefix(digits);
    return std::pair(digits, number);
  };
  while (!a.empty() && !b.empty()) {
    if (is_digit(a[0]) && is_digit(b[0])) {
      const auto number_a = take_number(&a), number_b = take_number(&b);
      if (number_a != number_b) return number_a < number_b;
    } else {
      if (a[0] != b[0]) return a[0] < b[0];
      a.remove_prefix(1);
      b.remove_prefix(1);
    }
  }
  return a.size() < b.size();
}

// What stands before ".NAME" at the end of a tensor's name, or nothing.
std::optional<std::string> PrefixBefore(const std::string& name, const std::string& tensor) {
  if (tensor == name) return "";
  if (tensor.size() <= name.size() + 1) return std::nullopt;
  const size_t dot = tensor.size() - name.size() - 1;
  if (tensor[dot] != '.' || tensor.compare(dot + 1, name.size(), name) != 0) return std::nullopt;
  return tensor.substr(0, dot);
}

std::vector<std::string> Prefixes(const Checkpoint& checkpoint) {
  std::set<std::string> prefixes;
  for (const std::string& tensor : checkpoint.Names()) {
    for (const auto& [name, layout] : Families().layouts) {
      for (const std::string& layer : {layout.gate, layout.up, layout.down}) {
        const std::optional<std::string> prefix = PrefixBefore(layer + ".weight", tensor);
        if (layer.empty() || !prefix) continue;
        // An attention's output, too, is called c_proj or output.dense.
        if (layer != layout.down || !FamiliesAt(*prefix, layout).empty()) prefixes.insert(*prefix);
      }
    }
  }
  std::vector<std::string> ordered(prefixes.begin(), prefixes.end());
  std::stable_sort(ordered.begin(), ordered.end(), NaturalLess);
  return ordered;
}

// Those of which there is a tensor at `prefix`: if some are a known family's, only those.
std::vector<const Layout*> LayoutsAt(const Checkpoint& checkpoint, const std::string& prefix) {
  std::vector<const Layout*> present, known;
  for (const auto& [name, layout] : Families().layouts) {
    const auto has = [&](const std::string& layer) {
      return !layer.empty() && checkpoint.Has(TensorName(prefix, layer + ".weight"));
    };
    if (!has(layout.gate) && !has(layout.up) && !has(layout.down)) continue;
    present.push_back(&layout);
    if (!FamiliesAt(prefix, layout).empty()) known.push_back(&layout);
  }
  return known.empty() ? present : known;
}

std::string LayerNames(const Layout& layout) {
  return layout.gated() ? fmt::format("{}, {} and {}", layout.gate, layout.up, layout.down)
                        : fmt::format("{} and {}", layout.up, layout.down);
}

// The block at `prefix` in the one layout that fits. c_fc and c_proj are the names of two layouts, which
// their shapes tell apart. There must be one of LayoutsAt().
BlockListing ReadInOneLayout(const Checkpoint& checkpoint, const std::string& prefix) {
  std::vector<BlockListing> usable, others;
  std::vector<std::string> readings;
  for (const Layout* layout : LayoutsAt(checkpoint, prefix)) {
    BlockListing listing = ReadBlock(checkpoint, prefix, *layout);
    if (listing.problem.empty()) {
      readings.push_back(LayerNames(*layout) + (layout->transposed ? ", as [in, out]" : ", as [out, in]"));
    }
    (listing.problem.empty() ? usable : others).push_back(std::move(listing));
  }
  BlockListing& first = usable.empty() ? others[0] : usable[0];
  if (usable.size() > 1) {
    first.problem =
        fmt::format("{} can be read in several ways: {}", Quoted(prefix), fmt::join(readings, "; "));
  }
  return first;
}

// Names a block that the checkpoint does have.
std::string Suggestion(const Checkpoint& checkpoint) {
  const std::vector<std::string> prefixes = Prefixes(checkpoint);
  if (!prefixes.empty()) {
    return fmt::format("there {} {}, the first of which is {}", prefixes.size() == 1 ? "is" : "are",
                       prefixes.size(), Quoted(prefixes[0]));
  }
  return "there is none at all: " + NoBlocks();
}

}  // namespace

std::vector<BlockListing> ListBlocks(const Checkpoint& checkpoint) {
  std::vector<BlockListing> listings;
  for (const std::string& prefix : Prefixes(checkpoint)) {
    try {
      listings.push_back(ReadInOneLayout(checkpoint, prefix));
    } catch (const Error& error) {  // a shard that is missing or damaged; others may be fine
      BlockListing& listing = listings.emplace_back();
      listing.block.prefix = prefix;
      listing.problem = error.what();
      listing.unreadable = true;
    }
  }
  return listings;
}

std::string NoBlocks() {
  std::set<std::string> names;
  for (const auto& [name, layout] : Families().layouts) names.insert(LayerNames(layout));
  return fmt::format("no PREFIX.NAME.weight with the names {}", fmt::join(names, "; "));
}

Block FindBlock(const Checkpoint& checkpoint, const std::string& prefix) {
  if (LayoutsAt(checkpoint, prefix).empty()) {
    throw Error(checkpoint.path(),
                fmt::format("there is no block {}; {}", Quoted(prefix), Suggestion(checkpoint)));
  }
  BlockListing listing = ReadInOneLayout(checkpoint, prefix);
  if (!listing.problem.empty()) throw Error(checkpoint.path(), listing.problem);
  return listing.block;
}

}  // namespace io
}  // namespace v0_2
}  // namespace fusedffn

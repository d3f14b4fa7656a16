#include "src/models/checkpoint_blocks.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <iterator>
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
std::optional<std::string_view> PrefixBefore(std::string_view name, std::string_view tensor) {
  if (tensor == name) return "";
  if (tensor.size() <= name.size() + 1) return std::nullopt;
  const size_t dot = tensor.size() - name.size() - 1;
  if (tensor[dot] != '.' || tensor.substr(dot + 1) != name) return std::nullopt;
  return tensor.substr(0, dot);
}

// What a weight of a block can be called.
struct WeightName {
  std::string name;
  const Layout* layout;
  uint32_t bit;  // the layout's, in BlockPlace::layouts
  bool is_last;  // layer of the layout
};

const std::vector<WeightName>& WeightNames() {
  static const std::vector<WeightName> all = [] {
    std::vector<WeightName> names;
    uint32_t bit = 1;
    for (const auto& [_, layout] : Families().layouts) {
      for (const std::string* layer : {&layout.gate, &layout.up, &layout.down}) {
        if (!layer->empty()) names.push_back({*layer + ".weight", &layout, bit, layer == &layout.down});
      }
      bit <<= 1;
    }
    return names;
  }();
  return all;
}

// One place for each prefix, in order.
void Merge(std::vector<BlockPlace>* places) {
  std::sort(places->begin(), places->end(),
            [](const BlockPlace& a, const BlockPlace& b) { return a.prefix < b.prefix; });
  auto last = places->begin();
  for (const BlockPlace place : *places) {  // a copy: it may be the last one's
    if (place.prefix != last->prefix) *++last = {place.prefix};
    last->layouts |= place.layouts;
    last->is_listed |= place.is_listed;
  }
  if (!places->empty()) places->erase(last + 1, places->end());
}

// The layouts of a place: if some are a known family's, only those.
std::vector<const Layout*> LayoutsAt(const BlockPlace& place) {
  std::vector<const Layout*> present, known;
  for (const WeightName& weight : WeightNames()) {
    if (weight.is_last && (place.layouts & weight.bit) != 0) present.push_back(weight.layout);
  }
  if (present.size() == 1) return present;
  std::copy_if(present.begin(), present.end(), std::back_inserter(known),
               [&](const Layout* layout) { return !FamiliesAt(place.prefix, *layout).empty(); });
  return known.empty() ? present : known;
}

// The block in the one layout that fits. c_fc and c_proj are the names of two layouts, which their shapes
// tell apart.
BlockListing ReadInOneLayout(const Checkpoint& checkpoint, const BlockPlace& place) {
  std::vector<BlockListing> usable, others;
  std::vector<std::string> readings;
  for (const Layout* layout : LayoutsAt(place)) {
    BlockListing listing = ReadBlock(checkpoint, std::string(place.prefix), *layout);
    if (listing.problem.empty()) {
      readings.push_back(LayerNames(*layout) + (layout->transposed ? ", as [in, out]" : ", as [out, in]"));
    }
    (listing.problem.empty() ? usable : others).push_back(std::move(listing));
  }
  BlockListing& first = usable.empty() ? others[0] : usable[0];
  if (usable.size() > 1) {
    first.problem =
        fmt::format("{} can be read in several ways: {}", Quoted(place.prefix), fmt::join(readings, "; "));
  }
  return std::move(first);
}

// Names a block that the checkpoint does have.
std::string Suggestion(const Checkpoint& checkpoint) {
  const std::vector<BlockPlace> places = BlockPlaces(checkpoint);
  if (!places.empty()) {
    return fmt::format("there {} {}, the first of which is {}", places.size() == 1 ? "is" : "are",
                       places.size(), Quoted(places[0].prefix));
  }
  return "there is none at all: " + NoBlocks();
}

}  // namespace

std::vector<BlockPlace> BlockPlaces(const Checkpoint& checkpoint) {
  std::vector<BlockPlace> places;
  for (const std::string_view tensor : checkpoint.Names()) {
    for (const auto& [name, layout, bit, is_last] : WeightNames()) {
      const std::optional<std::string_view> prefix = PrefixBefore(name, tensor);
      if (!prefix) continue;
      // An attention's output, too, is called c_proj or output.dense.
      places.push_back({*prefix, bit, !is_last || !FamiliesAt(*prefix, *layout).empty()});
    }
  }
  Merge(&places);
  places.erase(std::remove_if(places.begin(), places.end(), [](const BlockPlace& p) { return !p.is_listed; }),
               places.end());
  std::stable_sort(places.begin(), places.end(),
                   [](const BlockPlace& a, const BlockPlace& b) { return NaturalLess(a.prefix, b.prefix); });
  return places;
}

BlockListing ListBlock(const Checkpoint& checkpoint, const BlockPlace& place) {
  try {
    return ReadInOneLayout(checkpoint, place);
  } catch (const Error& error) {
    BlockListing listing;
    listing.block.prefix = place.prefix;
    listing.problem = error.what();
    listing.unreadable = true;
    return listing;
  }
}

std::string NoBlocks() {
  std::set<std::string> names;
  for (const auto& [name, layout] : Families().layouts) names.insert(LayerNames(layout));
  return fmt::format("no PREFIX.NAME.weight with the names {}", fmt::join(names, "; "));
}

Block FindBlock(const Checkpoint& checkpoint, const std::string& prefix) {
  BlockPlace place = {prefix};
  for (const WeightName& weight : WeightNames()) {
    if (checkpoint.Has(TensorName(prefix, weight.name))) place.layouts |= weight.bit;
  }
  if (place.layouts == 0) {
    throw Error(checkpoint.path(),
                fmt::format("there is no block {}; {}", Quoted(prefix), Suggestion(checkpoint)));
  }
  BlockListing listing = ReadInOneLayout(checkpoint, place);
  if (!listing.problem.empty()) throw Error(checkpoint.path(), listing.problem);
  return listing.block;
}

}  // namespace io
}  // namespace v0_2
}  // namespace fusedffn

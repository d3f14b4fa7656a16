#include "src/models/layer_stack.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <utility>

#include "src/files/error.h"
#include "src/files/text.h"

namespace fusedffn {
inline namespace v0_2 {
namespace io {
namespace {

struct Place {
  std::string pattern;
  uint64_t layer;
};

// Where a block stands in its tower, or nothing if its prefix has no number between dots. Plain numbers only,
// so that the layer's number stands for the prefix.
std::optional<Place> PlaceOf(std::string_view prefix) {
  for (size_t end = prefix.size();;) {
    const size_t dot = prefix.substr(0, end).rfind('.');
    const size_t begin = dot == std::string_view::npos ? 0 : dot + 1;
    if (const std::optional<uint64_t> layer = PlainNumberOf(prefix.substr(begin, end - begin))) {
      return Place{fmt::format("{}N{}", prefix.substr(0, begin), prefix.substr(end)), *layer};
    }
    if (begin == 0) return std::nullopt;
    end = dot;
  }
}

// Experts of one layer stand beside each other, and their last number is not the layer's.
bool IsExpert(const Block& block) {
  for (const Family* family : block.families) {
    for (const std::string& pattern : family->prefixes) {
      const bool has_expert = ("." + pattern + ".").find(".E.") != std::string::npos;
      if (has_expert && MatchesPattern(block.prefix, pattern)) return true;
    }
  }
  return false;
}

std::vector<Tower> ListTowers(const Checkpoint& checkpoint) {
  std::vector<Tower> towers;
  std::map<std::string, size_t> index_of;
  for (BlockListing& listing : ListBlocks(checkpoint)) {
    const std::optional<Place> place = PlaceOf(listing.block.prefix);
    if (!place || IsExpert(listing.block)) continue;
    const auto [index, is_new] = index_of.emplace(place->pattern, towers.size());
    if (is_new) towers.push_back({place->pattern, {}});
    towers[index->second].layers.emplace(place->layer, std::move(listing));
  }
  return towers;
}

bool IsCalled(const Tower& tower, std::string_view name) {
  return std::any_of(tower.layers.begin(), tower.layers.end(),
                     [&](const auto& layer) { return IsCalled(layer.second.block, name); });
}

std::string ListOf(const std::vector<Tower>& towers) {
  std::vector<std::string> texts;
  for (const Tower& tower : towers) texts.push_back(Described(tower));
  return fmt::format("{}", fmt::join(texts, "; "));
}

// The numbers of the layers that are meant, all of which are there.
std::vector<uint64_t> NumbersIn(const Checkpoint& checkpoint, const Tower& tower, const LayerRange& range) {
  std::vector<uint64_t> numbers;
  for (const auto& [number, listing] : tower.layers) numbers.push_back(number);
  const uint64_t lowest = numbers.front(), highest = numbers.back();
  const auto fail = [&](const std::string& what) {
    throw Error(checkpoint.path(), fmt::format("{}: {}; there are {} layers, from {} to {}",
                                               Quoted(tower.pattern), what, numbers.size(), lowest, highest));
  };
  if (range.count.value_or(0) > numbers.size()) fail(fmt::format("there are no {} layers", *range.count));
  const uint64_t first = range.first.value_or(lowest);
  const uint64_t last = range.count ? numbers[*range.count - 1] : range.last.value_or(highest);
  std::vector<uint64_t> chosen;
  for (uint64_t number = first; number <= last; ++number) {
    if (tower.layers.count(number) == 0) fail(fmt::format("there is no layer {}", number));
    chosen.push_back(number);
  }
  return chosen;
}

bool IsSame(const Shape& a, const Shape& b) {
  return a.dim == b.dim && a.hidden == b.hidden && a.out == b.out && a.gated == b.gated;
}

}  // namespace

std::string Described(const Tower& tower) {
  const BlockListing& first = tower.layers.begin()->second;
  const std::string families = NamesOf(first.block.families);
  return fmt::format("{} ({}{} layer{})", Quoted(tower.pattern), families.empty() ? "" : families + ", ",
                     tower.layers.size(), tower.layers.size() == 1 ? "" : "s");
}

bool IsCalled(const Block& block, std::string_view name) {
  return MatchesPattern(block.prefix, name) ||
         std::any_of(block.families.begin(), block.families.end(),
                     [&](const Family* family) { return family->name == name; });
}

Tower FindTower(const Checkpoint& checkpoint, const std::optional<std::string>& name) {
  const std::vector<Tower> all = ListTowers(checkpoint);
  std::vector<Tower> meant;
  std::copy_if(all.begin(), all.end(), std::back_inserter(meant),
               [&](const Tower& tower) { return name ? IsCalled(tower, *name) : tower.layers.size() > 1; });
  if (meant.size() == 1) return meant[0];
  if (all.empty()) throw Error(checkpoint.path(), "there are no blocks with a layer's number in their names");
  if (meant.empty() && !name) {
    throw Error(checkpoint.path(), "there is no family with more than one block; name one of " + ListOf(all));
  }
  if (meant.empty()) {
    throw Error(checkpoint.path(),
                fmt::format("there is no family {}; there is {}", Quoted(*name), ListOf(all)));
  }
  throw Error(checkpoint.path(), fmt::format("{}; name one, by its pattern or its family: {}",
                                             name ? fmt::format("{} is the name of several", Quoted(*name))
                                                  : "there are several families with more than one block",
                                             ListOf(meant)));
}

std::vector<Block> LayersOf(const Checkpoint& checkpoint, const Tower& tower, const LayerRange& range) {
  std::vector<Block> blocks;
  for (const uint64_t number : NumbersIn(checkpoint, tower, range)) {
    const auto& [block, problem, unreadable] = tower.layers.at(number);
    if (!problem.empty()) throw Error(checkpoint.path(), problem);
    if (block.shape.out != block.shape.dim) {
      throw Error(checkpoint.path(),
                  fmt::format("{} is {}; where one block's y is the next one's x, out must be dim",
                              Quoted(block.prefix), ShapeText(block.shape)));
    }
    if (!blocks.empty() && !IsSame(block.shape, blocks[0].shape)) {
      throw Error(checkpoint.path(),
                  fmt::format("{} is {} and {} is {}; they must be alike", Quoted(blocks[0].prefix),
                              ShapeText(blocks[0].shape), Quoted(block.prefix), ShapeText(block.shape)));
    }
    blocks.push_back(block);
  }
  return blocks;
}

}  // namespace io
}  // namespace v0_2
}  // namespace fusedffn

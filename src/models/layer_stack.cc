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

struct LayerPlace {
  std::string pattern;
  uint64_t number;
};

// Where a block stands in its tower, or nothing if its prefix has no number between dots. Plain numbers only,
// so that the layer's number stands for the prefix.
std::optional<LayerPlace> LayerPlaceOf(std::string_view prefix) {
  for (size_t end = prefix.size();;) {
    const size_t dot = prefix.substr(0, end).rfind('.');
    const size_t begin = dot == std::string_view::npos ? 0 : dot + 1;
    if (const std::optional<uint64_t> layer = PlainNumberOf(prefix.substr(begin, end - begin))) {
      return LayerPlace{fmt::format("{}N{}", prefix.substr(0, begin), prefix.substr(end)), *layer};
    }
    if (begin == 0) return std::nullopt;
    end = dot;
  }
}

// Experts of one layer stand beside each other, and their last number is not the layer's.
bool IsExpert(const Block& block) {
  const std::string prefix = Unwrapped(block.prefix);
  for (const Family* family : block.families) {
    for (const std::string& pattern : family->prefixes) {
      const bool has_expert = ("." + pattern + ".").find(".E.") != std::string::npos;
      if (has_expert && MatchesPattern(prefix, pattern)) return true;
    }
  }
  return false;
}

bool HasName(const std::vector<const Family*>& families, std::string_view name) {
  return std::any_of(families.begin(), families.end(),
                     [&](const Family* family) { return family->name == name; });
}

std::vector<Tower> ListTowers(const Checkpoint& checkpoint) {
  std::vector<Tower> towers;
  std::map<std::string, size_t> index_of;
  for (const BlockPlace& place : BlockPlaces(checkpoint)) {
    const std::optional<LayerPlace> layer = LayerPlaceOf(place.prefix);
    if (!layer) continue;
    const Block block = ListBlock(checkpoint, place).block;
    if (IsExpert(block)) continue;
    const auto [index, is_new] = index_of.emplace(layer->pattern, towers.size());
    if (is_new) towers.push_back({layer->pattern, {}, {}});
    Tower& tower = towers[index->second];
    tower.layers.emplace(layer->number, place);
    for (const Family* family : block.families) {
      if (!HasName(tower.families, family->name)) tower.families.push_back(family);
    }
  }
  return towers;
}

bool IsCalled(const Tower& tower, std::string_view name) {
  return HasName(tower.families, name) ||
         std::any_of(tower.layers.begin(), tower.layers.end(),
                     [&](const auto& layer) { return MatchesPattern(layer.second.prefix, name); });
}

std::string ListOf(const std::vector<Tower>& towers) {
  std::vector<std::string> texts;
  for (const Tower& tower : towers) texts.push_back(Described(tower));
  return fmt::format("{}", fmt::join(texts, "; "));
}

// The numbers of the layers that are meant, all of which are there.
std::vector<uint64_t> NumbersIn(const Checkpoint& checkpoint, const Tower& tower, const LayerRange& range) {
  std::vector<uint64_t> numbers;
  for (const auto& [number, place] : tower.layers) numbers.push_back(number);
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
  const std::string families = NamesOf(tower.families);
  return fmt::format("{} ({}{} layer{})", Quoted(tower.pattern), families.empty() ? "" : families + ", ",
                     tower.layers.size(), tower.layers.size() == 1 ? "" : "s");
}

bool IsCalled(const Block& block, std::string_view name) {
  return MatchesPattern(block.prefix, name) || HasName(block.families, name);
}

Tower FindTower(const Checkpoint& checkpoint, const std::optional<std::string>& name) {
  std::vector<Tower> all = ListTowers(checkpoint), meant;
  for (Tower& tower : all) {
    if (name ? IsCalled(tower, *name) : tower.layers.size() > 1) meant.push_back(std::move(tower));
  }
  if (meant.size() == 1) return std::move(meant[0]);
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
    const auto [block, problem, unreadable] = ListBlock(checkpoint, tower.layers.at(number));
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

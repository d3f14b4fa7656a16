#include "tools/fusedffn/prefix_ranges.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <utility>

#include "src/files/text.h"

namespace fusedffn::program {
namespace {

using Numbers = std::vector<uint64_t>;
using Slots = std::vector<Numbers>;  // the values that each number may have, in order

// A prefix as text with a # for each number and ## for each #, and the numbers. Numbers are parts between
// dots, the first few, and plain, so that the text can be put together again.
struct Split {
  std::string text;
  Numbers numbers;
};

Split SplitNumbers(std::string_view prefix) {
  constexpr size_t kMostNumbers = 8;
  Split split;
  for (size_t begin = 0; begin <= prefix.size();) {
    const size_t end = std::min(prefix.find('.', begin), prefix.size());
    const std::string_view part = prefix.substr(begin, end - begin);
    if (begin > 0) split.text += '.';
    const std::optional<uint64_t> number = io::PlainNumberOf(part);
    if (number && split.numbers.size() < kMostNumbers) {
      split.text += '#';
      split.numbers.push_back(*number);
    } else {
      for (const char c : part) split.text += c == '#' ? "##" : std::string(1, c);
    }
    begin = end + 1;
  }
  return split;
}

// All of the tuples from `begin` to `end`, which are sorted and alike before `at`, as products of sets of
// what is behind it: numbers with the same rests stand together.
std::vector<Slots> Cover(const Numbers* begin, const Numbers* end, size_t at) {
  if (at == begin->size()) return {{}};
  using Range = std::pair<const Numbers*, const Numbers*>;
  const auto is_less = [rest = at + 1](const Range& a, const Range& b) {
    return std::lexicographical_compare(
        a.first, a.second, b.first, b.second, [rest](const Numbers& x, const Numbers& y) {
          return std::lexicographical_compare(x.begin() + rest, x.end(), y.begin() + rest, y.end());
        });
  };
  std::map<Range, Numbers, decltype(is_less)> numbers_of(is_less);  // by their rests
  while (begin != end) {
    const uint64_t number = (*begin)[at];
    const Numbers* const next =
        std::find_if(begin, end, [&](const Numbers& numbers) { return numbers[at] != number; });
    numbers_of[{begin, next}].push_back(number);
    begin = next;
  }
  std::vector<Slots> cover;
  for (const auto& [rests, numbers] : numbers_of) {
    for (const Slots& slots : Cover(rests.first, rests.second, at + 1)) {
      cover.push_back({numbers});
      cover.back().insert(cover.back().end(), slots.begin(), slots.end());
    }
  }
  return cover;
}

// "3", "{0..23}" or "{0..3,5}"
std::string RangeText(const Numbers& values) {
  std::string text;
  for (auto value = values.begin(); value != values.end();) {
    const uint64_t first = *value;
    uint64_t last = first;
    while (++value != values.end() && *value == last + 1) ++last;
    if (!text.empty()) text += ',';
    text += first == last ? fmt::format("{}", first) : fmt::format("{}..{}", first, last);
  }
  return values.size() == 1 ? text : "{" + text + "}";
}

// The text of a Split with these values.
std::string Filled(const std::string& text, const Slots& slots) {
  std::string filled;
  size_t slot = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '#') {
      filled += text[i];
    } else if (text.compare(i, 2, "##") == 0) {
      filled += text[i++];
    } else {
      filled += RangeText(slots[slot++]);
    }
  }
  return filled;
}

}  // namespace

std::string WithoutNumbers(std::string_view prefix) { return SplitNumbers(prefix).text; }

std::vector<std::string> CollapsePrefixes(const std::vector<std::string_view>& prefixes) {
  std::vector<Numbers> tuples;
  tuples.reserve(prefixes.size());
  for (const std::string_view prefix : prefixes) tuples.push_back(SplitNumbers(prefix).numbers);
  std::sort(tuples.begin(), tuples.end());
  const std::string text = WithoutNumbers(prefixes[0]);
  std::vector<std::string> texts;
  for (const Slots& slots : Cover(tuples.data(), tuples.data() + tuples.size(), 0)) {
    texts.push_back(Filled(text, slots));
  }
  return texts;
}

}  // namespace fusedffn::program

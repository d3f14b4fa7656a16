#include "tools/fusedffn/prefix_ranges.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <set>

#include "src/files/text.h"

namespace fusedffn::program {
namespace {

using Numbers = std::vector<uint64_t>;
using Slots = std::vector<std::set<uint64_t>>;  // the values that each number may have

// A prefix as text with a # for each number and ## for each #, and the numbers. Numbers are parts between
// dots, the first few, and plain, so that the text can be put together again.
struct Split {
  std::string text;
  Numbers numbers;
};

Split SplitNumbers(const std::string& prefix) {
  constexpr size_t kMostNumbers = 8;
  Split split;
  for (size_t begin = 0; begin <= prefix.size();) {
    const size_t end = std::min(prefix.find('.', begin), prefix.size());
    const std::string part = prefix.substr(begin, end - begin);
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

// All of `tuples` as products of sets: first numbers with the same rests stand together.
std::vector<Slots> Cover(const std::set<Numbers>& tuples) {
  if (tuples.begin()->empty()) return {{}};
  std::map<uint64_t, std::set<Numbers>> rests_of;
  for (const Numbers& numbers : tuples)
    rests_of[numbers[0]].insert(Numbers(numbers.begin() + 1, numbers.end()));
  std::map<std::set<Numbers>, std::set<uint64_t>> firsts_of;
  for (const auto& [first, rests] : rests_of) firsts_of[rests].insert(first);
  std::vector<Slots> cover;
  for (const auto& [rests, firsts] : firsts_of) {
    for (const Slots& slots : Cover(rests)) {
      cover.push_back({firsts});
      cover.back().insert(cover.back().end(), slots.begin(), slots.end());
    }
  }
  return cover;
}

// "3", "{0..23}" or "{0..3,5}"
std::string RangeText(const std::set<uint64_t>& values) {
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

std::string WithoutNumbers(const std::string& prefix) { return SplitNumbers(prefix).text; }

std::vector<std::string> CollapsePrefixes(const std::vector<std::string>& prefixes) {
  std::set<Numbers> tuples;
  for (const std::string& prefix : prefixes) tuples.insert(SplitNumbers(prefix).numbers);
  std::vector<std::string> texts;
  for (const Slots& slots : Cover(tuples)) texts.push_back(Filled(WithoutNumbers(prefixes[0]), slots));
  return texts;
}

}  // namespace fusedffn::program

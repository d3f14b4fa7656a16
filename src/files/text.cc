#include "src/files/text.h"

#include <algorithm>
#include <charconv>

namespace fusedffn {
inline namespace v0_2 {
namespace io {

bool EndsIn(std::string_view text, std::string_view ending) {
  return text.size() > ending.size() && text.substr(text.size() - ending.size()) == ending;
}

bool IsAtOrBelow(std::string_view name, std::string_view module) {
  return name.substr(0, module.size()) == module &&
         (name.size() == module.size() || name[module.size()] == '.');
}

std::string_view Kept(std::string_view text, std::pmr::memory_resource* memory) {
  auto* const copy = static_cast<char*>(memory->allocate(text.size(), alignof(char)));
  std::copy(text.begin(), text.end(), copy);
  return {copy, text.size()};
}

std::optional<uint64_t> NumberOf(std::string_view text) {
  uint64_t value = 0;
  const char* const end = text.data() + text.size();
  const auto [next, error] = std::from_chars(text.data(), end, value);
  return error == std::errc() && next == end ? std::optional(value) : std::nullopt;
}

std::optional<uint64_t> PlainNumberOf(std::string_view text) {
  constexpr size_t kMostDigits = 9;
  if (text.size() > kMostDigits || (text.size() > 1 && text[0] == '0')) return std::nullopt;
  return NumberOf(text);
}

std::string AnyOf(const std::vector<std::string>& names) {
  std::string text;
  for (size_t i = 0; i < names.size(); ++i) {
    if (i > 0) text += i + 1 == names.size() ? " or " : ", ";
    text += names[i];
  }
  return text;
}

}  // namespace io
}  // namespace v0_2
}  // namespace fusedffn

// Compiled once. Small questions about text, and lists for messages.
#ifndef FUSEDFFN_SRC_FILES_TEXT_H_
#define FUSEDFFN_SRC_FILES_TEXT_H_

#include <cstdint>
#include <memory_resource>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace fusedffn {
inline namespace v0_2 {
namespace io {

// Whether something stands before this ending: ".npy" alone is no name.
bool EndsIn(std::string_view text, std::string_view ending);

// Whether a name is `module`, or begins with it and a dot.
bool IsAtOrBelow(std::string_view name, std::string_view module);

// A copy that stays as long as `memory`.
std::string_view Kept(std::string_view text, std::pmr::memory_resource* memory);

// The decimal number that is all of `text`, without a sign, or nothing.
std::optional<uint64_t> NumberOf(std::string_view text);

// The same for a number that stands for its text, so that this can be made from it again: without leading
// zeros, and of a sensible length.
std::optional<uint64_t> PlainNumberOf(std::string_view text);

std::string AnyOf(const std::vector<std::string>& names);  // "A", "A or B", "A, B or C"

}  // namespace io
}  // namespace v0_2
}  // namespace fusedffn

#endif  // FUSEDFFN_SRC_FILES_TEXT_H_

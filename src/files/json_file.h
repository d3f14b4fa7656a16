// Compiled once. A JSON file beside a checkpoint, read strictly: refused are files above 64 MiB, nesting
// deeper than 64, and keys that an object has twice, since readers differ in which of the two counts. NaN and
// Infinity, which Python writes, are taken, as empty arrays.
#ifndef FUSEDFFN_SRC_FILES_JSON_FILE_H_
#define FUSEDFFN_SRC_FILES_JSON_FILE_H_

#include <functional>
#include <memory_resource>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace fusedffn {
inline namespace v0_2 {
namespace io {

// The object that the file holds. Throws Error.
nlohmann::json ReadJsonObject(const std::string& path);

// Told of a member of an object; `text` is null if that is something else.
using OnMember = std::function<void(std::string_view key, const std::string* text)>;

// The members of the object `name` in the object that the file holds, in their order, without building
// either: an index of shards may have a million. Their keys are kept in `memory`. Returns whether there is
// such an object. Throws Error, which may come after some members.
bool ReadJsonMembers(const std::string& path, std::string_view name, std::pmr::memory_resource* memory,
                     const OnMember& on_member);

}  // namespace io
}  // namespace v0_2
}  // namespace fusedffn

#endif  // FUSEDFFN_SRC_FILES_JSON_FILE_H_

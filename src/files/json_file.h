// Compiled once. A JSON file beside a checkpoint, read strictly.
#ifndef FUSEDFFN_SRC_FILES_JSON_FILE_H_
#define FUSEDFFN_SRC_FILES_JSON_FILE_H_

#include <nlohmann/json.hpp>
#include <string>

namespace fusedffn {
inline namespace v0_2 {
namespace io {

// The object that the file holds. Throws Error; refused are files above 64 MiB, nesting deeper than 64, and
// keys that an object has twice, since readers differ in which of the two counts.
nlohmann::json ReadJsonObject(const std::string& path);

}  // namespace io
}  // namespace v0_2
}  // namespace fusedffn

#endif  // FUSEDFFN_SRC_FILES_JSON_FILE_H_

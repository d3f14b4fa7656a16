// Compiled once. What several users of system calls need.
#ifndef FUSEDFFN_SRC_FILES_SYSTEM_CALL_H_
#define FUSEDFFN_SRC_FILES_SYSTEM_CALL_H_

#include <sys/stat.h>

#include <cerrno>
#include <optional>
#include <string>

namespace fusedffn {
inline namespace v0_2 {
namespace io {

// What call() returns in the end: a signal may interrupt it, and then it is made again.
template <class Call>
auto Uninterrupted(const Call& call) -> decltype(call()) {
  while (true) {
    const auto result = call();
    if (result >= 0 || errno != EINTR) return result;
  }
}

// What is at a path, symbolic links followed; nothing if there is none. Throws Error where the system does
// not say, which is not the same.
std::optional<struct stat> StatusOf(const std::string& path);

inline bool Exists(const std::string& path) { return StatusOf(path).has_value(); }

// Where the symbolic link at a path leads; nothing if there is none. Throws Error likewise.
std::optional<std::string> LinkAt(const std::string& path);

}  // namespace io
}  // namespace v0_2
}  // namespace fusedffn

#endif  // FUSEDFFN_SRC_FILES_SYSTEM_CALL_H_

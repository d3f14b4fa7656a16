// Compiled once. The one exception of the file side.
#ifndef FUSEDFFN_SRC_FILES_ERROR_H_
#define FUSEDFFN_SRC_FILES_ERROR_H_

#include <stdexcept>
#include <string>
#include <string_view>

namespace fusedffn {
inline namespace v0_2 {
namespace io {

// A file cannot be used. One line: the file's name, then what is wrong and what is accepted.
class Error : public std::runtime_error {
 public:
  Error(std::string_view file, std::string_view what);

  // The same for the system call that has just failed: `action` and errno's text.
  static Error FromErrno(std::string_view file, std::string_view action);

  bool is_systems() const { return is_systems_; }  // and not the file's: another time it may not come

 private:
  bool is_systems_ = false;
};

// Text that came out of a file, for a message: quoted, cut to a sensible length, and with everything that
// could break the line or reach the terminal as a command written as \xNN.
std::string Quoted(std::string_view text);

// The same for a name that the user typed: neither quoted nor cut, and letters of any language kept.
std::string OneLine(std::string_view text);

}  // namespace io
}  // namespace v0_2
}  // namespace fusedffn

#endif  // FUSEDFFN_SRC_FILES_ERROR_H_

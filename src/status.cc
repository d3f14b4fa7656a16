#include <cctype>
#include <cstdarg>
#include <cstdio>

#include "fusedffn/fusedffn.h"

namespace fusedffn {
inline namespace v0_2 {

Status::Status(StatusCode code, const char* format, ...) noexcept : code_(code) {
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(message_, sizeof(message_), format, arguments);
  va_end(arguments);
  // One line, whatever text of the caller's is in it.
  for (char* c = message_; *c != '\0'; ++c) {
    if (std::iscntrl(static_cast<unsigned char>(*c)) != 0) *c = '?';
  }
}

}  // namespace v0_2
}  // namespace fusedffn

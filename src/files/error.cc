#include "src/files/error.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>

namespace fusedffn {
inline namespace v0_2 {
namespace io {
namespace {

bool IsControl(unsigned char c) { return c < 0x20 || c == 0x7f; }

void AppendEscaped(unsigned char c, bool escape, std::string* to) {
  if (escape) {
    fmt::format_to(std::back_inserter(*to), "\\x{:02x}", c);
  } else {
    to->push_back(static_cast<char>(c));
  }
}

}  // namespace

Error::Error(std::string_view file, std::string_view what)
    : std::runtime_error(fmt::format("{}: {}", OneLine(file), what)) {}

Error Error::FromErrno(std::string_view file, std::string_view action) {
  Error error(file, fmt::format("cannot {}: {}", action, std::strerror(errno)));
  error.is_systems_ = true;
  return error;
}

std::string Quoted(std::string_view text) {
  constexpr size_t kMost = 120;
  std::string quoted = "'";
  for (const unsigned char c : text.substr(0, kMost)) AppendEscaped(c, IsControl(c) || c >= 0x80, &quoted);
  quoted += text.size() > kMost ? "...'" : "'";
  return quoted;
}

std::string OneLine(std::string_view text) {
  std::string line;
  for (const unsigned char c : text) AppendEscaped(c, IsControl(c), &line);
  return line;
}

}  // namespace io
}  // namespace v0_2
}  // namespace fusedffn

#include "src/files/system_call.h"

#include <fmt/format.h>

#include <filesystem>
#include <system_error>

#include "src/files/error.h"

namespace fusedffn {
inline namespace v0_2 {
namespace io {
namespace {

bool MeansNone(const std::error_code& error) {
  return error == std::errc::no_such_file_or_directory || error == std::errc::not_a_directory;
}

Error DoesNotSay(const std::string& path, const std::error_code& error) {
  return Error(path, fmt::format("cannot find out what it is: {}", error.message()));
}

}  // namespace

std::optional<struct stat> StatusOf(const std::string& path) {
  struct stat status;
  if (stat(path.c_str(), &status) == 0) return status;
  const std::error_code error(errno, std::generic_category());
  if (MeansNone(error)) return std::nullopt;
  throw DoesNotSay(path, error);
}

std::optional<std::string> LinkAt(const std::string& path) {
  std::error_code error;
  const std::filesystem::path link = std::filesystem::read_symlink(path, error);
  if (!error) return link.string();
  if (MeansNone(error) || error == std::errc::invalid_argument) return std::nullopt;
  throw DoesNotSay(path, error);
}

}  // namespace io
}  // namespace v0_2
}  // namespace fusedffn

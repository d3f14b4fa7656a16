#include "src/files/input_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "src/files/error.h"
#include "src/files/system_call.h"

namespace fusedffn {
inline namespace v0_2 {
namespace io {

// Both formats are little-endian, and are read as they are.
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__);

InputFile::InputFile(std::string path) : path_(std::move(path)) {
  // Not blocking, or opening a pipe would wait for its other end.
  fd_ = Uninterrupted([&] { return open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK); });
  if (fd_ < 0) throw Error::FromErrno(path_, "open");
  struct stat status;
  const bool known = fstat(fd_, &status) == 0;
  if (!known || !S_ISREG(status.st_mode)) {
    const Error error = known ? Error(path_, "not a regular file, and only those can be read")
                              : Error::FromErrno(path_, "find out what it is");
    close(fd_);
    throw error;
  }
  size_ = static_cast<uint64_t>(status.st_size);
}

InputFile::~InputFile() { close(fd_); }

void InputFile::ReadAt(uint64_t offset, size_t bytes, void* to) const {
  constexpr size_t kMostAtOnce = size_t{1} << 30;
  char* out = static_cast<char*>(to);
  while (bytes > 0) {
    const ssize_t got = Uninterrupted(
        [&] { return pread(fd_, out, std::min(bytes, kMostAtOnce), static_cast<off_t>(offset)); });
    if (got < 0) throw Error::FromErrno(path_, "read");
    if (got == 0) {
      throw Error(path_, fmt::format("ends at byte {}, {} bytes too early: truncated", offset, bytes));
    }
    out += got;
    offset += static_cast<uint64_t>(got);
    bytes -= static_cast<size_t>(got);
  }
}

}  // namespace io
}  // namespace v0_2
}  // namespace fusedffn

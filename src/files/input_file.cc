#include "src/files/input_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "src/files/error.h"

namespace fusedffn {
inline namespace v0_2 {
namespace io {

// Both formats are little-endian, and are read as they are.
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__);

InputFile::InputFile(std::string path) : path_(std::move(path)) {
  // Not blocking, or opening a pipe would wait for its other end.
  do {
    fd_ = open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  } while (fd_ < 0 && errno == EINTR);
  if (fd_ < 0) throw Error::FromErrno(path_, "open");
  struct stat status;
  if (fstat(fd_, &status) != 0 || !S_ISREG(status.st_mode)) {
    close(fd_);
    throw Error(path_, "not a regular file, and only those can be read");
  }
  size_ = static_cast<uint64_t>(status.st_size);
}

InputFile::~InputFile() { close(fd_); }

void InputFile::ReadAt(uint64_t offset, size_t bytes, void* to) const {
  constexpr size_t kMostAtOnce = size_t{1} << 30;
  char* out = static_cast<char*>(to);
  while (bytes > 0) {
    const ssize_t got = pread(fd_, out, std::min(bytes, kMostAtOnce), static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
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

// Compiled once. Reading by position. Not mapped: a mapped file that somebody truncates kills the process, or
// reads as zeros.
#ifndef FUSEDFFN_SRC_FILES_INPUT_FILE_H_
#define FUSEDFFN_SRC_FILES_INPUT_FILE_H_

#include <cstddef>
#include <cstdint>
#include <string>

namespace fusedffn {
inline namespace v0_2 {
namespace io {

class InputFile {
 public:
  explicit InputFile(std::string path);  // throws Error unless it is a readable regular file
  ~InputFile();
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  const std::string& path() const { return path_; }
  uint64_t size() const { return size_; }  // when it was opened

  // Exactly `bytes` bytes from `offset`, else Error. Thread-safe.
  void ReadAt(uint64_t offset, size_t bytes, void* to) const;

 private:
  std::string path_;
  int fd_ = -1;
  uint64_t size_ = 0;
};

}  // namespace io
}  // namespace v0_2
}  // namespace fusedffn

#endif  // FUSEDFFN_SRC_FILES_INPUT_FILE_H_

// Compiled once. An output file that is there whole or not at all.
#ifndef FUSEDFFN_SRC_FILES_ATOMIC_FILE_H_
#define FUSEDFFN_SRC_FILES_ATOMIC_FILE_H_

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <string>

namespace fusedffn {
inline namespace v0_2 {
namespace io {

// Writes to a temporary file in the same folder, which Commit() renames to `path`. Without Commit(), and
// after any failure, the temporary file is removed and whatever `path` held before is still there. Until
// Commit() it has no name, so that a process that is killed leaves nothing behind; where the file system
// cannot do that (NFS), or if `named`, it is `.fusedffn-PID-N.tmp`. All functions throw Error.
//
// A new file has the usual permissions. One that replaces another has that one's, and its owner and group as
// far as this process may set them: without its group, others and the group get what both of them had. Set
// user and group IDs are not kept, as if the old file had been written to; nor are access control lists.
class AtomicFile {
 public:
  explicit AtomicFile(const std::string& path, bool named = false);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void Write(const void* data, size_t bytes);  // behind the last such call's bytes
  void WriteAt(uint64_t offset, const void* data, size_t bytes);
  void Commit();

 private:
  void Open(const std::string& folder, bool named, mode_t mode);
  void Discard();

  std::string path_;
  std::string temporary_;  // "" while it has no name, and once it has become `path_`
  int fd_ = -1;
  uint64_t end_ = 0;  // of what Write() has written
};

// From now on SIGHUP, SIGINT and SIGTERM, unless they are ignored, remove the temporary file that has a name
// before they end the process. For a program that writes one file at a time.
void RemoveTemporaryFileOnSignals();

// Throws the Error that AtomicFile(path) would meet, so that it comes before the work and not after it.
void CheckWritable(const std::string& path);

}  // namespace io
}  // namespace v0_2
}  // namespace fusedffn

#endif  // FUSEDFFN_SRC_FILES_ATOMIC_FILE_H_

#include "src/files/atomic_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <optional>

#include "src/files/error.h"
#include "src/files/system_call.h"

namespace fusedffn {
inline namespace v0_2 {
namespace io {
namespace {

namespace fs = std::filesystem;

// Where the file itself stands, or will: renaming onto a symbolic link would replace the link, also one to a
// file that is not there yet.
fs::path Resolved(const std::string& path) {
  constexpr int kMostLinks = 40;  // as Linux follows
  fs::path resolved = path;
  for (int links = 0; links < kMostLinks; ++links) {
    const std::optional<std::string> link = LinkAt(resolved.string());
    if (!link) break;
    resolved = resolved.parent_path() / *link;
  }
  std::error_code error;
  const fs::path canonical = fs::weakly_canonical(resolved, error);
  return error ? resolved : canonical;
}

// The name of the temporary file of this process that has one, for a signal's handler.
std::atomic<const char*> named_temporary{nullptr};

extern "C" void RemoveTemporaryFile(int signal) {
  if (const char* const name = named_temporary) unlink(name);
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

std::string FolderOf(const fs::path& path) {
  return path.has_parent_path() ? path.parent_path().string() : ".";
}

// A file without a name, or -1: some file systems have none, and without /proc it could never get one.
int OpenNameless(const std::string& folder, mode_t mode) {
  if (access("/proc/self/fd", X_OK) != 0) return -1;
  return Uninterrupted([&] { return open(folder.c_str(), O_TMPFILE | O_WRONLY | O_CLOEXEC, mode); });
}

// Gives a file another's permissions, as the header says, or false and errno. The mode comes last: before it
// has its group, it would let the wrong one in.
bool TakeAfter(const struct stat& other, int fd) {
  struct stat own;
  if (fstat(fd, &own) != 0) return false;
  const auto give = [fd](uid_t user, gid_t group) {
    return Uninterrupted([&] { return fchown(fd, user, group); }) == 0;
  };
  const bool has_group = give(other.st_uid, other.st_gid) || own.st_gid == other.st_gid ||
                         give(static_cast<uid_t>(-1), other.st_gid);
  mode_t mode = other.st_mode & 0777;
  if (!has_group) {
    const mode_t common = mode & mode >> 3 & 07;
    mode = (mode & 0700) | common << 3 | common;
  }
  return (own.st_mode & 07777) == mode || Uninterrupted([&] { return fchmod(fd, mode); }) == 0;
}

// The name in `folder` with which make(name) succeeded, or "" and errno. A short name of its own, since that
// of the output may be as long as names can be. Others may be writing too.
template <class Make>
std::string MakeIn(const std::string& folder, const Make& make) {
  for (int attempt = 0;; ++attempt) {
    std::string name = fmt::format("{}/.fusedffn-{}-{}.tmp", folder, getpid(), attempt);
    if (make(name.c_str())) return name;
    if (errno != EEXIST && errno != EINTR) return "";
  }
}

}  // namespace

void RemoveTemporaryFileOnSignals() {
  for (const int signal : {SIGHUP, SIGINT, SIGTERM}) {
    if (std::signal(signal, RemoveTemporaryFile) == SIG_IGN) std::signal(signal, SIG_IGN);  // as by nohup
  }
}

void CheckWritable(const std::string& path) {
  const fs::path resolved = Resolved(path);
  const std::optional<struct stat> status = StatusOf(resolved.string());
  if (status && !S_ISREG(status->st_mode)) {
    throw Error(path, "exists and is not a regular file, and only those can be replaced");
  }
  const std::string folder = FolderOf(resolved);
  if (access(folder.c_str(), W_OK | X_OK) != 0) {
    throw Error::FromErrno(path, fmt::format("write to its folder {}", OneLine(folder)));
  }
}

AtomicFile::AtomicFile(const std::string& path, bool named) : path_(path) {
  CheckWritable(path);
  const fs::path resolved = Resolved(path);
  const std::optional<struct stat> replaced = StatusOf(resolved.string());
  // At first for nobody but this user, and never for those who could not read the file that it replaces.
  Open(FolderOf(resolved), named, replaced ? replaced->st_mode & 0600 : 0666);
  if (!replaced || TakeAfter(*replaced, fd_)) return;
  const Error error = Error::FromErrno(path_, "give a temporary file beside it the same permissions");
  Discard();
  throw error;
}

AtomicFile::~AtomicFile() { Discard(); }

void AtomicFile::Open(const std::string& folder, bool named, mode_t mode) {
  if (!named) fd_ = OpenNameless(folder, mode);
  if (fd_ >= 0) return;
  temporary_ = MakeIn(folder, [this, mode](const char* name) {
    fd_ = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    return fd_ >= 0;
  });
  if (fd_ < 0) throw Error::FromErrno(path_, "create a temporary file beside it");
  named_temporary = temporary_.c_str();
}

void AtomicFile::Discard() {
  if (fd_ >= 0) close(fd_);
  if (!temporary_.empty()) unlink(temporary_.c_str());
  named_temporary = nullptr;
}

void AtomicFile::Write(const void* data, size_t bytes) {
  WriteAt(end_, data, bytes);
  end_ += bytes;
}

void AtomicFile::WriteAt(uint64_t offset, const void* data, size_t bytes) {
  constexpr size_t kMostAtOnce = size_t{1} << 30;
  const char* from = static_cast<const char*>(data);
  while (bytes > 0) {
    const ssize_t written = Uninterrupted(
        [&] { return pwrite(fd_, from, std::min(bytes, kMostAtOnce), static_cast<off_t>(offset)); });
    if (written < 0) throw Error::FromErrno(path_, "write");
    from += written;
    offset += static_cast<uint64_t>(written);
    bytes -= static_cast<size_t>(written);
  }
}

void AtomicFile::Commit() {
  // Some file systems find out that the disk is full only here, or only on close().
  if (Uninterrupted([&] { return fsync(fd_); }) != 0) throw Error::FromErrno(path_, "write");
  const fs::path resolved = Resolved(path_);
  if (temporary_.empty()) {
    // No system call puts a file without a name in the place of another one: it gets a temporary one first.
    const std::string self = fmt::format("/proc/self/fd/{}", fd_);
    temporary_ = MakeIn(FolderOf(resolved), [&self](const char* name) {
      return linkat(AT_FDCWD, self.c_str(), AT_FDCWD, name, AT_SYMLINK_FOLLOW) == 0;
    });
    if (temporary_.empty()) throw Error::FromErrno(path_, "name its temporary file");
    named_temporary = temporary_.c_str();
  }
  const int fd = fd_;
  fd_ = -1;
  // Interrupted or not, it is closed, and after fsync() nothing is left to be written.
  if (close(fd) != 0 && errno != EINTR) throw Error::FromErrno(path_, "write");
  if (Uninterrupted([&] { return rename(temporary_.c_str(), resolved.c_str()); }) != 0) {
    throw Error::FromErrno(path_, "rename its temporary file");
  }
  named_temporary = nullptr;
  temporary_.clear();
}

}  // namespace io
}  // namespace v0_2
}  // namespace fusedffn

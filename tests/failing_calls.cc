// To be preloaded: calls of the C library's functions fail. What the environment says:
//   FAIL_CALLS  the functions, as "pread pwrite"
//   FAIL_AT     which of their calls in the process, from 1; 0: every other one on each thread
//   FAIL_WITH   errno afterwards, as a number; 0: no error, but half of the bytes only
//   FAIL_MARK   a file that is made when one fails, with its name
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <string>

namespace {

// The C library's own.
template <class Function>
Function* Original(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

const char* Setting(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

int Fault() {
  static const int fault = std::atoi(Setting("FAIL_WITH"));
  return fault;
}

bool IsTheOne() {
  static const long at = std::atol(Setting("FAIL_AT"));
  static std::atomic<long> calls{0};
  thread_local bool other = false;
  other = !other;
  return at == 0 ? other : ++calls == at;
}

bool IsMeant(const char* name) {
  static const std::string calls = std::string(" ") + Setting("FAIL_CALLS") + " ";
  return calls.find(std::string(" ") + name + " ") != std::string::npos;
}

// Whether this call fails.
bool Fails(const char* name) {
  if (!IsMeant(name) || !IsTheOne()) return false;
  std::FILE* const mark = std::fopen(Setting("FAIL_MARK"), "w");
  std::fputs(name, mark);
  std::fclose(mark);
  errno = Fault();
  return true;
}

template <class Function, class... Arguments>
auto Call(const char* name, Arguments... arguments) {
  if (!Fails(name)) return Original<Function>(name)(arguments...);
  return decltype(Original<Function>(name)(arguments...)){-1};
}

// A call that takes bytes.
template <class Function, class Bytes, class... Place>
ssize_t Transfer(const char* name, int fd, Bytes* data, size_t bytes, Place... place) {
  const bool fails = Fails(name);
  if (fails && Fault() != 0) return -1;
  if (fails) bytes = std::max(size_t{1}, bytes / 2);
  return Original<Function>(name)(fd, data, bytes, place...);
}

}  // namespace

extern "C" {

int open(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const bool creates = (flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE;
  const mode_t mode = creates ? va_arg(arguments, mode_t) : 0;
  va_end(arguments);
  return Call<decltype(open)>("open", path, flags, mode);
}

int access(const char* path, int mode) noexcept { return Call<decltype(access)>("access", path, mode); }
int close(int fd) { return Call<decltype(close)>("close", fd); }
int fchmod(int fd, mode_t mode) noexcept { return Call<decltype(fchmod)>("fchmod", fd, mode); }
int fchown(int fd, uid_t user, gid_t group) noexcept {
  return Call<decltype(fchown)>("fchown", fd, user, group);
}
int fstat(int fd, struct stat* to) noexcept { return Call<decltype(fstat)>("fstat", fd, to); }
int fsync(int fd) { return Call<decltype(fsync)>("fsync", fd); }
int linkat(int from_folder, const char* from, int to_folder, const char* to, int flags) noexcept {
  return Call<decltype(linkat)>("linkat", from_folder, from, to_folder, to, flags);
}
int lstat(const char* path, struct stat* to) noexcept { return Call<decltype(lstat)>("lstat", path, to); }
ssize_t readlink(const char* path, char* to, size_t bytes) noexcept {
  return Call<decltype(readlink)>("readlink", path, to, bytes);
}
int rename(const char* from, const char* to) noexcept { return Call<decltype(rename)>("rename", from, to); }
int stat(const char* path, struct stat* to) noexcept { return Call<decltype(stat)>("stat", path, to); }

ssize_t read(int fd, void* to, size_t bytes) { return Transfer<decltype(read)>("read", fd, to, bytes); }
ssize_t pread(int fd, void* to, size_t bytes, off_t offset) {
  return Transfer<decltype(pread)>("pread", fd, to, bytes, offset);
}
ssize_t pwrite(int fd, const void* from, size_t bytes, off_t offset) {
  return Transfer<decltype(pwrite)>("pwrite", fd, from, bytes, offset);
}
}

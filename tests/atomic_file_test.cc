// An output file is there whole or not at all, and nothing else is left behind.
#include "src/files/atomic_file.h"

#include <fcntl.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <string>

#include "tests/child.h"
#include "tests/test_files.h"

namespace fusedffn::io {
namespace {

using Files = std::map<std::string, std::string>;

// With a temporary file that has a name all along, and with one that has none if there are such here.
class AtomicFileTest : public testing::TestWithParam<bool> {};
INSTANTIATE_TEST_SUITE_P(Temporary, AtomicFileTest, testing::Bool(),
                         [](const auto& info) { return info.param ? "Named" : "Nameless"; });

void WriteFile(const std::string& path, const std::string& bytes, bool named) {
  AtomicFile file(path, named);
  file.Write(bytes.data(), bytes.size());
  file.Commit();
}

TEST_P(AtomicFileTest, CreatesAndReplaces) {
  const TempFolder folder;
  for (const std::string bytes : {"first", "", "second"}) {
    WriteFile(folder / "y", bytes, GetParam());
    EXPECT_EQ(folder.Contents(), (Files{{"y", bytes}}));
  }
}

TEST_P(AtomicFileTest, WritesAtAnyPlace) {
  const TempFolder folder;
  AtomicFile file(folder / "y", GetParam());
  file.Write("01", 2);
  file.WriteAt(6, "67", 2);
  file.Write("23", 2);
  file.WriteAt(4, "45", 2);
  file.Commit();
  EXPECT_EQ(folder.Contents(), (Files{{"y", "01234567"}}));
}

struct stat StatusOf(const std::string& path) {
  struct stat status = {};
  EXPECT_EQ(stat(path.c_str(), &status), 0) << path;
  return status;
}

mode_t ModeOf(const std::string& path) { return StatusOf(path).st_mode & 07777; }

TEST_P(AtomicFileTest, ANewFileHasTheUsualPermissions) {
  const TempFolder folder;
  for (const mode_t mask : {022, 077, 002, 0}) {
    const std::string path = folder / std::to_string(mask);
    const mode_t before = umask(mask);
    WriteFile(path, "bytes", GetParam());
    umask(before);
    EXPECT_EQ(ModeOf(path), 0666 & ~mask);
  }
}

// Whatever the umask. Of an old file that is written to, the system takes the set-user-ID bit.
TEST_P(AtomicFileTest, AReplacedFilesPermissionsAreKept) {
  const TempFolder folder;
  folder.Write("y", "old");
  std::filesystem::create_symlink("y", folder / "link");
  const mode_t before = umask(027);
  for (const char* name : {"y", "link"}) {
    for (const mode_t mode : {0600, 0755, 0644, 0666, 0400, 04755, 02770}) {
      ASSERT_EQ(chmod((folder / "y").c_str(), mode), 0);
      WriteFile(folder / name, "new", GetParam());
      EXPECT_EQ(ModeOf(folder / "y"), mode & 0777) << name << std::oct << ", mode " << mode;
    }
  }
  umask(before);
  EXPECT_TRUE(std::filesystem::is_symlink(folder / "link"));
}

// Of the files in a folder that this process has open, the mode of the only one.
mode_t ModeWhileItIsWritten(const TempFolder& folder) {
  mode_t mode = 0;
  int found = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code gone;
    const std::string target = std::filesystem::read_symlink(entry.path(), gone).string();
    if (gone || target.rfind(folder.path() + "/", 0) != 0) continue;
    mode = ModeOf(entry.path());
    ++found;
  }
  EXPECT_EQ(found, 1);
  return mode;
}

TEST_P(AtomicFileTest, NobodyElseReadsWhileItIsWritten) {
  const TempFolder folder;
  folder.Write("y", "old");
  for (const mode_t mode : {0600, 0640}) {
    ASSERT_EQ(chmod((folder / "y").c_str(), mode), 0);
    AtomicFile file(folder / "y", GetParam());
    file.Write("bytes", 5);
    EXPECT_EQ(ModeWhileItIsWritten(folder) & ~mode, 0u);
  }
}

TEST_P(AtomicFileTest, OwnerAndGroupAreKept) {
  const TempFolder folder;
  folder.Write("y", "old");
  if (chown((folder / "y").c_str(), 1234, 5678) != 0) GTEST_SKIP() << "only root gives files away";
  ASSERT_EQ(chmod((folder / "y").c_str(), 0640), 0);
  WriteFile(folder / "y", "new", GetParam());
  EXPECT_EQ(StatusOf(folder / "y").st_uid, 1234u);
  EXPECT_EQ(StatusOf(folder / "y").st_gid, 5678u);
  EXPECT_EQ(ModeOf(folder / "y"), 0640u);
}

// Replaces a file of root's as a user who belongs to `group` besides his own.
void ReplaceAsAnother(const std::string& path, gid_t group, bool named) {
  const int exit_code = InChild([&] {
    if (setgroups(1, &group) != 0 || setgid(1234) != 0 || setuid(1234) != 0) return 1;
    return ErrorOf(path, [&] { WriteFile(path, "new", named); }).empty() ? 0 : 2;
  });
  ASSERT_EQ(exit_code, 0);
}

TEST_P(AtomicFileTest, WithoutItsGroupNobodyGetsMore) {
  const TempFolder folder;
  if (chown(folder.path().c_str(), 1234, 5678) != 0) GTEST_SKIP() << "only root becomes another user";
  const struct {
    mode_t before;
    gid_t group;  // that the user may give files to, besides his own
    mode_t after;
  } cases[] = {{0664, 5678, 0664}, {0640, 5678, 0640}, {0664, 99, 0644},
               {0640, 99, 0600},   {0604, 99, 0600},   {0666, 99, 0666}};
  for (const auto& [before, group, after] : cases) {
    folder.Write("y", "old");
    ASSERT_EQ(chown((folder / "y").c_str(), 0, 5678), 0);
    ASSERT_EQ(chmod((folder / "y").c_str(), before), 0);
    ReplaceAsAnother(folder / "y", group, GetParam());
    EXPECT_EQ(ReadBytes(folder / "y"), "new");
    EXPECT_EQ(ModeOf(folder / "y"), after) << std::oct << before;
    EXPECT_EQ(StatusOf(folder / "y").st_gid, group == 5678 ? 5678u : 1234u);
  }
}

TEST_P(AtomicFileTest, WithoutCommitNothingHappens) {
  const TempFolder folder;
  folder.Write("old", "old");
  for (const char* name : {"old", "new"}) {
    AtomicFile file(folder / name, GetParam());
    file.Write("bytes", 5);
  }
  EXPECT_EQ(folder.Contents(), (Files{{"old", "old"}}));
}

TEST(NamelessFileTest, NothingIsLeftOfAKilledProcess) {
  const TempFolder folder;
  const int nameless = open(folder.path().c_str(), O_TMPFILE | O_WRONLY, 0600);
  if (nameless < 0) GTEST_SKIP() << "this file system has no files without names";
  close(nameless);
  const int exit_code = InChild([&] {
    AtomicFile file(folder / "y");
    file.Write("bytes", 5);
    return raise(SIGKILL);
  });
  EXPECT_EQ(exit_code, -SIGKILL);
  EXPECT_EQ(folder.Contents(), Files{});
}

TEST_P(AtomicFileTest, TwoWritersDoNotMix) {
  const TempFolder folder;
  {
    AtomicFile first(folder / "y", GetParam()), second(folder / "y", GetParam());
    first.Write("first", 5);
    second.Write("second", 6);
    second.Commit();
    first.Commit();
  }
  EXPECT_EQ(folder.Contents(), (Files{{"y", "first"}}));
}

// A limit on file sizes fails like a full disk: some bytes are written, and then no more.
TEST_P(AtomicFileTest, FullDisk) {
  const TempFolder folder;
  folder.Write("old", "old");
  signal(SIGXFSZ, SIG_IGN);
  rlimit limit;
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &limit), 0);
  const rlimit low = {1000, limit.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &low), 0);
  const std::string path = folder / "old";
  const std::string message = ErrorOf(path, [&] { WriteFile(path, std::string(3000, 'x'), GetParam()); });
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
  EXPECT_EQ(message, "cannot write: File too large");
  EXPECT_EQ(folder.Contents(), (Files{{"old", "old"}}));
}

TEST_P(AtomicFileTest, FollowsASymbolicLink) {
  const TempFolder folder;
  std::filesystem::create_directory(folder / "elsewhere");
  folder.Write("elsewhere/file", "old");
  std::filesystem::create_symlink("elsewhere/file", folder / "link");
  WriteFile(folder / "link", "new", GetParam());
  EXPECT_TRUE(std::filesystem::is_symlink(folder / "link"));
  EXPECT_EQ(ReadBytes(folder / "elsewhere/file"), "new");
}

TEST_P(AtomicFileTest, FollowsALinkToAFileThatIsNotThereYet) {
  const TempFolder folder;
  std::filesystem::create_directory(folder / "elsewhere");
  std::filesystem::create_symlink("elsewhere/file", folder / "link");
  std::filesystem::create_symlink("link", folder / "second");
  WriteFile(folder / "second", "new", GetParam());
  EXPECT_TRUE(std::filesystem::is_symlink(folder / "second"));
  EXPECT_TRUE(std::filesystem::is_symlink(folder / "link"));
  EXPECT_EQ(ReadBytes(folder / "elsewhere/file"), "new");
}

TEST_P(AtomicFileTest, SignalsLeaveNothing) {
  const TempFolder folder;
  folder.Write("file", "old");
  for (const int signal : {SIGHUP, SIGINT, SIGTERM}) {
    const int exit_code = InChild([&] {
      RemoveTemporaryFileOnSignals();
      AtomicFile file(folder / "file", GetParam());
      file.Write("new", 3);
      return std::raise(signal);
    });
    EXPECT_EQ(exit_code, -signal);
    EXPECT_EQ(folder.Contents(), (Files{{"file", "old"}}));
  }
}

TEST_P(AtomicFileTest, TakesTheLongestName) {
  const TempFolder folder;
  WriteFile(folder / std::string(255, 'y'), "bytes", GetParam());
  EXPECT_EQ(folder.Contents().size(), 1u);
}

TEST_P(AtomicFileTest, RefusesWhatCannotBeReplaced) {
  const TempFolder folder;
  std::filesystem::create_directory(folder / "directory");
  ASSERT_EQ(mkfifo((folder / "pipe").c_str(), 0600), 0);
  folder.Write("file", "bytes");
  const std::pair<std::string, const char*> cases[] = {
      {folder / "directory", "not a regular file"},
      {folder / "pipe", "not a regular file"},
      {"/dev/null", "not a regular file"},
      {folder / "none/y", "cannot write to its folder"},
      {folder / "file/y", "cannot write to its folder"},
      {folder / std::string(256, 'y'), "File name too long"},
  };
  const Files before = folder.Contents();
  for (const auto& [path, message] : cases) {
    const std::string& name = path;
    EXPECT_TRUE(Contains(ErrorOf(name, [&] { WriteFile(name, "bytes", GetParam()); }), message)) << name;
    EXPECT_EQ(folder.Contents(), before);
  }
}

TEST_P(AtomicFileTest, RefusesAFolderThatCannotBeWrittenTo) {
  if (geteuid() == 0) GTEST_SKIP() << "root may write everywhere";
  const TempFolder folder;
  chmod(folder.path().c_str(), 0500);
  const std::string path = folder / "y";
  EXPECT_TRUE(Contains(ErrorOf(path, [&] { CheckWritable(path); }), "cannot write to its folder"));
  chmod(folder.path().c_str(), 0700);
}

}  // namespace
}  // namespace fusedffn::io

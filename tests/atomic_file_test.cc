// An output file is there whole or not at all, and nothing else is left behind.
#include "src/io/atomic_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <string>

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

TEST_P(AtomicFileTest, HasTheUsualPermissions) {
  const TempFolder folder;
  WriteFile(folder / "y", "bytes", GetParam());
  const mode_t mask = umask(0);
  umask(mask);
  struct stat status;
  ASSERT_EQ(stat((folder / "y").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0666 & ~mask);
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
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    AtomicFile file(folder / "y");
    file.Write("bytes", 5);
    raise(SIGKILL);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
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

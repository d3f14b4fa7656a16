// An output file is there whole or not at all, and nothing else is left behind.
#include "src/io/atomic_file.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "tests/test_files.h"

namespace fusedffn::io {
namespace {

using Files = std::map<std::string, std::string>;

void WriteFile(const std::string& path, const std::string& bytes) {
  AtomicFile file(path);
  file.Write(bytes.data(), bytes.size());
  file.Commit();
}

TEST(AtomicFileTest, CreatesAndReplaces) {
  const TempFolder folder;
  for (const std::string bytes : {"first", "", "second"}) {
    WriteFile(folder / "y", bytes);
    EXPECT_EQ(folder.Contents(), (Files{{"y", bytes}}));
  }
}

TEST(AtomicFileTest, WritesAtAnyPlace) {
  const TempFolder folder;
  AtomicFile file(folder / "y");
  file.Write("01", 2);
  file.WriteAt(6, "67", 2);
  file.Write("23", 2);
  file.WriteAt(4, "45", 2);
  file.Commit();
  EXPECT_EQ(folder.Contents(), (Files{{"y", "01234567"}}));
}

TEST(AtomicFileTest, HasTheUsualPermissions) {
  const TempFolder folder;
  WriteFile(folder / "y", "bytes");
  const mode_t mask = umask(0);
  umask(mask);
  struct stat status;
  ASSERT_EQ(stat((folder / "y").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0666 & ~mask);
}

TEST(AtomicFileTest, WithoutCommitNothingHappens) {
  const TempFolder folder;
  folder.Write("old", "old");
  for (const char* name : {"old", "new"}) {
    AtomicFile file(folder / name);
    file.Write("bytes", 5);
  }
  EXPECT_EQ(folder.Contents(), (Files{{"old", "old"}}));
}

TEST(AtomicFileTest, TwoWritersDoNotMix) {
  const TempFolder folder;
  {
    AtomicFile first(folder / "y"), second(folder / "y");
    first.Write("first", 5);
    second.Write("second", 6);
    second.Commit();
    first.Commit();
  }
  EXPECT_EQ(folder.Contents(), (Files{{"y", "first"}}));
}

// A limit on file sizes fails like a full disk: some bytes are written, and then no more.
TEST(AtomicFileTest, FullDisk) {
  const TempFolder folder;
  folder.Write("old", "old");
  signal(SIGXFSZ, SIG_IGN);
  rlimit limit;
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &limit), 0);
  const rlimit low = {1000, limit.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &low), 0);
  const std::string path = folder / "old";
  const std::string message = ErrorOf(path, [&] { WriteFile(path, std::string(3000, 'x')); });
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
  EXPECT_EQ(message, "cannot write: File too large");
  EXPECT_EQ(folder.Contents(), (Files{{"old", "old"}}));
}

TEST(AtomicFileTest, FollowsASymbolicLink) {
  const TempFolder folder;
  std::filesystem::create_directory(folder / "elsewhere");
  folder.Write("elsewhere/file", "old");
  std::filesystem::create_symlink("elsewhere/file", folder / "link");
  WriteFile(folder / "link", "new");
  EXPECT_TRUE(std::filesystem::is_symlink(folder / "link"));
  EXPECT_EQ(ReadBytes(folder / "elsewhere/file"), "new");
}

TEST(AtomicFileTest, TakesTheLongestName) {
  const TempFolder folder;
  WriteFile(folder / std::string(255, 'y'), "bytes");
  EXPECT_EQ(folder.Contents().size(), 1u);
}

TEST(AtomicFileTest, RefusesWhatCannotBeReplaced) {
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
    EXPECT_TRUE(Contains(ErrorOf(name, [&] { WriteFile(name, "bytes"); }), message)) << name;
    EXPECT_EQ(folder.Contents(), before);
  }
}

TEST(AtomicFileTest, RefusesAFolderThatCannotBeWrittenTo) {
  if (geteuid() == 0) GTEST_SKIP() << "root may write everywhere";
  const TempFolder folder;
  chmod(folder.path().c_str(), 0500);
  const std::string path = folder / "y";
  EXPECT_TRUE(Contains(ErrorOf(path, [&] { CheckWritable(path); }), "cannot write to its folder"));
  chmod(folder.path().c_str(), 0700);
}

}  // namespace
}  // namespace fusedffn::io

// Each system call on a file that the program makes fails once: it ends with one line that names the file,
// and all files are as they were. Or all of them are interrupted, or do half of what they were asked for: it
// does its work all the same.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "src/files/array_file.h"
#include "tests/program.h"
#include "tests/test_checkpoint.h"
#include "tests/test_files.h"

namespace fusedffn {
namespace {

namespace fs = std::filesystem;

struct Command {
  const char* name;
  std::vector<std::string> arguments;  // with {} for the folder
  std::string output;                  // "": none
};

const char* const kOld = "old.npy";  // an output that is replaced, through a link, and keeps its mode
constexpr mode_t kOldMode = 0640;

class FailingCallsTest : public testing::TestWithParam<Command> {
 protected:
  using Files = std::map<std::string, std::string>;

  FailingCallsTest() {
    const Shape shape = {5, 7, 3};
    const std::string whole = folder_ / "w.safetensors";
    WriteCheckpoint(whole, "vision_model.encoder.layers.0.mlp", shape, {});
    SplitIntoShards(whole, folder_.path());
    fs::remove(whole);
    folder_.Write("config.json",
                  R"({"model_type": "siglip", "vision_config": {"model_type": "siglip_vision_model"}})");
    Random random(2);
    io::WriteArray(folder_ / "x.npy", {{4, shape.dim}, RandomTokens(shape, 4, &random)});
    fs::create_symlink(kOld, folder_ / "link.npy");
    Reset();
    before_ = folder_.Contents();
  }

  void Reset() const {
    if (GetParam().output.empty()) return;
    fs::remove(folder_ / GetParam().output);
    if (GetParam().output != kOld) return;
    folder_.Write(kOld, "what the output file held before");
    EXPECT_EQ(chmod((folder_ / kOld).c_str(), kOldMode), 0);
  }

  // With these calls failing, as failing_calls.cc says.
  Outcome StartFailing(const std::string& calls, int at, int error) {
    Reset();
    const std::string mark = marks_ / "mark";
    std::vector<std::string> command = {"/usr/bin/env",
                                        "LD_PRELOAD=" FUSEDFFN_FAILING_CALLS,
                                        "FAIL_CALLS=" + calls,
                                        "FAIL_AT=" + std::to_string(at),
                                        "FAIL_WITH=" + std::to_string(error),
                                        "FAIL_MARK=" + mark};
    command.insert(command.end(), kProgram.begin(), kProgram.end());
    std::vector<std::string> arguments = GetParam().arguments;
    for (std::string& argument : arguments) {
      if (argument.substr(0, 2) == "{}") argument.replace(0, 2, folder_.path());
    }
    Outcome outcome = Start(arguments, command);
    failed_ = fs::exists(mark) ? ReadBytes(mark) : "";
    fs::remove(mark);
    return outcome;
  }

  void ExpectDone(const Outcome& outcome) const {
    EXPECT_EQ(outcome.exit_code, 0);
    EXPECT_EQ(outcome.err, "");
    EXPECT_TRUE(folder_.Contents() == after_);
    if (GetParam().output == kOld) {
      EXPECT_EQ(fs::status(folder_ / kOld).permissions(), fs::perms{kOldMode});
    }
    // What inspect cannot read it tells of, and goes on.
    if (!GetParam().output.empty() || outcome.out == right_.out) return;
    EXPECT_TRUE(Contains(outcome.out, folder_.path()));
  }

  void ExpectNothingDone(const Outcome& outcome, int error) const {
    EXPECT_GT(outcome.exit_code, 0);
    ExpectComplaint(outcome, outcome.exit_code, folder_.path());
    EXPECT_TRUE(Contains(outcome.err, std::strerror(error)));
    EXPECT_TRUE(folder_.Contents() == before_);
  }

  void FindRight() {
    right_ = StartFailing("", 1, 0);
    ASSERT_EQ(right_.exit_code, 0) << right_.err;
    after_ = folder_.Contents();
    Files expected = before_;
    if (!GetParam().output.empty()) expected[GetParam().output];
    EXPECT_EQ(after_.size(), expected.size());
  }

  const TempFolder folder_, marks_;
  Files before_, after_;
  Outcome right_;
  std::string failed_;  // a call of the last start that failed; "": none did
};

TEST_P(FailingCallsTest, AllOrNothing) {
  const std::set<std::string> all = {"access", "close", "fchmod", "fstat",    "fsync",  "linkat", "lstat",
                                     "open",   "pread", "pwrite", "readlink", "rename", "stat"};
  std::string calls;
  for (const std::string& call : all) calls += call + " ";
  FindRight();
  std::set<std::string> failed;
  for (const int error : {EIO, ENOSPC}) {
    int n = 0;
    do {
      const Outcome outcome = StartFailing(error == EIO ? calls : "linkat pwrite", ++n, error);
      SCOPED_TRACE(testing::Message() << failed_ << ", call " << n << ", " << std::strerror(error));
      failed.insert(failed_);
      if (outcome.exit_code == 0 || failed_.empty()) {
        ExpectDone(outcome);
      } else {
        ExpectNothingDone(outcome, error);
      }
    } while (!failed_.empty() && n < 500);
    EXPECT_EQ(failed_, "") << "is called for ever";
  }
  failed.erase("");
  // The longest way has all of them.
  EXPECT_TRUE(failed == all || GetParam().output != kOld) << testing::PrintToString(failed);
}

TEST_P(FailingCallsTest, InterruptedOrInHalves) {
  FindRight();
  const std::string transfers = "pread pwrite";
  for (const auto& [calls, error] :
       {std::pair(transfers, 0),
        std::pair(transfers + " open close fsync fchown fchmod rename linkat", EINTR)}) {
    SCOPED_TRACE(calls);
    ExpectDone(StartFailing(calls, 0, error));
    EXPECT_NE(failed_, "");
  }
}

std::vector<std::string> RunTo(const char* output) {
  return {"run",     "--weights", "{}",       "--layer", "vision_model.encoder.layers.0.mlp",
          "--input", "{}/x.npy",  "--output", output};
}

INSTANTIATE_TEST_SUITE_P(Program, FailingCallsTest,
                         testing::Values(Command{"RunThroughALink", RunTo("{}/link.npy"), kOld},
                                         Command{
                                             "Quantize",
                                             {"quantize", "--weights", "{}", "--output", "{}/q.safetensors"},
                                             "q.safetensors"},
                                         Command{"Inspect", {"inspect", "{}"}, ""}),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace fusedffn

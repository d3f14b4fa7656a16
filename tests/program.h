// The program from outside: runs it, or another one, and keeps what it says.
#ifndef FUSEDFFN_TESTS_PROGRAM_H_
#define FUSEDFFN_TESTS_PROGRAM_H_

#include <fcntl.h>
#include <gtest/gtest.h>
#include <spawn.h>
#include <unistd.h>

#include <string>
#include <utility>
#include <vector>

#include "fusedffn/fusedffn.h"
#include "tests/child.h"
#include "tests/test_files.h"

namespace fusedffn {

struct Outcome {
  int exit_code;  // minus the signal, if one ended it
  std::string out, err;
};

// What the arguments are put behind: the program, in a cross-build behind an emulator and its options.
inline const std::vector<std::string> kProgram = {FUSEDFFN_PROGRAM};

// Runs the program, or another one, to its end.
inline Outcome Start(const std::vector<std::string>& arguments, std::vector<std::string> command = kProgram,
                     const char* out_path = nullptr) {
  const TempFolder logs;
  const std::string out = out_path ? out_path : logs.Write("out", ""), err = logs.Write("err", "");
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, out.c_str(), O_WRONLY, 0);
  posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, err.c_str(), O_WRONLY, 0);
  command.insert(command.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (std::string& argument : command) argv.push_back(argument.data());
  argv.push_back(nullptr);
  pid_t pid = 0;
  EXPECT_EQ(posix_spawn(&pid, argv[0], &actions, nullptr, argv.data(), environ), 0) << argv[0];
  posix_spawn_file_actions_destroy(&actions);
  int status = 0;
  EXPECT_EQ(waitpid(pid, &status, 0), pid);
  const int exit_code = ExitCodeOf(status);
  return {exit_code, out_path ? "" : ReadBytes(out), ReadBytes(err)};
}

// One line on stderr that contains `message`, nothing on stdout.
inline void ExpectComplaint(const Outcome& outcome, int exit_code, const std::string& message) {
  EXPECT_EQ(outcome.exit_code, exit_code);
  EXPECT_EQ(outcome.out, "");
  EXPECT_TRUE(Contains(outcome.err, message));
  EXPECT_EQ(outcome.err.substr(0, 10), "fusedffn: ");
  EXPECT_EQ(outcome.err.find('\n'), outcome.err.size() - 1) << outcome.err;
}

// What --dtype takes beside the precisions' names.
inline constexpr std::pair<const char*, Accuracy> kAutomaticDTypes[] = {{"auto", Accuracy::kF32Like},
                                                                        {"auto:f32", Accuracy::kF32Like},
                                                                        {"auto:bf16", Accuracy::kBF16Like},
                                                                        {"auto:int8", Accuracy::kInt8Like}};

// The line that the program prints first with one of these.
inline std::string AutomaticLine(const std::string& dtype, const PrecisionChoice& choice, size_t tokens) {
  return "dtype " + dtype + " -> " + PrecisionName(choice.precision) + ": for " + std::to_string(tokens) +
         " tokens " +
         (choice.measured ? "the fastest measured on this kind of CPU\n"
                          : "nothing was measured on this kind of CPU, and it changes no weight\n");
}

}  // namespace fusedffn

#endif  // FUSEDFFN_TESTS_PROGRAM_H_

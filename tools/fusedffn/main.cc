// The program: parses, calls a subcommand, and turns what goes wrong into one line and an exit code.
#include <fmt/format.h>

#include <CLI/App.hpp>
#include <csignal>
#include <cstdio>
#include <exception>
#include <iostream>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>

#include "fusedffn/fusedffn.h"
#include "src/files/atomic_file.h"
#include "tools/fusedffn/arguments.h"
#include "tools/fusedffn/commands.h"
#include "tools/fusedffn/messages.h"

namespace fusedffn::program {
namespace {

constexpr int kOk = 0, kFailure = 1, kUsage = 2;

// The parser's own messages say what was wrong; the rest is in the help text of the subcommand.
int ComplainAboutUsage(const CLI::App& app, const std::string& what) {
  const auto subcommands = app.get_subcommands();
  const std::string command = subcommands.empty() ? "" : " " + subcommands.front()->get_name();
  return Fail(fmt::format("{} ('fusedffn{} --help' says what is accepted)", what, command), kUsage);
}

int ParseAndRun(CLI::App* app, const Action& chosen, int argc, char** argv) {
  try {
    app->parse(argc, argv);
    if (!chosen) throw UsageError("a subcommand is required: run, tower, quantize, inspect or info");
    chosen();
    return kOk;
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app->exit(error);  // --help and --version
    return ComplainAboutUsage(*app, error.what());
  } catch (const UsageError& error) {
    return ComplainAboutUsage(*app, error.what());
  }
}

int RunProgram(int argc, char** argv) {
  if (!EnvironmentStatus().ok()) Complain(EnvironmentStatus().message());

  Action chosen;
  const std::unique_ptr<CLI::App> app = MakeParser(&chosen);
  const int exit_code = ParseAndRun(app.get(), chosen, argc, argv);
  std::cout.flush();
  if (std::fflush(stdout) != 0 || !std::cout) return Fail("cannot write to standard output", kFailure);
  return exit_code;
}

int Main(int argc, char** argv) {
  // Beyond the user's limit on file sizes write() shall fail, and the temporary file be removed.
  std::signal(SIGXFSZ, SIG_IGN);
  io::RemoveTemporaryFileOnSignals();
  try {
    return RunProgram(argc, argv);
  } catch (const std::bad_alloc&) {
    return Fail("out of memory", kFailure);
  } catch (const std::length_error&) {
    return Fail("out of memory", kFailure);
  } catch (const std::exception& error) {
    return Fail(error.what(), kFailure);
  }
}

}  // namespace
}  // namespace fusedffn::program

int main(int argc, char** argv) { return fusedffn::program::Main(argc, argv); }

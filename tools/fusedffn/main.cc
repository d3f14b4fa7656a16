// The program: parses, calls a subcommand, and turns what goes wrong into one line and an exit code.
#include <fmt/format.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <csignal>
#include <cstdio>
#include <exception>
#include <iostream>
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

int ParseAndRun(CLI::App* app, int argc, char** argv) {
  try {
    app->parse(argc, argv);
    if (app->get_subcommands().empty())
      throw UsageError("a subcommand is required: run, tower, quantize, inspect or info");
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

  CLI::App app("A transformer's feed-forward block on CPUs: y = fc2(act(fc1(x)))", "fusedffn");
  app.get_formatter()->column_width(28);
  app.set_version_flag("--version", "fusedffn " FUSEDFFN_VERSION, "Print the version and exit");
  app.set_help_flag("-h,--help", "Print this text and exit; after a subcommand: that one's");
  app.require_subcommand(0, 1);
  app.footer(
      "Exit code: 0 if all went well, 1 for a failure, 2 for wrong usage. For 1 and 2\n"
      "one line on stderr says what was wrong and what is accepted. An output file is\n"
      "written whole or not at all.\n"
      "\n"
      "Example:\n"
      "  fusedffn inspect clip_l.safetensors\n"
      "  fusedffn run --weights clip_l.safetensors \\\n"
      "      --layer model.vision_model.transformer.layers.0.mlp \\\n"
      "      --input x.npy --output y.npy\n");
  AddRun(&app);
  AddTower(&app);
  AddQuantize(&app);
  AddInspect(&app);
  AddInfo(&app);
  const int exit_code = ParseAndRun(&app, argc, argv);
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

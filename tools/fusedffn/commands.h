// The program's subcommands.
#ifndef FUSEDFFN_TOOLS_FUSEDFFN_COMMANDS_H_
#define FUSEDFFN_TOOLS_FUSEDFFN_COMMANDS_H_

#include <CLI/App.hpp>
#include <functional>
#include <memory>

namespace fusedffn::program {

using Action = std::function<void()>;

// The parser of the whole command line. It sets `*chosen` to what the subcommand does with its options.
std::unique_ptr<CLI::App> MakeParser(Action* chosen);

// Each adds itself and its options.
void AddRun(CLI::App* app, Action* chosen);
void AddTower(CLI::App* app, Action* chosen);
void AddQuantize(CLI::App* app, Action* chosen);
void AddInspect(CLI::App* app, Action* chosen);
void AddInfo(CLI::App* app, Action* chosen);

}  // namespace fusedffn::program

#endif  // FUSEDFFN_TOOLS_FUSEDFFN_COMMANDS_H_

// The program's subcommands. Each adds itself, its options and what it does to the parser.
#ifndef FUSEDFFN_TOOLS_FUSEDFFN_COMMANDS_H_
#define FUSEDFFN_TOOLS_FUSEDFFN_COMMANDS_H_

#include <CLI/App.hpp>

namespace fusedffn::program {

void AddRun(CLI::App* app);
void AddTower(CLI::App* app);
void AddQuantize(CLI::App* app);
void AddInspect(CLI::App* app);
void AddInfo(CLI::App* app);

}  // namespace fusedffn::program

#endif  // FUSEDFFN_TOOLS_FUSEDFFN_COMMANDS_H_

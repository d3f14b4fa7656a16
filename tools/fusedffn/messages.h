// What goes to stderr, and the exit code. Nothing here fails where stderr is closed or full.
#ifndef FUSEDFFN_TOOLS_FUSEDFFN_MESSAGES_H_
#define FUSEDFFN_TOOLS_FUSEDFFN_MESSAGES_H_

#include <string>

namespace fusedffn::program {

// One line: "fusedffn: WHAT".
void Complain(const std::string& what);
void Warn(const std::string& what);

// From now on the output file is there, whole, and what fails is what is printed of it.
void OutputIsWritten();

// Complains, and returns the exit code for it; or, with the output written, warns and returns 0.
int Fail(const std::string& what, int exit_code);

}  // namespace fusedffn::program

#endif  // FUSEDFFN_TOOLS_FUSEDFFN_MESSAGES_H_

#include "tools/fusedffn/messages.h"

#include <cstdio>

#include "src/files/error.h"

namespace fusedffn::program {
namespace {

bool output_is_written = false;

}  // namespace

void Complain(const std::string& what) {
  const std::string line = "fusedffn: " + io::OneLine(what) + "\n";
  std::fputs(line.c_str(), stderr);
}

void Warn(const std::string& what) { Complain("warning: " + what); }

void OutputIsWritten() { output_is_written = true; }

int Fail(const std::string& what, int exit_code) {
  if (!output_is_written) {
    Complain(what);
    return exit_code;
  }
  Warn("the output file is written, but not all was printed: " + what);
  return 0;
}

}  // namespace fusedffn::program

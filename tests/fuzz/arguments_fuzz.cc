// Any bytes as the program's arguments, which end at zeros: they are understood, or the parser says what is
// wrong with them.
#include <CLI/App.hpp>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "tests/fuzz/fuzz_input.h"
#include "tools/fusedffn/commands.h"

namespace fusedffn {
namespace {

// argv, beginning with the program's name.
std::vector<std::string> Arguments(const uint8_t* data, size_t size) {
  std::vector<std::string> arguments = {"fusedffn"};
  const uint8_t* const end = data + size;
  while (data != end) {
    std::string& argument = arguments.emplace_back();
    while (data != end && *data != 0) argument += static_cast<char>(*data++);
    if (data != end) ++data;
  }
  return arguments;
}

bool Parse(CLI::App* parser, const std::vector<std::string>& arguments) {
  std::vector<const char*> argv;
  for (const std::string& argument : arguments) argv.push_back(argument.c_str());
  try {
    parser->parse(static_cast<int>(argv.size()), argv.data());
    return true;
  } catch (const CLI::ParseError& error) {
    if (error.what()[0] == '\0') Found("an error without a message");
    return false;
  }
}

}  // namespace
}  // namespace fusedffn

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace fusedffn;
  program::Action chosen;
  const std::unique_ptr<CLI::App> parser = program::MakeParser(&chosen);
  const bool understood = Parse(parser.get(), Arguments(data, size));
  const size_t commands = parser->get_subcommands().size();
  if (understood && commands != (chosen ? 1 : 0)) Found("a subcommand that does nothing, or two");
  return 0;
}

// What an option accepts: checks for the parser, each of which returns "" or a message.
#ifndef FUSEDFFN_TOOLS_FUSEDFFN_ARGUMENTS_H_
#define FUSEDFFN_TOOLS_FUSEDFFN_ARGUMENTS_H_

#include <cstdint>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

#include "fusedffn/fusedffn.h"
#include "src/models/layer_stack.h"

namespace fusedffn::program {

// Found wrong after parsing, but the user's doing all the same.
class UsageError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

using Check = std::function<std::string(const std::string&)>;

Check WholeNumber(uint64_t most);                    // from 1
Check OneOf(const std::vector<std::string>& names);  // two or more
std::string CheckLayers(const std::string& text);
std::string CheckArrayName(const std::string& path);
std::string CheckCheckpointName(const std::string& path);  // of a single file
std::string CheckTarget(const std::string& name);

// In the order of their enum.
std::vector<std::string> ActivationNames();
std::vector<std::string> PrecisionNames();

// What PackOptions::int8_group may be.
std::vector<std::string> Int8GroupNames();

// "N" or "A..B", which has passed its check.
io::LayerRange LayerRangeOf(const std::string& text);

// "AVX3 AVX2 SSE2 ...", best first: the targets that run on this machine.
std::string SupportedTargets();

}  // namespace fusedffn::program

#endif  // FUSEDFFN_TOOLS_FUSEDFFN_ARGUMENTS_H_

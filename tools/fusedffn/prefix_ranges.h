// Many prefixes of blocks as few texts: layers.0.mlp, layers.1.mlp, layers.2.mlp -> layers.{0..2}.mlp
#ifndef FUSEDFFN_TOOLS_FUSEDFFN_PREFIX_RANGES_H_
#define FUSEDFFN_TOOLS_FUSEDFFN_PREFIX_RANGES_H_

#include <string>
#include <string_view>
#include <vector>

namespace fusedffn::program {

// The prefix with its numbers marked: the same text for prefixes that differ by their numbers only.
std::string WithoutNumbers(std::string_view prefix);

// Texts that stand for these prefixes, all with the same WithoutNumbers(), and for no others. A {} holds the
// values of one number: {0..2}, or {0..2,5}.
std::vector<std::string> CollapsePrefixes(const std::vector<std::string_view>& prefixes);

}  // namespace fusedffn::program

#endif  // FUSEDFFN_TOOLS_FUSEDFFN_PREFIX_RANGES_H_

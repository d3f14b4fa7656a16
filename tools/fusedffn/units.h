// Numbers for people.
#ifndef FUSEDFFN_TOOLS_FUSEDFFN_UNITS_H_
#define FUSEDFFN_TOOLS_FUSEDFFN_UNITS_H_

#include <cstdint>
#include <string>

namespace fusedffn::program {

std::string Grouped(uint64_t value);  // "8,388,608"

std::string Counted(uint64_t count, const char* noun);  // "1 thread", "2 threads"

// In thousands, millions, ... with three significant digits or more: "16.78 M", "403 M", "526 K", "999".
// `decimals`: of values from 100 up.
std::string Scaled(uint64_t value, int decimals);

std::string Bytes(uint64_t bytes);  // "16.78 MB"; decimal units
std::string Flops(uint64_t flops);  // "2.16 GFLOP", "103.5 GFLOP"

}  // namespace fusedffn::program

#endif  // FUSEDFFN_TOOLS_FUSEDFFN_UNITS_H_

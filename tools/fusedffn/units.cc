#include "tools/fusedffn/units.h"

#include <fmt/format.h>

namespace fusedffn::program {

std::string Grouped(uint64_t value) {
  std::string text = std::to_string(value);
  for (size_t at = text.size(); at > 3; at -= 3) text.insert(at - 3, 1, ',');
  return text;
}

std::string Counted(uint64_t count, const char* noun) {
  return fmt::format("{} {}{}", count, noun, count == 1 ? "" : "s");
}

std::string Scaled(uint64_t value, int decimals) {
  if (value < 1000) return fmt::format("{} ", value);
  double scaled = static_cast<double>(value);
  const char* prefix = " KMGTPE";
  while (scaled >= 999.5 && prefix[1] != '\0') {
    scaled /= 1000;
    ++prefix;
  }
  return fmt::format("{:.{}f} {}", scaled, scaled < 99.995 ? 2 : decimals, *prefix);
}

std::string Bytes(uint64_t bytes) { return Scaled(bytes, 0) + "B"; }
std::string Flops(uint64_t flops) { return Scaled(flops, 1) + "FLOP"; }

}  // namespace fusedffn::program

// Compiled once. The public enums' values, and those that names stand for. It needs the public header alone,
// so the program and the tests have it beside a shared library as well.
#ifndef FUSEDFFN_SRC_NAMES_H_
#define FUSEDFFN_SRC_NAMES_H_

#include <optional>
#include <string_view>
#include <vector>

#include "fusedffn/fusedffn.h"

namespace fusedffn {
inline namespace v0_2 {

template <class Enum>
std::vector<Enum> FirstOf(size_t count) {
  std::vector<Enum> values;
  for (size_t i = 0; i < count; ++i) values.push_back(static_cast<Enum>(i));
  return values;
}

inline std::vector<Activation> AllActivations() { return FirstOf<Activation>(kActivationCount); }
inline std::vector<Precision> AllPrecisions() { return FirstOf<Precision>(kPrecisionCount); }

// Nothing if there is none of this name.
inline std::optional<Activation> ActivationNamed(std::string_view name) {
  for (const Activation activation : AllActivations()) {
    if (name == ActivationName(activation)) return activation;
  }
  return std::nullopt;
}

inline std::optional<Precision> PrecisionNamed(std::string_view name) {
  for (const Precision precision : AllPrecisions()) {
    if (name == PrecisionName(precision)) return precision;
  }
  return std::nullopt;
}

}  // namespace v0_2
}  // namespace fusedffn

#endif  // FUSEDFFN_SRC_NAMES_H_

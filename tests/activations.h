// Activations as test parameters.
#ifndef FUSEDFFN_TESTS_ACTIVATIONS_H_
#define FUSEDFFN_TESTS_ACTIVATIONS_H_

#include <gtest/gtest.h>

#include <ostream>
#include <string>
#include <vector>

#include "fusedffn/fusedffn.h"

namespace fusedffn {

inline std::vector<Activation> AllActivations() {
  std::vector<Activation> all;
  for (int i = 0; *ActivationName(static_cast<Activation>(i)) != '\0'; ++i) {
    all.push_back(static_cast<Activation>(i));
  }
  return all;
}

inline std::ostream& operator<<(std::ostream& out, Activation activation) {
  return out << ActivationName(activation);
}

struct ActivationAsName {
  std::string operator()(const testing::TestParamInfo<Activation>& info) const {
    return ActivationName(info.param);
  }
};

}  // namespace fusedffn

#endif  // FUSEDFFN_TESTS_ACTIVATIONS_H_

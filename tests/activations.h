// Activations as test parameters.
#ifndef FUSEDFFN_TESTS_ACTIVATIONS_H_
#define FUSEDFFN_TESTS_ACTIVATIONS_H_

#include <gtest/gtest.h>

#include <ostream>
#include <string>

#include "fusedffn/fusedffn.h"
#include "src/names.h"

namespace fusedffn {

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

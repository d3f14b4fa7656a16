#include "fusedffn/fusedffn.h"
#include "kernels/kernels.h"

namespace fusedffn {

const char* ActivationName(Activation activation) noexcept {
  static constexpr const char* kNames[kActivationCount] = {"quick_gelu", "gelu",  "gelu_tanh", "silu",
                                                           "relu",       "relu2", "identity"};
  const size_t index = static_cast<size_t>(activation);
  return index < kActivationCount ? kNames[index] : "";
}

}  // namespace fusedffn

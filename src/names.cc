#include "fusedffn/fusedffn.h"
#include "kernels/kernels.h"

namespace fusedffn {
inline namespace v0_2 {
namespace {

template <class Enum, size_t kCount>
const char* NameAt(const char* const (&names)[kCount], Enum value) {
  const size_t index = static_cast<size_t>(value);
  return index < kCount ? names[index] : "";
}

}  // namespace

const char* PrecisionName(Precision precision) noexcept {
  static constexpr const char* kNames[] = {"f32", "bf16", "bf16-dot", "int8", "bf16-x3"};
  return NameAt(kNames, precision);
}

const char* ActivationName(Activation activation) noexcept {
  static constexpr const char* kNames[] = {"quick_gelu", "gelu",  "gelu_tanh", "silu",
                                           "relu",       "relu2", "identity",  "hardswish"};
  return NameAt(kNames, activation);
}

}  // namespace v0_2
}  // namespace fusedffn

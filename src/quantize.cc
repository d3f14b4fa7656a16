#include <algorithm>

#include "fusedffn/fusedffn.h"
#include "kernels/dtype_traits.h"
#include "kernels/int8_weights.h"
#include "src/check.h"
#include "src/system/float_environment.h"

namespace fusedffn {
inline namespace v0_2 {
namespace {

template <class From>
void QuantizeGroup(const unsigned char* weight, size_t count, int8_t* q, float* scale) {
  *scale = ScaleOf<From>(weight, count);
  const ToSteps to_steps(*scale);
  for (size_t i = 0; i < count; ++i) q[i] = to_steps(LoadElement<From>(weight, i));
}

}  // namespace

Status QuantizeRows(const void* weight, DType dtype, size_t rows, size_t cols, size_t stride, int8_t* q,
                    float* scales, size_t group) noexcept {
  const FloatEnvironment environment;
  Status status = CheckQuantize(weight, dtype, rows, cols, stride, q, scales, group);
  if (!status.ok()) return status;
  const auto* from = static_cast<const unsigned char*>(weight);
  VisitDType(dtype, [&](auto type) {
    using From = decltype(type);
    for (size_t row = 0; row < rows; ++row) {
      for (size_t k = 0; k < cols; k += group) {
        QuantizeGroup<From>(from + (row * stride + k) * sizeof(typename From::Stored),
                            std::min(group, cols - k), q + row * cols + k, scales++);
      }
    }
  });
  return Status();
}

}  // namespace v0_2
}  // namespace fusedffn

// Compiled once. int8 weights: w = scale * q, with q in -127..127 and a scale for each row and each
// group of k, the largest |w| there / 127. Packing and QuantizeRows() both come here, so their bits
// are the same.
#ifndef FUSEDFFN_KERNELS_INT8_WEIGHTS_H_
#define FUSEDFFN_KERNELS_INT8_WEIGHTS_H_

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "kernels/dtype_traits.h"

namespace fusedffn {
inline namespace v0_2 {

// The smallest but 0.
inline constexpr float kLeastInt8Scale = 0x1p-120f;

// Of `count` elements: NaN if one of them is a NaN or infinity, 0 if it would be too small.
template <class From>
float ScaleOf(const unsigned char* weight, size_t count) {
  float largest = 0;
  for (size_t i = 0; i < count; ++i) {
    const float magnitude = std::fabs(LoadElement<From>(weight, i));
    if (!(magnitude <= std::numeric_limits<float>::max())) return std::numeric_limits<float>::quiet_NaN();
    largest = std::max(largest, magnitude);
  }
  return largest / 127 < kLeastInt8Scale ? 0 : largest / 127;
}

// w -> q; all zeros where the scale is 0 or NaN.
class ToSteps {
 public:
  explicit ToSteps(float scale) : inverse_(scale > 0 ? 1 / scale : 0) {}

  int8_t operator()(float value) const {
    if (inverse_ == 0) return 0;
    constexpr float kShifter = 0x1.8p23f;  // adding it rounds to an integer, ties to even
    return static_cast<int8_t>(value * inverse_ + kShifter - kShifter);
  }

 private:
  const float inverse_;
};

}  // namespace v0_2
}  // namespace fusedffn

#endif  // FUSEDFFN_KERNELS_INT8_WEIGHTS_H_

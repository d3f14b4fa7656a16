// bf16 and fp16 by their definitions: what kernels/dtype_traits.h and the kernels are tested against.
#ifndef FUSEDFFN_TESTS_WIDEN_H_
#define FUSEDFFN_TESTS_WIDEN_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "tests/compare.h"

namespace fusedffn {

inline float WidenBf16(uint16_t stored) { return FloatOf(uint32_t{stored} << 16); }

// The bf16 that a float begins with: itself, if it is one.
inline uint16_t UpperHalf(float value) { return static_cast<uint16_t>(BitsOf(value) >> 16); }

// The nearest value with 8 bits of significand, ties to even, of a finite value far from overflow.
inline float RoundToBf16(float value) {
  int exponent;
  const float mantissa = std::frexp(value, &exponent);
  return std::ldexp(std::nearbyint(std::ldexp(mantissa, 8)), exponent - 8);
}

inline std::vector<float> Rounded(std::vector<float> values) {
  std::transform(values.begin(), values.end(), values.begin(), RoundToBf16);
  return values;
}

inline float WidenF16(uint16_t stored) {
  const int exponent = stored >> 10 & 31, fraction = stored & 1023;
  float magnitude;
  if (exponent == 31) {
    magnitude =
        fraction == 0 ? std::numeric_limits<float>::infinity() : std::numeric_limits<float>::quiet_NaN();
  } else if (exponent == 0) {
    magnitude = std::ldexp(static_cast<float>(fraction), -24);
  } else {
    magnitude = std::ldexp(static_cast<float>(1024 + fraction), exponent - 25);
  }
  return stored >> 15 ? -magnitude : magnitude;
}

}  // namespace fusedffn

#endif  // FUSEDFFN_TESTS_WIDEN_H_

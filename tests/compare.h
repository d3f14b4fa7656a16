// Comparisons whose failure names the worst element and where it is.
#ifndef FUSEDFFN_TESTS_COMPARE_H_
#define FUSEDFFN_TESTS_COMPARE_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <ios>
#include <vector>

namespace fusedffn {

inline uint32_t BitsOf(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  return bits;
}

inline float FloatOf(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

// Bit equality of two [rows, cols] arrays, NaNs and signs of zero included.
inline testing::AssertionResult SameBits(const float* got, size_t ld_got, const float* want, size_t ld_want,
                                         size_t rows, size_t cols) {
  size_t wrong = 0, worst_row = 0, worst_col = 0;
  double worst = -1;
  for (size_t row = 0; row < rows; ++row) {
    if (std::memcmp(got + row * ld_got, want + row * ld_want, cols * sizeof(float)) == 0) continue;
    for (size_t col = 0; col < cols; ++col) {
      const float a = got[row * ld_got + col], b = want[row * ld_want + col];
      if (BitsOf(a) == BitsOf(b)) continue;
      ++wrong;
      double distance = std::fabs(double{a} - double{b});
      if (std::isnan(distance)) distance = HUGE_VAL;
      if (distance <= worst) continue;
      worst = distance;
      worst_row = row;
      worst_col = col;
    }
  }
  if (wrong == 0) return testing::AssertionSuccess();
  const float a = got[worst_row * ld_got + worst_col], b = want[worst_row * ld_want + worst_col];
  return testing::AssertionFailure() << wrong << " of " << rows * cols
                                     << " elements differ; the worst at row " << worst_row << ", column "
                                     << worst_col << ": " << std::hexfloat << a << " instead of " << b
                                     << std::hex << " (bits " << BitsOf(a) << ", " << BitsOf(b) << ")";
}

// ||got - want|| / ||want||
inline double RelativeL2(const std::vector<float>& got, const std::vector<double>& want) {
  EXPECT_EQ(got.size(), want.size());
  double error = 0, norm = 0;
  for (size_t i = 0; i < std::min(got.size(), want.size()); ++i) {
    error += (got[i] - want[i]) * (got[i] - want[i]);
    norm += want[i] * want[i];
  }
  return error == 0 ? 0 : std::sqrt(error / norm);
}

}  // namespace fusedffn

#endif  // FUSEDFFN_TESTS_COMPARE_H_

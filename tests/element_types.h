// Data in every element type of x, y and residuals.
#ifndef FUSEDFFN_TESTS_ELEMENT_TYPES_H_
#define FUSEDFFN_TESTS_ELEMENT_TYPES_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "fusedffn/fusedffn.h"
#include "kernels/kernels.h"
#include "tests/random.h"
#include "tests/widen.h"

namespace fusedffn {

inline constexpr DType kDTypes[] = {DType::kF32, DType::kBF16, DType::kF16};

inline size_t ElementBytes(DType dtype) { return dtype == DType::kF32 ? 4 : 2; }

// A type of 16 bits.
struct Type16 {
  DType dtype;
  float (*widen)(uint16_t);
  uint16_t largest;  // bits of 1.0
};

inline constexpr Type16 kTypes16[] = {{DType::kBF16, WidenBf16, 0x3F80}, {DType::kF16, WidenF16, 0x3C00}};

// From denormals to 1, of either sign.
inline std::vector<uint16_t> Draw16(const Type16& type, size_t count, Random* random) {
  return random->Fill(count, [&](Random& r) {
    return static_cast<uint16_t>(r.Integer(0, type.largest) | (r.Bits() & 0x8000));
  });
}

inline std::vector<float> Widened(const Type16& type, const std::vector<uint16_t>& stored) {
  std::vector<float> wide(stored.size());
  std::transform(stored.begin(), stored.end(), wide.begin(), type.widen);
  return wide;
}

// Values of seven bits, from -4 to 4, which all types have.
inline std::vector<float> SevenBits(size_t count, Random* random) {
  return random->Fill(count, [](Random& r) { return static_cast<float>(r.Integer(-127, 127)) * 0x1p-5f; });
}

// The bytes of `values` in another type, rounded by the kernels.
inline std::vector<unsigned char> Stored(const Kernels& kernels, const std::vector<float>& values,
                                         DType dtype) {
  std::vector<unsigned char> bytes(values.size() * ElementBytes(dtype));
  if (dtype == DType::kF32) {
    std::memcpy(bytes.data(), values.data(), bytes.size());
  } else {
    kernels.ops.from_f32[static_cast<size_t>(dtype)](values.data(), values.size(), bytes.data());
  }
  return bytes;
}

}  // namespace fusedffn

#endif  // FUSEDFFN_TESTS_ELEMENT_TYPES_H_

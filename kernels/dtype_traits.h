// Compiled once. The element types of weights as they lie in memory, and their exact way to fp32.
#ifndef FUSEDFFN_KERNELS_DTYPE_TRAITS_H_
#define FUSEDFFN_KERNELS_DTYPE_TRAITS_H_

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "fusedffn/fusedffn.h"

namespace fusedffn {
inline namespace v0_2 {

inline float FromBits(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

struct F32 {
  using Stored = float;
  static float Widen(float stored) { return stored; }
};

struct BF16 {
  using Stored = uint16_t;
  static float Widen(uint16_t stored) { return FromBits(uint32_t{stored} << 16); }
};

struct F16 {
  using Stored = uint16_t;
  static float Widen(uint16_t stored) {
    const uint32_t sign = uint32_t{stored} >> 15 << 31;
    const uint32_t exponent = (stored >> 10) & 31;
    const uint32_t mantissa = stored & 1023u;
    if (exponent == 0) {  // zero or denormal: mantissa * 2^-24, exact in fp32
      const float magnitude = static_cast<float>(mantissa) * 0x1p-24f;
      return sign ? -magnitude : magnitude;
    }
    const uint32_t wide_exponent = exponent == 31 ? 255 : exponent + 112;
    return FromBits(sign | wide_exponent << 23 | mantissa << 13);
  }
};

// Quantized: without its scale.
struct S8 {
  using Stored = int8_t;
  static float Widen(int8_t stored) { return stored; }
};

// By memcpy: rows of a file may have any alignment.
template <class T>
float LoadElement(const unsigned char* base, size_t index) {
  typename T::Stored stored;
  std::memcpy(&stored, base + index * sizeof(stored), sizeof(stored));
  return T::Widen(stored);
}

template <class T>
void WidenElements(const unsigned char* from, size_t count, float* to) {
  for (size_t i = 0; i < count; ++i) to[i] = LoadElement<T>(from, i);
}

inline uint32_t ToBits(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  return bits;
}

// To nearest, ties to even, of what is not NaN.
inline uint16_t RoundNumberToBF16(float value) {
  const uint32_t bits = ToBits(value);
  return static_cast<uint16_t>((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

// The same of anything. What is bf16 already keeps its bits, NaNs among them.
inline uint16_t RoundToBF16(float value) {
  if (value == value) return RoundNumberToBF16(value);
  const uint32_t upper = ToBits(value) >> 16;
  return static_cast<uint16_t>(upper & 0x7F ? upper : upper | 0x40);  // else infinity
}

// Calls visit with the type that stands for `dtype`.
template <class Visit>
void VisitDType(DType dtype, const Visit& visit) {
  switch (dtype) {
    case DType::kF32:
      return visit(F32());
    case DType::kBF16:
      return visit(BF16());
    case DType::kF16:
      return visit(F16());
  }
}

// Widens `count` elements to fp32, exactly.
inline void Widen(const void* from, DType dtype, size_t count, float* to) {
  VisitDType(dtype, [&](auto type) {
    WidenElements<decltype(type)>(static_cast<const unsigned char*>(from), count, to);
  });
}

}  // namespace v0_2
}  // namespace fusedffn

#endif  // FUSEDFFN_KERNELS_DTYPE_TRAITS_H_

#include "src/pack.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace fusedffn {
namespace {

float FromBits(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

// Element types as they lie in memory. Loads are by memcpy: rows of a file may have any alignment.
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

template <class T>
float LoadElement(const unsigned char* base, size_t index) {
  typename T::Stored stored;
  std::memcpy(&stored, base + index * sizeof(stored), sizeof(stored));
  return T::Widen(stored);
}

template <class T>
void WidenOf(const unsigned char* from, size_t count, float* to) {
  for (size_t i = 0; i < count; ++i) to[i] = LoadElement<T>(from, i);
}

// A cache line of k at a time: rows are often a multiple of 4096 bytes apart, so that a line of each of 48
// rows would not stay in the L1 cache (8 to 12 ways) until its next element is wanted. CLIP-L's fc1: 6.6 ms
// where one element of each row at a time takes 11.2 (Zen 4, gcc 12).
template <class T>
void PackPanelPart(const unsigned char* weight, size_t rows, size_t k, size_t stride, size_t width,
                   float* panel) {
  constexpr size_t kLine = 16;
  float line[kLine];
  for (size_t k0 = 0; k0 < k; k0 += kLine) {
    const size_t count = std::min(kLine, k - k0);
    for (size_t r = 0; r < rows; ++r) {
      WidenOf<T>(weight + (r * stride + k0) * sizeof(typename T::Stored), count, line);
      for (size_t i = 0; i < count; ++i) panel[(k0 + i) * width + r] = line[i];
    }
  }
}

template <class T>
void PackRowsOf(const PackedLayout& layout, size_t n0, size_t rows, const unsigned char* weight,
                size_t stride, float* packed) {
  for (size_t n = n0; n < n0 + rows;) {
    const size_t panel = n / layout.nr * layout.nr;
    const size_t count = std::min(n0 + rows, panel + layout.nr) - n;
    PackPanelPart<T>(weight + (n - n0) * stride * sizeof(typename T::Stored), count, layout.k, stride,
                     layout.width(panel), packed + layout.offset(panel, 0) + (n - panel));
    n += count;
  }
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

}  // namespace

void PackRows(const PackedLayout& layout, size_t n0, size_t rows, const void* weight, DType dtype,
              size_t stride, float* packed) {
  VisitDType(dtype, [&](auto type) {
    PackRowsOf<decltype(type)>(layout, n0, rows, static_cast<const unsigned char*>(weight), stride, packed);
  });
}

void Widen(const void* from, DType dtype, size_t count, float* to) {
  VisitDType(dtype,
             [&](auto type) { WidenOf<decltype(type)>(static_cast<const unsigned char*>(from), count, to); });
}

size_t BytesOf(DType dtype) { return dtype == DType::kF32 ? 4 : 2; }

bool FitsInMemory(size_t rows, size_t stride, size_t columns, size_t element_bytes) {
  const size_t most = PTRDIFF_MAX / element_bytes;
  return columns <= most && (rows <= 1 || stride <= (most - columns) / (rows - 1));
}

}  // namespace fusedffn

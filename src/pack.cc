#include "src/pack.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "src/cpu_budget.h"

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

// Element types as they lie in panels.
struct ToF32 {
  using Stored = float;
  static float Narrow(float value) { return value; }
};

// To nearest, ties to even. What is bf16 already keeps its bits, NaNs among them.
struct ToBF16 {
  using Stored = uint16_t;
  static uint16_t Narrow(float value) {
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof(bits));
    if (value == value) return static_cast<uint16_t>((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
    const uint32_t upper = bits >> 16;
    return static_cast<uint16_t>(upper & 0x7F ? upper : upper | 0x40);  // else infinity
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
template <class From, class To>
void PackPanelPart(const unsigned char* weight, size_t rows, size_t k, size_t stride, size_t width,
                   typename To::Stored* panel) {
  constexpr size_t kLine = 16, kGroup = 4 / sizeof(typename To::Stored);
  float line[kLine];
  for (size_t k0 = 0; k0 < k; k0 += kLine) {
    const size_t count = std::min(kLine, k - k0);
    for (size_t r = 0; r < rows; ++r) {
      WidenOf<From>(weight + (r * stride + k0) * sizeof(typename From::Stored), count, line);
      typename To::Stored* const column = panel + k0 * width + r * kGroup;
      for (size_t i = 0; i < count; ++i) {
        column[i / kGroup * kGroup * width + i % kGroup] = To::Narrow(line[i]);
      }
    }
  }
}

template <class From, class To>
void PackRowsOf(const PackedLayout& layout, size_t n0, size_t rows, const unsigned char* weight,
                size_t stride, unsigned char* packed) {
  for (size_t n = n0; n < n0 + rows;) {
    const size_t panel = n / layout.nr * layout.nr;
    const size_t count = std::min(n0 + rows, panel + layout.nr) - n;
    auto* const to = reinterpret_cast<typename To::Stored*>(packed + layout.offset(panel, 0));
    PackPanelPart<From, To>(weight + (n - n0) * stride * sizeof(typename From::Stored), count, layout.k,
                            stride, layout.width(panel), to + (n - panel) * layout.group());
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

Operands OperandsOf(Precision precision) {
  switch (precision) {
    case Precision::kF32:
      return {4, 4};
    case Precision::kBF16:
      // On Zen 4 the tiles widen for nothing: integer instructions have ports of their own. 257 tokens, one
      // thread, best ms, fp32 / each tile widens / once: AVX-512 38.12 / 37.94 / 39.23; AVX2 39.20 / 38.95 /
      // 40.36. Intel's AVX-512 has one port less for them than for FMAs; not measured.
      return {4, 2, !IsAmdCpu()};
    case Precision::kBF16Dot:
      return {2, 2};
  }
  return {};
}

void PackRows(const PackedLayout& layout, size_t n0, size_t rows, const void* weight, DType dtype,
              size_t stride, void* packed) {
  const auto* from = static_cast<const unsigned char*>(weight);
  auto* to = static_cast<unsigned char*>(packed);
  VisitDType(dtype, [&](auto type) {
    using From = decltype(type);
    if (layout.element_bytes == sizeof(float)) {
      PackRowsOf<From, ToF32>(layout, n0, rows, from, stride, to);
    } else {
      PackRowsOf<From, ToBF16>(layout, n0, rows, from, stride, to);
    }
  });
}

void ZeroPadding(const PackedLayout& layout, void* packed) {
  const size_t last_group = layout.padded_k() - layout.group();
  for (size_t n0 = 0; n0 < layout.n; n0 += layout.nr) {
    const bool full = n0 + layout.nr <= layout.n;
    if (full && layout.padded_k() == layout.k) continue;
    const size_t begin = layout.offset(n0, full ? last_group : 0);
    const size_t end = layout.offset(n0, layout.padded_k());
    std::memset(static_cast<unsigned char*>(packed) + begin, 0, end - begin);
  }
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

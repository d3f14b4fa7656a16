#include "src/pack.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "src/cpu_budget.h"
#include "src/element.h"
#include "src/quantize.h"

namespace fusedffn {
namespace {

// Element types as they lie in panels. Of(row, k) is what elements of one row become from that k on, as far
// as the group of kInt8Group goes that k is in.
struct ToF32 {
  using Stored = float;
  static constexpr size_t kGroup = 1;
  static auto Of(size_t /*row*/, size_t /*k*/) {
    return [](float value) { return value; };
  }
};

// To nearest, ties to even. What is bf16 already keeps its bits, NaNs among them.
struct ToBF16 {
  using Stored = uint16_t;
  static constexpr size_t kGroup = 2;
  static uint16_t Narrow(float value) {
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof(bits));
    if (value == value) return static_cast<uint16_t>((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
    const uint32_t upper = bits >> 16;
    return static_cast<uint16_t>(upper & 0x7F ? upper : upper | 0x40);  // else infinity
  }
  static auto Of(size_t /*row*/, size_t /*k*/) { return Narrow; }
};

// By the row's scale in that group, or as it is if it has been quantised before; and added to its sum there.
template <size_t kInterleaved>
struct ToInt8 {
  using Stored = int8_t;
  static constexpr size_t kGroup = kInterleaved;
  float* scale;  // of the first row, in the first group
  int32_t* sum;
  size_t next_group;
  bool quantised;

  auto Of(size_t row, size_t k) const {
    const size_t at = k / kInt8Group * next_group + row;
    return [to_steps = ToSteps(quantised ? 1 : scale[at]), total = sum + at](float value) {
      const int8_t q = to_steps(value);
      *total += q;
      return q;
    };
  }
};

template <class T>
void WidenOf(const unsigned char* from, size_t count, float* to) {
  for (size_t i = 0; i < count; ++i) to[i] = LoadElement<T>(from, i);
}

// A cache line of k at a time: rows are often a multiple of 4096 bytes apart, so that a line of each of 48
// rows would not stay in the L1 cache (8 to 12 ways) until its next element is wanted. CLIP-L's fc1: 6.6 ms
// where one element of each row at a time takes 11.2 (Zen 4, gcc 12).
template <class From, class To>
void PackPanelPart(const unsigned char* weight, size_t rows, size_t k, size_t stride, size_t width,
                   size_t first_row, const To& to, typename To::Stored* panel) {
  constexpr size_t kLine = 16, kGroup = To::kGroup;
  static_assert(kInt8Group % kLine == 0);
  float line[kLine];
  for (size_t k0 = 0; k0 < k; k0 += kLine) {
    const size_t count = std::min(kLine, k - k0);
    for (size_t r = 0; r < rows; ++r) {
      WidenOf<From>(weight + (r * stride + k0) * sizeof(typename From::Stored), count, line);
      typename To::Stored* const column = panel + k0 * width + r * kGroup;
      const auto narrow = to.Of(first_row + r, k0);
      for (size_t i = 0; i < count; ++i) {
        column[i / kGroup * kGroup * width + i % kGroup] = narrow(line[i]);
      }
    }
  }
}

template <class From, class To>
void PackRowsOf(const PackedLayout& layout, size_t n0, size_t rows, const unsigned char* weight,
                size_t stride, const To& to, unsigned char* packed) {
  for (size_t n = n0; n < n0 + rows;) {
    const size_t panel = n / layout.nr * layout.nr;
    const size_t count = std::min(n0 + rows, panel + layout.nr) - n;
    auto* const first = reinterpret_cast<typename To::Stored*>(packed + layout.offset(panel, 0));
    PackPanelPart<From>(weight + (n - n0) * stride * sizeof(typename From::Stored), count, layout.k, stride,
                        layout.width(panel), n, to, first + (n - panel) * To::kGroup);
    n += count;
  }
}

template <class From>
void ScaleRows(const PackedLayout& layout, size_t n0, size_t rows, const unsigned char* weight, size_t stride,
               const PackedWeight& packed) {
  for (size_t k0 = 0; k0 < layout.k; k0 += kInt8Group) {
    const size_t count = std::min(kInt8Group, layout.k - k0);
    const size_t at = k0 / kInt8Group * layout.padded_n() + n0;
    for (size_t row = 0; row < rows; ++row) {
      const auto* const from = weight + (row * stride + k0) * sizeof(typename From::Stored);
      packed.scale[at + row] = ScaleOf<From>(from, count);
    }
  }
}

// Sums begin at 0, and rows go into panels.
template <class From>
void PackInt8(const PackedLayout& layout, size_t n0, size_t rows, const unsigned char* weight, size_t stride,
              bool quantised, const PackedWeight& packed) {
  const size_t groups = Int8Groups(layout.k), next_group = layout.padded_n();
  for (size_t g = 0; g < groups; ++g) std::fill_n(packed.sum + g * next_group + n0, rows, 0);
  const auto pack = [&](const auto& to) {
    PackRowsOf<From>(layout, n0, rows, weight, stride, to, static_cast<unsigned char*>(packed.data));
  };
  if (layout.group == 2) return pack(ToInt8<2>{packed.scale, packed.sum, next_group, quantised});
  pack(ToInt8<4>{packed.scale, packed.sum, next_group, quantised});
}

}  // namespace

Operands OperandsOf(Precision precision, const Kernels& kernels) {
  Operands operands;
  operands.in_pairs = kernels.in_pairs[static_cast<size_t>(precision)];
  switch (precision) {
    case Precision::kF32:
      break;
    case Precision::kBF16:
      operands.b_bytes = operands.group = 2;
      // On Zen 4 the tiles widen for nothing: integer instructions have ports of their own. 257 tokens, one
      // thread, best ms, fp32 / each tile widens / once: AVX-512 38.12 / 37.94 / 39.23; AVX2 39.20 / 38.95 /
      // 40.36. Intel's have the FMAs' ports. Emerald Rapids, median ms of alternated runs: AVX-512 25.1
      // / 28.2 / 26.5; AVX2 47.3 / 56.8 / 48.9.
      operands.widen_once = !IsAmdCpu();
      break;
    case Precision::kBF16Dot:
      operands.a_bytes = operands.b_bytes = operands.group = 2;
      operands.hidden = Hidden::kRounded;
      break;
    case Precision::kInt8:
      operands.a_bytes = 4 / kernels.int8_step;
      operands.b_bytes = 1;
      operands.group = kernels.int8_step;
      operands.hidden = Hidden::kQuantised;
      break;
  }
  return operands;
}

void PackRows(const PackedLayout& layout, size_t n0, size_t rows, const void* weight, DType dtype,
              size_t stride, const PackedWeight& packed) {
  const auto* from = static_cast<const unsigned char*>(weight);
  VisitDType(dtype, [&](auto type) {
    using From = decltype(type);
    const auto pack = [&](const auto& to) {
      PackRowsOf<From>(layout, n0, rows, from, stride, to, static_cast<unsigned char*>(packed.data));
    };
    if (layout.element_bytes == 4) return pack(ToF32());
    if (layout.element_bytes == 2) return pack(ToBF16());
    ScaleRows<From>(layout, n0, rows, from, stride, packed);
    PackInt8<From>(layout, n0, rows, from, stride, false, packed);
  });
}

void PackQuantizedRows(const PackedLayout& layout, size_t n0, size_t rows, const int8_t* q, size_t stride,
                       const float* scales, const PackedWeight& packed) {
  const size_t groups = Int8Groups(layout.k);
  for (size_t i = 0; i < rows * groups; ++i) {
    packed.scale[i % groups * layout.padded_n() + n0 + i / groups] = scales[i];
  }
  PackInt8<S8>(layout, n0, rows, reinterpret_cast<const unsigned char*>(q), stride, true, packed);
}

void ZeroPadding(const PackedLayout& layout, const PackedWeight& packed) {
  const size_t last_group = layout.padded_k() - layout.group;
  for (size_t n0 = 0; n0 < layout.n; n0 += layout.nr) {
    const bool full = n0 + layout.nr <= layout.n;
    if (full && layout.padded_k() == layout.k) continue;
    const size_t begin = layout.offset(n0, full ? last_group : 0);
    const size_t end = layout.offset(n0, layout.padded_k());
    std::memset(static_cast<unsigned char*>(packed.data) + begin, 0, end - begin);
  }
  if (packed.scale != nullptr) std::fill_n(packed.scale, layout.scales(), 0.0f);
  if (packed.sum != nullptr) std::fill_n(packed.sum, layout.scales(), 0);
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

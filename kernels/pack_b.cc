#include "kernels/pack_b.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>

#include "kernels/dtype_traits.h"
#include "kernels/int8_weights.h"

namespace fusedffn {
inline namespace v0_2 {
namespace {

// Element types as they lie in panels. Of(row, k) is what elements of one row become from that k on, as far
// as the group goes that k is in.
struct ToF32 {
  using Stored = float;
  static constexpr size_t kKr = 1;
  static constexpr bool kKeepsDenormals = true;
  static auto Of(size_t /*row*/, size_t /*k*/) {
    return [](float value) { return value; };
  }
};

struct ToBF16 {
  using Stored = uint16_t;
  static constexpr size_t kKr = 2;
  static constexpr bool kKeepsDenormals = true;
  static auto Of(size_t /*row*/, size_t /*k*/) { return RoundToBF16; }
};

// By the row's scale in that group, or as it is if it has been quantized before; and added to its sum there.
template <size_t kInterleaved>
struct ToInt8 {
  using Stored = int8_t;
  static constexpr size_t kKr = kInterleaved;
  static constexpr bool kKeepsDenormals = false;
  const PackedB& b;
  bool quantized;

  auto Of(size_t row, size_t k) const {
    const size_t at = k / b.layout.b.scale_group * b.layout.padded_n() + row;
    return [to_steps = ToSteps(quantized ? 1 : b.scale[at]), total = b.sum + at](float value) {
      const int8_t q = to_steps(value);
      *total += q;
      return q;
    };
  }
};

// How many have a magnitude of first <= bits <= last. Signed integers, which SSE2 compares; unaligned ones.
template <class Bits>
size_t CountBits(const unsigned char* values, size_t count, Bits first, Bits last) {
  int32_t found = 0;  // of one row
  for (size_t i = 0; i < count; ++i) {
    Bits bits;
    std::memcpy(&bits, values + i * sizeof(bits), sizeof(bits));
    const Bits magnitude = bits & std::numeric_limits<Bits>::max();
    found += first <= magnitude && magnitude <= last ? 1 : 0;
  }
  return static_cast<size_t>(found);
}

// That are denormal in fp32, as those of fp16 are not.
template <class From>
size_t CountDenormals(const unsigned char* weight, size_t rows, size_t k, size_t stride) {
  size_t denormals = 0;
  for (size_t r = 0; r < rows; ++r, weight += stride * sizeof(typename From::Stored)) {
    if constexpr (std::is_same_v<From, F32>) denormals += CountBits<int32_t>(weight, k, 1, 0x7FFFFF);
    if constexpr (std::is_same_v<From, BF16>) denormals += CountBits<int16_t>(weight, k, 1, 0x7F);
  }
  return denormals;
}

// That are infinite in bf16. Half a unit of its last place below infinity fp32 is rounded to it.
template <class From>
size_t CountInfinite(const unsigned char* weight, size_t k) {
  if constexpr (std::is_same_v<From, F32>) return CountBits<int32_t>(weight, k, 0x7F7F8000, 0x7F800000);
  const int16_t infinity = std::is_same_v<From, BF16> ? 0x7F80 : 0x7C00;
  return CountBits<int16_t>(weight, k, infinity, infinity);
}

void FlushDenormals(float* values, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    if (std::fpclassify(values[i]) == FP_SUBNORMAL) values[i] = std::copysign(0.0f, values[i]);
  }
}

// A cache line of k at a time: rows are often a multiple of 4096 bytes apart, so that a line of each of 48
// rows would not stay in the L1 cache until its next element is wanted. CLIP-L's fc1 packs 1.7 times as fast
// as one element of each row at a time. See bench/results/tuning.md.
template <class From, class To>
void PackPanelPart(const unsigned char* weight, size_t rows, size_t k, size_t stride, size_t width,
                   size_t first_row, bool flush, const To& to, typename To::Stored* panel) {
  constexpr size_t kLine = 16, kKr = To::kKr;
  static_assert(kInt8GroupSize % kLine == 0 && kSmallInt8GroupSize % kLine == 0);
  float line[kLine];
  for (size_t k0 = 0; k0 < k; k0 += kLine) {
    const size_t count = std::min(kLine, k - k0);
    for (size_t r = 0; r < rows; ++r) {
      WidenElements<From>(weight + (r * stride + k0) * sizeof(typename From::Stored), count, line);
      if (flush) FlushDenormals(line, count);
      typename To::Stored* const column = panel + k0 * width + r * kKr;
      const auto narrow = to.Of(first_row + r, k0);
      for (size_t i = 0; i < count; ++i) column[i / kKr * kKr * width + i % kKr] = narrow(line[i]);
    }
  }
}

template <class From, class To>
size_t PackRows(const BRows& from, Range rows, const To& to, const PackedB& b) {
  const PanelLayout& layout = b.layout;
  const auto* weight = static_cast<const unsigned char*>(from.data);
  size_t denormals = 0;
  for (size_t n = rows.begin; n < rows.end;) {
    const size_t panel = n / layout.b.nr * layout.b.nr;
    const size_t count = std::min(rows.end, panel + layout.b.nr) - n;
    auto* const first = reinterpret_cast<typename To::Stored*>(b.data + layout.offset(panel, 0));
    const size_t found = To::kKeepsDenormals ? CountDenormals<From>(weight, count, layout.k, from.stride) : 0;
    PackPanelPart<From>(weight, count, layout.k, from.stride, layout.width(panel), n,
                        from.flush_denormals && found != 0, to, first + (n - panel) * To::kKr);
    if (!from.flush_denormals) denormals += found;
    weight += count * from.stride * sizeof(typename From::Stored);
    n += count;
  }
  return denormals;
}

template <class To>
size_t PackRowsAs(const BRows& from, Range rows, const To& to, const PackedB& b) {
  size_t denormals = 0;
  VisitDType(from.dtype, [&](auto type) { denormals = PackRows<decltype(type)>(from, rows, to, b); });
  return denormals;
}

// Each group's scale, of rows that are quantized now.
template <class From>
void ScaleRows(const BRows& from, Range rows, const PackedB& b) {
  const PanelLayout& layout = b.layout;
  const auto* const weight = static_cast<const unsigned char*>(from.data);
  for (size_t k0 = 0; k0 < layout.k; k0 += layout.b.scale_group) {
    const size_t count = std::min(layout.b.scale_group, layout.k - k0);
    float* const scale = b.scale + k0 / layout.b.scale_group * layout.padded_n();
    for (size_t n = rows.begin; n < rows.end; ++n) {
      const size_t first = (n - rows.begin) * from.stride + k0;
      scale[n] = ScaleOf<From>(weight + first * sizeof(typename From::Stored), count);
    }
  }
}

// The same of rows that have been quantized before.
void CopyScales(const float* scales, Range rows, const PackedB& b) {
  const size_t groups = DivideUp(b.layout.k, b.layout.b.scale_group);
  for (size_t n = rows.begin; n < rows.end; ++n) {
    for (size_t g = 0; g < groups; ++g) b.scale[g * b.layout.padded_n() + n] = *scales++;
  }
}

}  // namespace

size_t PackBF32(const BRows& from, Range rows, const PackedB& b) {
  return PackRowsAs(from, rows, ToF32(), b);
}
size_t PackBBF16(const BRows& from, Range rows, const PackedB& b) {
  return PackRowsAs(from, rows, ToBF16(), b);
}

template <size_t kInterleaved>
size_t PackBInt8(const BRows& from, Range rows, const PackedB& b) {
  const size_t groups = DivideUp(b.layout.k, b.layout.b.scale_group);
  for (size_t g = 0; g < groups; ++g) {
    std::fill_n(b.sum + g * b.layout.padded_n() + rows.begin, rows.size(), 0);
  }
  if (from.scales != nullptr) {
    CopyScales(from.scales, rows, b);
    return PackRows<S8>(from, rows, ToInt8<kInterleaved>{b, true}, b);
  }
  VisitDType(from.dtype, [&](auto type) { ScaleRows<decltype(type)>(from, rows, b); });
  return PackRowsAs(from, rows, ToInt8<kInterleaved>{b, false}, b);
}

template size_t PackBInt8<2>(const BRows& from, Range rows, const PackedB& b);
template size_t PackBInt8<4>(const BRows& from, Range rows, const PackedB& b);

size_t FindInfiniteRow(const BRows& from, size_t rows, size_t k) {
  size_t row = 0;
  VisitDType(from.dtype, [&](auto type) {
    using From = decltype(type);
    const auto* weight = static_cast<const unsigned char*>(from.data);
    const size_t stride = from.stride * sizeof(typename From::Stored);
    while (row < rows && CountInfinite<From>(weight + row * stride, k) == 0) ++row;
  });
  return row;
}

void ZeroPadding(const PackedB& b) {
  const PanelLayout& layout = b.layout;
  const size_t last_step = layout.padded_k() - layout.b.kr;
  for (size_t n0 = 0; n0 < layout.n; n0 += layout.b.nr) {
    const bool full = n0 + layout.b.nr <= layout.n;
    if (full && layout.padded_k() == layout.k) continue;
    const size_t begin = layout.offset(n0, full ? last_step : 0);
    const size_t end = layout.offset(n0, layout.padded_k());
    std::memset(b.data + begin, 0, end - begin);
  }
  if (layout.scales() == 0) return;
  std::fill_n(b.scale, layout.scales(), 0.0f);
  std::fill_n(b.sum, layout.scales(), 0);
}

}  // namespace v0_2
}  // namespace fusedffn

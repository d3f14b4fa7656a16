#include "kernels/pack_b.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

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
  static auto Of(size_t /*row*/, size_t /*k*/) {
    return [](float value) { return value; };
  }
};

struct ToBF16 {
  using Stored = uint16_t;
  static constexpr size_t kKr = 2;
  static auto Of(size_t /*row*/, size_t /*k*/) { return RoundToBF16; }
};

// By the row's scale in that group, or as it is if it has been quantized before; and added to its sum there.
template <size_t kInterleaved>
struct ToInt8 {
  using Stored = int8_t;
  static constexpr size_t kKr = kInterleaved;
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

// A cache line of k at a time: rows are often a multiple of 4096 bytes apart, so that a line of each of 48
// rows would not stay in the L1 cache until its next element is wanted. CLIP-L's fc1 packs 1.7 times as fast
// as one element of each row at a time. See bench/results/tuning.md.
template <class From, class To>
void PackPanelPart(const unsigned char* weight, size_t rows, size_t k, size_t stride, size_t width,
                   size_t first_row, const To& to, typename To::Stored* panel) {
  constexpr size_t kLine = 16, kKr = To::kKr;
  static_assert(kInt8GroupSize % kLine == 0 && kSmallInt8GroupSize % kLine == 0);
  float line[kLine];
  for (size_t k0 = 0; k0 < k; k0 += kLine) {
    const size_t count = std::min(kLine, k - k0);
    for (size_t r = 0; r < rows; ++r) {
      WidenElements<From>(weight + (r * stride + k0) * sizeof(typename From::Stored), count, line);
      typename To::Stored* const column = panel + k0 * width + r * kKr;
      const auto narrow = to.Of(first_row + r, k0);
      for (size_t i = 0; i < count; ++i) column[i / kKr * kKr * width + i % kKr] = narrow(line[i]);
    }
  }
}

template <class From, class To>
void PackRows(const BRows& from, Range rows, const To& to, const PackedB& b) {
  const PanelLayout& layout = b.layout;
  const auto* weight = static_cast<const unsigned char*>(from.data);
  for (size_t n = rows.begin; n < rows.end;) {
    const size_t panel = n / layout.b.nr * layout.b.nr;
    const size_t count = std::min(rows.end, panel + layout.b.nr) - n;
    auto* const first = reinterpret_cast<typename To::Stored*>(b.data + layout.offset(panel, 0));
    PackPanelPart<From>(weight, count, layout.k, from.stride, layout.width(panel), n, to,
                        first + (n - panel) * To::kKr);
    weight += count * from.stride * sizeof(typename From::Stored);
    n += count;
  }
}

template <class To>
void PackRowsAs(const BRows& from, Range rows, const To& to, const PackedB& b) {
  VisitDType(from.dtype, [&](auto type) { PackRows<decltype(type)>(from, rows, to, b); });
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

void PackBF32(const BRows& from, Range rows, const PackedB& b) { PackRowsAs(from, rows, ToF32(), b); }
void PackBBF16(const BRows& from, Range rows, const PackedB& b) { PackRowsAs(from, rows, ToBF16(), b); }

template <size_t kInterleaved>
void PackBInt8(const BRows& from, Range rows, const PackedB& b) {
  const size_t groups = DivideUp(b.layout.k, b.layout.b.scale_group);
  for (size_t g = 0; g < groups; ++g) {
    std::fill_n(b.sum + g * b.layout.padded_n() + rows.begin, rows.size(), 0);
  }
  if (from.scales != nullptr) {
    CopyScales(from.scales, rows, b);
    return PackRows<S8>(from, rows, ToInt8<kInterleaved>{b, true}, b);
  }
  VisitDType(from.dtype, [&](auto type) { ScaleRows<decltype(type)>(from, rows, b); });
  PackRowsAs(from, rows, ToInt8<kInterleaved>{b, false}, b);
}

template void PackBInt8<2>(const BRows& from, Range rows, const PackedB& b);
template void PackBInt8<4>(const BRows& from, Range rows, const PackedB& b);

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

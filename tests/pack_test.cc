// The packed orders of A and of B, element by element, and the exactness of widening.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <string>
#include <vector>

#include "kernels/dtype_traits.h"
#include "kernels/gemm.h"
#include "kernels/pack_b.h"
#include "tests/compare.h"
#include "tests/guarded_buffer.h"
#include "tests/random.h"
#include "tests/widen.h"

namespace fusedffn {
namespace {

struct DTypeCase {
  const char* name;
  DType dtype;
  float (*widen)(uint16_t stored);
};

class Widen16Test : public testing::TestWithParam<DTypeCase> {};

TEST_P(Widen16Test, AllPatterns) {
  std::vector<uint16_t> stored(65536);
  std::iota(stored.begin(), stored.end(), uint16_t{0});
  std::vector<float> wide(stored.size());
  Widen(stored.data(), GetParam().dtype, stored.size(), wide.data());
  for (size_t i = 0; i < stored.size(); ++i) {
    const float want = GetParam().widen(stored[i]);
    if (std::isnan(want)) {
      ASSERT_TRUE(std::isnan(wide[i])) << "pattern " << i;
    } else {
      ASSERT_EQ(BitsOf(wide[i]), BitsOf(want)) << "pattern " << i;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(DTypes, Widen16Test,
                         testing::Values(DTypeCase{"BF16", DType::kBF16, WidenBf16},
                                         DTypeCase{"F16", DType::kF16, WidenF16}),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(PackTest, Widen32KeepsEveryBit) {
  const std::vector<uint32_t> patterns = {0, 0x80000000, 1, 0x7F800000, 0xFF800000, 0x7FC00001, 0x3F800001};
  std::vector<float> wide(patterns.size());
  Widen(patterns.data(), DType::kF32, patterns.size(), wide.data());
  EXPECT_EQ(std::memcmp(wide.data(), patterns.data(), patterns.size() * sizeof(float)), 0);
}

// The formula in gemm.h, written out again.
size_t PackedIndex(const PanelLayout& layout, size_t n, size_t k) {
  const auto& [element_bytes, kr, nr, n_align, scale_group] = layout.b;
  const size_t panel = n / nr;
  const size_t padded_n = RoundUp(layout.n, n_align);
  const size_t width = std::min(nr, padded_n - panel * nr);
  const size_t padded_k = RoundUp(layout.k, kr);
  return panel * nr * padded_k + (k / kr * width + n % nr) * kr + k % kr;
}

// Where a panel of a weight goes that is all in `memory`.
PackedB InMemory(const PanelLayout& layout, void* memory) {
  PackedB b = {layout};
  b.data = static_cast<unsigned char*>(memory);
  return b;
}

constexpr BLayout kF32Panels = {4, 1, 12, 4, 0}, kBF16Panels = {2, 2, 12, 4, 0};

class PackedOrderTest : public testing::TestWithParam<size_t> {};

// Every N around the panel width, packed in pieces, last piece first, out of a padded W[n][k] = (n, k) as one
// number. Each element must be found where the formula says, and zeros everywhere else.
template <class Element>
void ExpectFormula(size_t n, size_t k, const BLayout& b, decltype(GemmKernel::pack_b) pack,
                   float (*widen)(Element)) {
  const size_t stride = k + 3;
  const PanelLayout layout = {b, n, k};
  const size_t count = layout.bytes() / sizeof(Element);
  const auto value = [](size_t i) { return static_cast<float>(i % 255 + 1); };
  GuardedBuffer<float> weight((n - 1) * stride + k, Flush::kRight);
  for (size_t i = 0; i < n * k; ++i) weight[i / k * stride + i % k] = value(i);
  std::vector<float> want(count);
  for (size_t i = 0; i < n * k; ++i) want[PackedIndex(layout, i / k, i % k)] = value(i);
  for (size_t piece = 1; piece <= n; ++piece) {
    GuardedBuffer<Element> packed(count, Flush::kRight);
    const PackedB to = InMemory(layout, packed.data());
    ZeroPadding(to);
    for (size_t begin = (n - 1) / piece * piece; begin < n; begin -= piece) {
      pack({weight.data() + begin * stride, stride, DType::kF32}, {begin, std::min(begin + piece, n)}, to);
    }
    std::vector<float> got(count);
    std::transform(packed.data(), packed.data() + count, got.begin(), widen);
    ASSERT_TRUE(SameBits(got.data(), count, want.data(), count, 1, count))
        << "n " << n << ", pieces of " << piece;
  }
}

TEST_P(PackedOrderTest, F32FollowsTheFormula) {
  ExpectFormula<float>(GetParam(), 7, kF32Panels, PackBF32, [](float value) { return value; });
}

TEST_P(PackedOrderTest, BF16FollowsTheFormula) {
  for (const size_t k : {1u, 7u, 20u}) {
    ExpectFormula<uint16_t>(GetParam(), k, kBF16Panels, PackBBF16, WidenBf16);
  }
}

// Two interleaved matrices: each element of both where no other one is, panel after panel.
TEST_P(PackedOrderTest, InterleavedPanels) {
  const size_t n = GetParam(), k = 7, nr = kF32Panels.nr;
  const PanelLayout alone = {kF32Panels, n, k};
  const PanelLayout layouts[] = {{kF32Panels, n, k, 2, 0}, {kF32Panels, n, k, 2, 1}};
  ASSERT_EQ(layouts[0].bytes(), 2 * alone.bytes());
  GuardedBuffer<float> packed(layouts[0].bytes() / sizeof(float), Flush::kRight);
  std::vector<float> want;
  for (size_t n0 = 0; n0 < n; n0 += nr) {
    for (const float sign : {1.0f, -1.0f}) {
      for (size_t i = 0; i < k * alone.width(n0); ++i) {
        const size_t row = n0 + i % alone.width(n0), column = i / alone.width(n0);
        want.push_back(row < n ? sign * static_cast<float>(row * k + column + 1) : 0);
      }
    }
  }
  for (const PanelLayout& layout : layouts) {
    std::vector<float> weight(n * k);
    std::iota(weight.begin(), weight.end(), 1.0f);
    for (float& value : weight) value *= layout.slot == 0 ? 1.0f : -1.0f;
    const PackedB to = InMemory(layout, packed.data());
    ZeroPadding(to);
    PackBF32({weight.data(), k, DType::kF32}, {0, n}, to);
  }
  ASSERT_TRUE(SameBits(packed.data(), want.size(), want.data(), want.size(), 1, want.size()));
}

// Every element of a packed A has a place of its own, inside of bytes() and of its row.
TEST(ALayoutTest, ChunksFollowEachOtherAndRowsDoInThem) {
  for (const ALayout& a : {ALayout{4, 12, 4, 64, 1}, ALayout{2, 24, 8, 64, 1}, ALayout{1, 32, 32, 48, 1}}) {
    for (const size_t rows : {1u, 3u, 7u}) {
      for (size_t k = 1; k < 80; ++k) {
        const size_t chunk = a.chunk(k);
        ASSERT_LE(chunk, a.kc);
        ASSERT_EQ(chunk % a.k_align, 0u);
        ASSERT_EQ(DivideUp(k, chunk), DivideUp(k, a.kc)) << "no more chunks than it takes";
        for (size_t row = 0; row < rows; ++row) {
          for (size_t i = 0; i < k; ++i) {
            const size_t at = a.offset(row, i, rows, chunk), row_start = i / chunk * rows + row;
            ASSERT_EQ(at, row_start * a.row_bytes + i % chunk * a.element_bytes);
            ASSERT_LE(at % a.row_bytes + a.element_bytes, a.row_bytes);
            ASSERT_LT(at, a.bytes(rows, k, chunk));
          }
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Rows, PackedOrderTest, testing::Range(size_t{1}, size_t{40}));

// One weight through a bf16 layout.
uint16_t ToBf16(float value) {
  uint16_t packed[24] = {};
  PackBBF16({&value, 1, DType::kF32}, {0, 1}, InMemory({kBF16Panels, 1, 1}, packed));
  return packed[0];
}

TEST(PackTest, RoundsToBf16) {
  Random random(1);
  for (int i = 0; i < 100000; ++i) {
    const float value = random.WideRange(100);
    ASSERT_EQ(BitsOf(WidenBf16(ToBf16(value))), BitsOf(RoundToBf16(value))) << std::hexfloat << value;
  }
  EXPECT_EQ(ToBf16(FloatOf(0x3F808000)), 0x3F80);  // halfway: to even
  EXPECT_EQ(ToBf16(FloatOf(0x3F818000)), 0x3F82);
  EXPECT_EQ(ToBf16(FloatOf(0x7F7FFFFF)), 0x7F80);  // FLT_MAX is nearer to 2^128 than to the largest bf16
  EXPECT_EQ(ToBf16(FloatOf(0x00008001)), 0x0001);  // denormals as well
}

// All 2^16: what is bf16 already is kept, NaNs and denormals among them; fp16's values that fit are exact.
TEST(PackTest, Bf16KeepsItsBits) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto stored = static_cast<uint16_t>(bits);
    uint16_t packed[24] = {};
    PackBBF16({&stored, 1, DType::kBF16}, {0, 1}, InMemory({kBF16Panels, 1, 1}, packed));
    ASSERT_EQ(packed[0], stored);
  }
  for (const uint32_t nan : {0x7F800001u, 0xFF80FFFFu, 0x7FC00000u}) {
    EXPECT_TRUE(std::isnan(WidenBf16(ToBf16(FloatOf(nan))))) << nan;  // not infinity
  }
}

}  // namespace
}  // namespace fusedffn

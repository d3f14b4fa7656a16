// AMX's kernels on any CPU: compiled for every target's vectors, with the tile registers emulated, they give
// the bits of scalar models, epilogue and all. Those of int8 need rows that are quantized to unsigned bytes,
// as AVX-512 VNNI's are.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "fusedffn/fusedffn.h"
#include "kernels/amx_tiles.h"
#include "kernels/kernels.h"
#include "src/packed_block.h"
#include "tests/chain.h"
#include "tests/compare.h"
#include "tests/effort.h"
#include "tests/emulated_tiles.h"
#include "tests/random.h"
#include "tests/reference.h"
#include "tests/targets.h"
#include "tests/test_block.h"
#include "tests/widen.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tests/amx_test.cc"
#include "hwy/foreach_target.h"  // must come before highway.h
#include "hwy/highway.h"
#include "kernels/amx_gemm-inl.h"

#ifndef FUSEDFFN_TESTS_AMX_TEST_CC_
#define FUSEDFFN_TESTS_AMX_TEST_CC_
namespace fusedffn {

// Faults that a kernel could have. Registers of A and C are configured one row short:
struct OneRowShort : EmulatedTiles {
  static void Configure(const TileConfig& valid) {
    TileConfig config = valid;
    for (size_t i = 0; i < 6; ++i) config.rows[i] -= config.rows[i] > 1;
    EmulatedTiles::Configure(config);
  }
};

// Products take a step of k more than there are rows of B.
struct OneStepMore : EmulatedTiles {
  static void Configure(const TileConfig& valid) {
    TileConfig config = valid;
    for (size_t i = 6; i < kTileRegisters; ++i) --config.rows[i];
    EmulatedTiles::Configure(config);
  }
};

// Those of one kind of registers; int8 only where its rows are quantized so.
struct TileKernels {
  GemmKernel bf16_dot, bf16x3, int8, small_int8;
};

struct TileKernelsOfTarget {
  TileKernels emulated, one_row_short, one_step_more;
};

template <int64_t kTarget>
struct TileKernelsOf {
  static constexpr const TileKernelsOfTarget* kValue = nullptr;
};

}  // namespace fusedffn
#endif  // FUSEDFFN_TESTS_AMX_TEST_CC_

HWY_BEFORE_NAMESPACE();
namespace fusedffn {
inline namespace v0_2 {
namespace HWY_NAMESPACE {

template <class Unit>
constexpr TileKernels KernelsWith() {
  if constexpr (Int8::kStep == 4 && Int8::kLess == 0) {
    return {BF16DotAmxKernel<Unit>(), BF16x3AmxKernel<Unit>(), Int8AmxKernel<Unit>(kInt8GroupSize),
            Int8AmxKernel<Unit>(kSmallInt8GroupSize)};
  } else {
    return {BF16DotAmxKernel<Unit>(), BF16x3AmxKernel<Unit>(), {}, {}};
  }
}

constexpr TileKernelsOfTarget kTileKernels = {KernelsWith<EmulatedTiles>(), KernelsWith<OneRowShort>(),
                                              KernelsWith<OneStepMore>()};

}  // namespace HWY_NAMESPACE
}  // namespace v0_2

template <>
struct TileKernelsOf<HWY_TARGET> {
  static constexpr const TileKernelsOfTarget* kValue = &HWY_NAMESPACE::kTileKernels;
};

}  // namespace fusedffn
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fusedffn {
namespace {

// --- The kernels -------------------------------------------------------------------------------------------

template <size_t... kBit>
const TileKernelsOfTarget* FindTileKernels(int64_t target, std::index_sequence<kBit...>) {
  const TileKernelsOfTarget* found = nullptr;
  ((target == int64_t{1} << kBit ? void(found = TileKernelsOf<(int64_t{1} << kBit)>::kValue) : void()), ...);
  return found;
}

constexpr Shape kShapes[] = {
    {1, 1, 1},      {7, 33, 5},       {32, 48, 16},        {530, 70, 97},        {90, 1200, 50},
    {1200, 33, 49}, {7, 33, 5, true}, {97, 130, 97, true}, {33, 1153, 50, true}, {600, 50, 20, true}};
constexpr size_t kMostTokens = 70;

class AmxTest : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override { EmulatedTiles::Faults() = 0; }

  const Kernels& kernels() const { return KernelsNamed(GetParam()); }
  const TileKernelsOfTarget& tile_kernels() const {
    return *FindTileKernels(kernels().target, std::make_index_sequence<63>());
  }

  PackedFfn PackWith(const GemmKernel& gemm, const TestBlock& block) const {
    const Weights weights = block.weights();
    BlockPtr packed;
    EXPECT_TRUE(CreateFfn(weights.shape, weights.activation, kernels(), gemm, false, &packed).ok());
    const Linear* const layers[] = {&weights.fc1, &weights.fc2, &weights.up};
    for (size_t i = 0; i < packed->layer_count; ++i) {
      EXPECT_TRUE(PackLayer(packed.get(), i, *layers[i], 2).ok());
    }
    PackedFfn ffn;
    PackedBlockAccess::Set(std::move(packed), &ffn);
    return ffn;
  }

  PackedLinear PackWith(const GemmKernel& gemm, const TestLinear& layer) const {
    BlockPtr packed;
    EXPECT_TRUE(CreateLinear(layer.in, layer.out, layer.activation, kernels(), gemm, false, &packed).ok());
    EXPECT_TRUE(PackLayer(packed.get(), 0, layer.weights(), 2).ok());
    PackedLinear linear;
    PackedBlockAccess::Set(std::move(packed), &linear);
    return linear;
  }

  static testing::AssertionResult Same(const std::vector<float>& y, const std::vector<float>& want,
                                       size_t columns) {
    return SameBits(y.data(), columns, want.data(), columns, y.size() / columns, columns);
  }

  // Of numbers of rows in one and two registers, so far apart, and in several tiles.
  template <class Ffn>
  void ExpectTheBitsOf(const Ffn& ffn_of_model, const GemmKernel& gemm, size_t apart) const {
    Random random(1);
    for (const Shape& shape : kShapes) {
      const TestBlock block = RoundedBlock(shape, &random);
      const PackedFfn ffn = PackWith(gemm, block);
      const std::vector<float> x = RandomTokens(shape, kMostTokens, &random);
      const std::vector<float> want = ffn_of_model(kernels(), block, x);
      for (size_t tokens = 1; tokens <= kMostTokens; tokens += tokens < 34 ? apart : FullOrLight(6, 36)) {
        for (const int threads : {1, 3}) {
          const std::vector<float> y = RunDense(ffn, x.data(), tokens, {threads});
          ASSERT_TRUE(Same(y, want, shape.out))
              << "shape " << shape << ", " << tokens << " tokens, " << threads;
        }
      }
    }
    EXPECT_EQ(EmulatedTiles::Faults(), 0u);
  }
};

// y of all rows of x, in double precision.
std::vector<double> ReferenceRows(const TestLinear& layer, const std::vector<float>& x) {
  std::vector<double> y;
  for (size_t i = 0; i < x.size(); i += layer.in) {
    const std::vector<double> row = ReferenceLinear(layer.weights(), layer.out, layer.in, &x[i]);
    y.insert(y.end(), row.begin(), row.end());
  }
  return y;
}

INSTANTIATE_TEST_SUITE_P(Targets, AmxTest, testing::ValuesIn(SupportedTargets()),
                         [](const auto& info) { return info.param; });

TEST_P(AmxTest, BF16DotGivesTheBitsOfTheModel) {
  const auto model = [](const Kernels& kernels, const TestBlock& block, const std::vector<float>& x) {
    return AmxFfn(kernels, block, x);
  };
  ExpectTheBitsOf(model, tile_kernels().emulated.bf16_dot, FullOrLight(1, 8));
}

TEST_P(AmxTest, BF16x3GivesTheBitsOfTheModel) {
  ExpectTheBitsOf(AmxX3Ffn, tile_kernels().emulated.bf16x3, FullOrLight(4, 16));
}

// Where C does not become an A, all panels of a chunk come before the next chunk.
TEST_P(AmxTest, BF16DotOfALinearGivesTheBitsOfTheModel) {
  Random random(1);
  for (const auto& [in, out] : {std::pair<size_t, size_t>(1, 1), {40, 33}, {577, 200}, {1200, 161}}) {
    TestLinear layer = RandomLinear(in, out, &random);
    layer.w = Rounded(layer.w);
    layer.activation = Activation::kIdentity;
    const PackedLinear linear = PackWith(tile_kernels().emulated.bf16_dot, layer);
    const std::vector<float> x = RandomTokens(in, 100, &random);
    std::vector<float> want;
    for (auto row = x.begin(); row != x.end(); row += static_cast<ptrdiff_t>(in)) {
      const auto y = AmxLinear(layer.w, layer.b, Rounded({row, row + static_cast<ptrdiff_t>(in)}));
      want.insert(want.end(), y.begin(), y.end());
    }
    for (const size_t tokens : {1u, 33u, 100u}) {
      for (const int threads : {1, 3}) {
        std::vector<float> y(tokens * out);
        ASSERT_TRUE(fusedffn::Run(linear, x.data(), in, tokens, y.data(), out, {threads}).ok());
        ASSERT_TRUE(Same(y, want, out)) << in << " to " << out << ", " << tokens << " tokens, " << threads;
      }
    }
  }
  EXPECT_EQ(EmulatedTiles::Faults(), 0u);
}

// The products of integers of 24 bits and small ones are exact, and so are sums below 2^24.
TEST_P(AmxTest, BF16x3IsExactOnIntegers) {
  Random random(1);
  TestLinear layer = RandomLinear(700, 40, &random);
  for (float& w : layer.w) w = static_cast<float>(random.Integer(-3, 3));
  for (float& b : layer.b) b = static_cast<float>(random.Integer(-100, 100));
  layer.activation = Activation::kIdentity;
  const PackedLinear linear = PackWith(tile_kernels().emulated.bf16x3, layer);
  std::vector<float> x(3 * layer.in);
  for (float& value : x) value = static_cast<float>(random.Integer(-7000, 7000));
  const PackedLinear f32 = PackFor(GetParam(), layer, Precision::kF32);
  EXPECT_TRUE(Same(RunDense(linear, x.data(), 3), RunDense(f32, x.data(), 3), layer.out));
}

TEST_P(AmxTest, BF16x3IsAsAccurateAsFp32) {
  Random random(1);
  for (const size_t in : {64u, 1024u, 4096u}) {
    TestLinear layer = RandomLinear(in, 33, &random);
    layer.w = Rounded(layer.w);
    layer.activation = Activation::kIdentity;
    const PackedLinear linear = PackWith(tile_kernels().emulated.bf16x3, layer);
    const std::vector<float> x = RandomTokens(in, 17, &random);
    const std::vector<double> want = ReferenceRows(layer, x);
    EXPECT_LE(RelativeL2(RunDense(linear, x.data(), 17), want), 5e-7) << in;
  }
}

// Rows of all sizes that fp32 has normal numbers of: those whose pieces were denormal are multiplied on the
// way.
TEST_P(AmxTest, BF16x3IsAccurateForSmallAndLargeNumbers) {
  Random random(1);
  TestLinear layer = RandomLinear(600, 33, &random);
  layer.w = Rounded(layer.w);
  layer.b.assign(layer.out, 0.0f);
  layer.activation = Activation::kIdentity;
  const PackedLinear linear = PackWith(tile_kernels().emulated.bf16x3, layer);
  for (int exponent = -123; exponent <= 123; exponent += exponent < -64 ? 1 : 11) {
    std::vector<float> x = RandomTokens(layer.in, 2, &random);
    for (float& value : x) value = std::ldexp(value, exponent);
    EXPECT_LE(RelativeL2(RunDense(linear, x.data(), 2), ReferenceRows(layer, x)), 1e-6) << exponent;
  }
}

// Of a linear, since in a block the next layer makes NaNs of infinities.
TEST_P(AmxTest, BF16x3GivesInfinitiesAndNaNsWhereFp32Does) {
  Random random(1);
  TestLinear layer = RandomLinear(40, 20, &random);
  layer.w = Rounded(layer.w);
  layer.activation = Activation::kIdentity;
  const PackedLinear linear = PackWith(tile_kernels().emulated.bf16x3, layer);
  const PackedLinear f32 = PackFor(GetParam(), layer, Precision::kF32);
  const float infinity = std::numeric_limits<float>::infinity(),
              nan = std::numeric_limits<float>::quiet_NaN();
  // A NaN may be one by its lower half alone.
  for (const float special : {infinity, -infinity, nan, FloatOf(0x7F800001), FloatOf(0xFF800001), 3.3e38f}) {
    std::vector<float> x = RandomTokens(layer.in, 3, &random);
    x[layer.in + 5] = special;
    const std::vector<float> y = RunDense(linear, x.data(), 3), want = RunDense(f32, x.data(), 3);
    for (size_t i = 0; i < y.size(); ++i) {
      ASSERT_EQ(std::isnan(y[i]), std::isnan(want[i])) << i << " with " << special;
      ASSERT_EQ(std::isinf(y[i]), std::isinf(want[i])) << i << " with " << special;
      ASSERT_TRUE(!std::isinf(y[i]) || y[i] == want[i]) << i << " with " << special;
    }
  }
}

// They are infinite in bf16: of that type, of fp16, and of fp32 what is rounded so.
TEST_P(AmxTest, BF16x3RefusesInfiniteWeights) {
  const GemmKernel& gemm = tile_kernels().emulated.bf16x3;
  const auto pack = [&](DType dtype, const void* rows) {
    BlockPtr packed;
    EXPECT_TRUE(CreateLinear(2, 3, Activation::kIdentity, kernels(), gemm, false, &packed).ok());
    return PackLayerRows(packed.get(), 0, 1, 2, {rows, 2, dtype});
  };
  const float largest = FloatOf(0x7F7F7FFF), infinite[4] = {1, 2, FloatOf(0xFF7F8000), 1};
  const float finite[4] = {largest, 0, std::numeric_limits<float>::quiet_NaN(), -largest};
  const uint16_t bf16[4] = {0, 0, 0, 0x7F80}, f16[4] = {0, 0, 0xFC00, 0}, nan16[4] = {0x7FC0, 0x7F7F, 0, 0};
  EXPECT_TRUE(pack(DType::kF32, finite).ok());
  EXPECT_TRUE(pack(DType::kBF16, nan16).ok());
  for (const auto& [dtype, rows] :
       {std::pair<DType, const void*>(DType::kF32, infinite), {DType::kBF16, bf16}, {DType::kF16, f16}}) {
    const Status status = pack(dtype, rows);
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
    EXPECT_NE(std::string(status.message()).find("linear: row 2 has a weight that is infinite in bf16"),
              std::string::npos)
        << status.message();
  }
}

TEST_P(AmxTest, BF16x3CountsDenormalWeights) {
  Random random(1);
  TestLinear layer = RandomLinear(8, 8, &random);
  layer.w[3] = 0x1p-130f;
  const PackedLinear linear = PackWith(tile_kernels().emulated.bf16x3, layer);
  EXPECT_EQ(linear.denormals(), 1u);
  EXPECT_NE(std::string(Describe(linear, 1).text).find("1 weights are denormal, which AMX takes for zeros"),
            std::string::npos);
}

TEST_P(AmxTest, Int8GivesTheBitsOfVectors) {
  if (tile_kernels().emulated.int8.run == nullptr) GTEST_SKIP() << "its rows are not in unsigned bytes";
  Random random(1);
  for (const Shape& shape : kShapes) {
    const TestBlock block = RandomBlock(shape, &random);
    const std::vector<float> x = RandomTokens(shape, kMostTokens, &random);
    for (const auto& [gemm, group] : {std::pair(&tile_kernels().emulated.int8, kInt8GroupSize),
                                      std::pair(&tile_kernels().emulated.small_int8, kSmallInt8GroupSize)}) {
      const PackedFfn ffn = PackWith(*gemm, block);
      const PackedFfn vectors = PackFor(GetParam(), block.weights(), Precision::kInt8, group);
      for (const size_t tokens : {1u, 2u, 15u, 16u, 17u, 31u, 32u, 33u, 70u}) {
        ASSERT_TRUE(
            Same(RunDense(ffn, x.data(), tokens, {2}), RunDense(vectors, x.data(), tokens, {2}), shape.out))
            << "shape " << shape << ", " << tokens << " tokens, group " << group;
      }
    }
  }
  EXPECT_EQ(EmulatedTiles::Faults(), 0u);
}

TEST_P(AmxTest, FaultsAreFound) {
  Random random(1);
  const Shape shape = {70, 90, 50};
  const TestBlock block = RoundedBlock(shape, &random);
  const std::vector<float> x = RandomTokens(shape, 20, &random), want = AmxFfn(kernels(), block, x);
  const PackedFfn short_rows = PackWith(tile_kernels().one_row_short.bf16_dot, block);
  EXPECT_FALSE(Same(RunDense(short_rows, x.data(), 20), want, shape.out));
  EXPECT_EQ(EmulatedTiles::Faults(), 0u);
  const PackedFfn more_steps = PackWith(tile_kernels().one_step_more.bf16_dot, block);
  EXPECT_FALSE(Same(RunDense(more_steps, x.data(), 20), want, shape.out));
  EXPECT_GT(EmulatedTiles::Faults(), 0u);
}

}  // namespace
}  // namespace fusedffn
#endif  // HWY_ONCE

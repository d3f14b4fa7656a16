// AMX's kernels on any CPU: compiled for every target's vectors, with the tile registers emulated, they give
// the bits of scalar models, epilogue and all. Those of int8 need rows that are quantized to unsigned bytes,
// as AVX-512 VNNI's are. Where there is AMX, emulation and instructions give each other's bits.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>

#include "fusedffn/fusedffn.h"
#include "kernels/amx_tiles.h"
#include "kernels/cpu.h"
#include "kernels/kernels.h"
#include "src/packed_block.h"
#include "tests/chain.h"
#include "tests/compare.h"
#include "tests/effort.h"
#include "tests/emulated_tiles.h"
#include "tests/random.h"
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
  GemmKernel bf16_dot, int8, small_int8;
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
    return {BF16DotAmxKernel<Unit>(), Int8AmxKernel<Unit>(kInt8GroupSize),
            Int8AmxKernel<Unit>(kSmallInt8GroupSize)};
  } else {
    return {BF16DotAmxKernel<Unit>(), {}, {}};
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

// --- The emulation -----------------------------------------------------------------------------------------

// Products of m rows, `steps` of k and n columns: registers 0 += 1 * 2 of other data for each size.
template <class Unit>
class TileProduct {
 public:
  TileProduct(size_t m, size_t steps, size_t n) {
    const size_t rows[] = {m, m, steps}, columns[] = {n, steps, n};
    config_.palette = 1;
    for (const size_t i : {0, 1, 2}) {
      config_.rows[i] = static_cast<uint8_t>(rows[i]);
      config_.row_bytes[i] = static_cast<uint16_t>(4 * columns[i]);
    }
  }

  // C, of rows of 16, from those of A, B and C in 16 rows of 64 bytes each.
  std::vector<uint32_t> Of(bool bf16, const uint32_t* a, const uint32_t* b, const uint32_t* c) const {
    std::vector<uint32_t> result(256, 0xAAAAAAAA);
    Unit::Configure(config_);
    Unit::template Load<0>(c, 64);
    Unit::template Load<1>(a, 64);
    Unit::template Load<2>(b, 64);
    bf16 ? Unit::template MultiplyBF16<0, 1, 2>() : Unit::template MultiplyU8S8<0, 1, 2>();
    Unit::template Store<0>(result.data(), 64);
    Unit::Release();
    return result;
  }

 private:
  TileConfig config_ = {};
};

// A register's data as bf16 or bytes; every fourth bf16 is denormal or so small that products are.
std::vector<uint32_t> TileData(bool bf16, Random* random) {
  std::vector<uint32_t> data(256);
  for (size_t i = 0; i < data.size(); ++i) {
    data[i] = static_cast<uint32_t>(random->Bits());
    if (!bf16) continue;
    const float scale = i % 8 == 0 ? 0x1p-70f : i % 8 == 4 ? 0x1p-130f : 1.0f;
    const auto bf16_bits = [&] { return uint32_t{UpperHalf(random->Symmetric() * scale)}; };
    data[i] = bf16_bits() | bf16_bits() << 16;
  }
  return data;
}

std::vector<uint32_t> Sums(bool bf16, Random* random) {
  std::vector<uint32_t> data(256);
  for (uint32_t& sum : data) sum = bf16 ? BitsOf(random->Symmetric()) : static_cast<uint32_t>(random->Bits());
  return data;
}

#if HWY_ARCH_X86_64
TEST(EmulatedTilesTest, GivesTheBitsOfTheInstructions) {
  if (AmxIsMissing() != nullptr) GTEST_SKIP() << AmxIsMissing();
  ASSERT_EQ(AskForAmx(), nullptr);
  Random random(1);
  for (size_t m = 1; m <= 16; ++m) {
    for (size_t steps = 1; steps <= 16; ++steps) {
      for (size_t n = 1; n <= 16; ++n) {
        for (const bool bf16 : {false, true}) {
          const auto a = TileData(bf16, &random), b = TileData(bf16, &random), c = Sums(bf16, &random);
          ASSERT_EQ(TileProduct<AmxTiles>(m, steps, n).Of(bf16, a.data(), b.data(), c.data()),
                    TileProduct<EmulatedTiles>(m, steps, n).Of(bf16, a.data(), b.data(), c.data()))
              << m << " rows, " << steps << " steps, " << n << " columns";
        }
      }
    }
  }
}
#endif

TEST(EmulatedTilesTest, TakesDenormalsForZeros) {
  const uint32_t tiny = 0x00400040;  // two bf16, 2^-127 each
  const std::vector<uint32_t> a(256, tiny), b(256, 0x7F007F00), zeros(256, 0);
  EXPECT_EQ(TileProduct<EmulatedTiles>(1, 1, 1).Of(true, a.data(), b.data(), zeros.data())[0], 0u);
  const std::vector<uint32_t> small(256, 0x20002000);  // 2^-63: a product of two is denormal
  EXPECT_EQ(TileProduct<EmulatedTiles>(1, 16, 1).Of(true, small.data(), small.data(), zeros.data())[0],
            BitsOf(32 * 0x1p-126f));
  const std::vector<uint32_t> smaller(256, 0x1F801F80);  // 2^-64
  EXPECT_EQ(TileProduct<EmulatedTiles>(1, 16, 1).Of(true, smaller.data(), smaller.data(), zeros.data())[0],
            0u);
}

TEST(EmulatedTilesTest, WrapsAroundAndMultipliesUnsignedBySigned) {
  const std::vector<uint32_t> a(256, 0xFFFFFFFF), b(256, 0x80808080), most(256, 0x80000000);
  EXPECT_EQ(TileProduct<EmulatedTiles>(16, 16, 16).Of(false, a.data(), b.data(), most.data())[255],
            0x80000000u - 64 * 255 * 128);
}

TEST(EmulatedTilesTest, RefusesWhatTheInstructionsRefuse) {
  const auto faults = [](const auto& act) {
    const size_t before = EmulatedTiles::Faults();
    act();
    EmulatedTiles::Release();
    return EmulatedTiles::Faults() - before;
  };
  EXPECT_EQ(faults([] { EmulatedTiles::Zero<0>(); }), 1u) << "not configured";
  const auto configure = [&](uint8_t palette, size_t rows, size_t bytes) {
    return faults([&] {
      TileConfig config = {};
      config.palette = palette;
      config.rows[3] = static_cast<uint8_t>(rows);
      config.row_bytes[3] = static_cast<uint16_t>(bytes);
      EmulatedTiles::Configure(config);
    });
  };
  EXPECT_EQ(configure(1, 16, 64), 0u);
  EXPECT_EQ(configure(2, 16, 64), 1u);
  EXPECT_EQ(configure(1, 17, 64), 1u);
  EXPECT_EQ(configure(1, 16, 65), 1u);
  EXPECT_EQ(configure(1, 16, 0), 1u);
  const std::vector<uint32_t> data(256);
  const auto multiply = [&](size_t rows_of_b) {
    return faults([&] {
      TileConfig config = {1, 0, {}, {64, 64, 64}, {16, 16, static_cast<uint8_t>(rows_of_b)}};
      EmulatedTiles::Configure(config);
      EmulatedTiles::MultiplyBF16<0, 1, 2>();
    });
  };
  EXPECT_EQ(multiply(16), 0u);
  EXPECT_EQ(multiply(15), 1u);
}

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

  static testing::AssertionResult Same(const std::vector<float>& y, const std::vector<float>& want,
                                       size_t columns) {
    return SameBits(y.data(), columns, want.data(), columns, y.size() / columns, columns);
  }
};

INSTANTIATE_TEST_SUITE_P(Targets, AmxTest, testing::ValuesIn(SupportedTargets()),
                         [](const auto& info) { return info.param; });

// Of every number of rows that there can be in one and two registers, and in several tiles.
TEST_P(AmxTest, BF16DotGivesTheBitsOfTheModel) {
  Random random(1);
  for (const Shape& shape : kShapes) {
    const TestBlock block = RoundedBlock(shape, &random);
    const PackedFfn ffn = PackWith(tile_kernels().emulated.bf16_dot, block);
    const std::vector<float> x = RandomTokens(shape, kMostTokens, &random);
    const std::vector<float> want = AmxFfn(kernels(), block, x);
    for (size_t tokens = 1; tokens <= kMostTokens; tokens += tokens < 34 ? FullOrLight(1, 5) : 6) {
      for (const int threads : {1, 3}) {
        const std::vector<float> y = RunDense(ffn, x.data(), tokens, {threads});
        ASSERT_TRUE(Same(y, want, shape.out))
            << "shape " << shape << ", " << tokens << " tokens, " << threads;
      }
    }
  }
  EXPECT_EQ(EmulatedTiles::Faults(), 0u);
}

// Where C does not become an A, all panels of a chunk come before the next chunk.
TEST_P(AmxTest, BF16DotOfALinearGivesTheBitsOfTheModel) {
  Random random(1);
  for (const auto& [in, out] : {std::pair<size_t, size_t>(1, 1), {40, 33}, {577, 200}, {1200, 161}}) {
    TestLinear layer = RandomLinear(in, out, &random);
    layer.w = Rounded(layer.w);
    BlockPtr packed;
    ASSERT_TRUE(CreateLinear(in, out, Activation::kIdentity, kernels(), tile_kernels().emulated.bf16_dot,
                             false, &packed)
                    .ok());
    ASSERT_TRUE(PackLayer(packed.get(), 0, layer.weights(), 2).ok());
    PackedLinear linear;
    PackedBlockAccess::Set(std::move(packed), &linear);
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

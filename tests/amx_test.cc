// AMX's kernels on any CPU with AVX-512 VNNI: compiled for its vectors, with the tile registers emulated,
// they give the bits of scalar models, epilogue and all. Where there is AMX, emulation and instructions give
// each other's.
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
  static void Configure(TileConfig config) {
    for (size_t i = 0; i + 1 < kTileRegisters; ++i) config.rows[i] -= config.rows[i] > 1;
    EmulatedTiles::Configure(config);
  }
};

// Products take a step of k more than there are rows of B.
struct OneStepMore : EmulatedTiles {
  static void Configure(TileConfig config) {
    --config.rows[kTileRegisters - 1];
    EmulatedTiles::Configure(config);
  }
};

// Those of one kind of registers.
struct TileKernels {
  GemmKernel bf16_dot, int8, small_int8;
};

}  // namespace fusedffn
#endif  // FUSEDFFN_TESTS_AMX_TEST_CC_

#if HWY_TARGET == HWY_AVX3_DL
HWY_BEFORE_NAMESPACE();
namespace fusedffn {
inline namespace v0_2 {
namespace HWY_NAMESPACE {

template <class Unit>
constexpr TileKernels KernelsWith() {
  return {BF16DotAmxKernel<Unit>(), Int8AmxKernel<Unit>(kInt8GroupSize),
          Int8AmxKernel<Unit>(kSmallInt8GroupSize)};
}

extern const TileKernels kEmulated = KernelsWith<EmulatedTiles>();
extern const TileKernels kOneRowShort = KernelsWith<OneRowShort>();
extern const TileKernels kOneStepMore = KernelsWith<OneStepMore>();

}  // namespace HWY_NAMESPACE
}  // namespace v0_2
}  // namespace fusedffn
HWY_AFTER_NAMESPACE();
#endif

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
#if HWY_TARGETS & HWY_AVX3_DL

constexpr Shape kShapes[] = {{1, 1, 1},        {7, 33, 5},          {32, 48, 16},
                             {530, 70, 97},    {90, 1200, 50},      {1200, 33, 49},
                             {7, 33, 5, true}, {97, 130, 97, true}, {33, 1153, 50, true}};
constexpr size_t kMostTokens = 70;

class AmxTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!TargetNamed("AVX3_DL").supported) GTEST_SKIP() << "no AVX-512 VNNI";
    EmulatedTiles::Faults() = 0;
  }

  const Kernels& kernels() const { return KernelsNamed("AVX3_DL"); }

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

// Of every number of rows that there can be in one and two registers, and in several tiles.
TEST_F(AmxTest, BF16DotGivesTheBitsOfTheModel) {
  Random random(1);
  for (const Shape& shape : kShapes) {
    const TestBlock block = RoundedBlock(shape, &random);
    const PackedFfn ffn = PackWith(N_AVX3_DL::kEmulated.bf16_dot, block);
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

TEST_F(AmxTest, Int8GivesTheBitsOfVectors) {
  Random random(1);
  for (const Shape& shape : kShapes) {
    const TestBlock block = RandomBlock(shape, &random);
    const std::vector<float> x = RandomTokens(shape, kMostTokens, &random);
    for (const auto& [gemm, group] : {std::pair(&N_AVX3_DL::kEmulated.int8, kInt8GroupSize),
                                      std::pair(&N_AVX3_DL::kEmulated.small_int8, kSmallInt8GroupSize)}) {
      const PackedFfn ffn = PackWith(*gemm, block);
      const PackedFfn vectors = PackFor("AVX3_DL", block.weights(), Precision::kInt8, group);
      for (const size_t tokens : {1u, 2u, 15u, 16u, 17u, 31u, 32u, 33u, 70u}) {
        ASSERT_TRUE(
            Same(RunDense(ffn, x.data(), tokens, {2}), RunDense(vectors, x.data(), tokens, {2}), shape.out))
            << "shape " << shape << ", " << tokens << " tokens, group " << group;
      }
    }
  }
  EXPECT_EQ(EmulatedTiles::Faults(), 0u);
}

TEST_F(AmxTest, FaultsAreFound) {
  Random random(1);
  const Shape shape = {70, 90, 50};
  const TestBlock block = RoundedBlock(shape, &random);
  const std::vector<float> x = RandomTokens(shape, 20, &random), want = AmxFfn(kernels(), block, x);
  const PackedFfn short_rows = PackWith(N_AVX3_DL::kOneRowShort.bf16_dot, block);
  EXPECT_FALSE(Same(RunDense(short_rows, x.data(), 20), want, shape.out));
  EXPECT_EQ(EmulatedTiles::Faults(), 0u);
  const PackedFfn more_steps = PackWith(N_AVX3_DL::kOneStepMore.bf16_dot, block);
  EXPECT_FALSE(Same(RunDense(more_steps, x.data(), 20), want, shape.out));
  EXPECT_GT(EmulatedTiles::Faults(), 0u);
}
#endif

}  // namespace
}  // namespace fusedffn
#endif  // HWY_ONCE

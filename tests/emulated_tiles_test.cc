// AMX's tile registers, emulated: what the instructions do, where there is AMX bit for bit.
#include "tests/emulated_tiles.h"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/amx_tiles.h"
#include "kernels/cpu.h"
#include "tests/compare.h"
#include "tests/random.h"
#include "tests/widen.h"

namespace fusedffn {
namespace {

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

#if defined(__x86_64__)
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

}  // namespace
}  // namespace fusedffn

// The figures of the block that this library was made for, and the limits of 64 bits.
#include "tools/fusedffn/accounting.h"

#include <gtest/gtest.h>

#include <stdexcept>

#include "tools/fusedffn/units.h"

namespace fusedffn::program {
namespace {

TEST(AccountingTest, ClipL) {
  const Accounting a = Account({});
  EXPECT_EQ(a.tokens, 257u);
  EXPECT_EQ(a.block.weights, 8'388'608u);
  EXPECT_EQ(a.block.biases, 5'120u);
  EXPECT_EQ(Bytes(a.block.weight_bytes), "16.78 MB");
  EXPECT_EQ(Bytes(a.all_layers.weight_bytes), "403 MB");
  EXPECT_EQ(a.all_layers.weights, 201'326'592u);
  EXPECT_EQ(a.block.fc1_flop, 2'155'872'256u);
  EXPECT_EQ(a.block.fc2_flop, 2'155'872'256u);
  EXPECT_EQ(Flops(a.block.activation_flop), "5.26 MFLOP");
  EXPECT_EQ(Flops(a.block.matmul_flop), "4.31 GFLOP");
  EXPECT_EQ(Flops(a.all_layers.matmul_flop), "103.5 GFLOP");
  EXPECT_EQ(Bytes(a.input_bytes), "526 KB");
  EXPECT_EQ(a.hidden_bytes, 2'105'344u);
  EXPECT_EQ(Bytes(a.output_bytes), "526 KB");
  EXPECT_EQ(a.unfused_peak_bytes, 2'631'680u);
  EXPECT_EQ(QuotedFigures(a, 24),
            "fc1 2.15 + fc2 2.15 = 4.30 GFLOP a block, 103.2 for 24 layers; fc1 output 2.10 MB, peak 2.6 MB");
}

// DeepSeek-OCR's first layer: three matrices of 1280 x 6848.
TEST(AccountingTest, Gated) {
  Workload workload;
  workload.dim = workload.out = 1280;
  workload.hidden = 6848;
  workload.gated = true;
  workload.seq = 1;
  const Accounting a = Account(workload);
  EXPECT_EQ(a.block.weights, 3u * 1280 * 6848);
  EXPECT_EQ(a.block.biases, 2u * 6848 + 1280);
  EXPECT_EQ(a.block.matmul_flop, 2 * a.block.weights);
  EXPECT_EQ(a.block.activation_flop, (5u + 1) * 6848);
  EXPECT_EQ(a.unfused_peak_bytes, 2u * (1280 + 2 * 6848));  // x, act(fc1(x)) and up(x)
  workload.hidden = 100;
  EXPECT_EQ(Account(workload).unfused_peak_bytes, 2u * (1280 + 2 * 100));
  workload.out = 2000;
  EXPECT_EQ(Account(workload).unfused_peak_bytes, 2u * (100 + 2000));  // their product, and y
}

TEST(AccountingTest, EveryDimensionHasItsPlace) {
  const Accounting a = Account({2, 3, 5, 7, 11, 13, 4});
  EXPECT_EQ(a.tokens, 77u);
  EXPECT_EQ(a.block.weights, 2u * 3 + 3 * 5);
  EXPECT_EQ(a.block.biases, 3u + 5);
  EXPECT_EQ(a.block.bias_bytes, 4u * (3 + 5));
  EXPECT_EQ(a.block.fc1_flop, 2u * 77 * 2 * 3);
  EXPECT_EQ(a.block.activation_flop, 5u * 77 * 3);
  EXPECT_EQ(a.block.fc2_flop, 2u * 77 * 3 * 5);
  EXPECT_EQ(a.all_layers.matmul_flop, 13u * 2 * 77 * (2 * 3 + 3 * 5));
  EXPECT_EQ(a.input_bytes, 4u * 77 * 2);
  EXPECT_EQ(a.hidden_bytes, 4u * 77 * 3);
  EXPECT_EQ(a.output_bytes, 4u * 77 * 5);
  EXPECT_EQ(a.unfused_peak_bytes, 4u * 77 * (3 + 5));
}

TEST(AccountingTest, RefusesToWrap) {
  constexpr uint64_t kHalf = uint64_t{1} << 32;
  const Workload too_large[] = {
      {kHalf, kHalf, 1, 1, 1, 1, 2},             // weights
      {1, UINT64_MAX, 1, 1, 1, 1, 1},            // their sum
      {1024, 4096, 1024, kHalf, kHalf, 1, 2},    // tokens
      {1024, 4096, 1024, 1, kHalf << 20, 1, 2},  // operations
      {1024, 4096, 1024, 1, 257, kHalf, 2},      // of all layers
  };
  for (const Workload& workload : too_large) EXPECT_THROW(Account(workload), std::overflow_error);
}

TEST(UnitsTest, Text) {
  EXPECT_EQ(Grouped(0), "0");
  EXPECT_EQ(Grouped(999), "999");
  EXPECT_EQ(Grouped(1000), "1,000");
  EXPECT_EQ(Grouped(8388608), "8,388,608");
  EXPECT_EQ(Grouped(123456), "123,456");
  EXPECT_EQ(Bytes(0), "0 B");
  EXPECT_EQ(Bytes(999), "999 B");
  EXPECT_EQ(Bytes(1000), "1.00 KB");
  EXPECT_EQ(Bytes(999'499), "999 KB");
  EXPECT_EQ(Bytes(999'500), "1.00 MB");
  EXPECT_EQ(Bytes(99'990'000), "99.99 MB");
  EXPECT_EQ(Bytes(99'996'000), "100 MB");
  EXPECT_EQ(Flops(103'481'868'288), "103.5 GFLOP");
  EXPECT_EQ(Bytes(UINT64_MAX), "18.45 EB");
}

}  // namespace
}  // namespace fusedffn::program

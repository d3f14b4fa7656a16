// QuantizeRows() and PackQuantizedRows(): the steps of the scalar model, and the bits of packing with kInt8.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "fusedffn/fusedffn.h"
#include "tests/compare.h"
#include "tests/guarded_buffer.h"
#include "tests/int8_model.h"
#include "tests/targets.h"
#include "tests/test_block.h"
#include "tests/widen.h"

namespace fusedffn {
namespace {

struct Quantized {
  std::vector<int8_t> q;
  std::vector<float> scales;
};

Quantized QuantizeDense(const std::vector<float>& weight, size_t cols, size_t group = kInt8GroupSize) {
  const size_t rows = weight.size() / cols;
  Quantized quantized = {std::vector<int8_t>(weight.size()),
                         std::vector<float>(rows * Int8Groups(cols, group))};
  const Status status = QuantizeRows(weight.data(), DType::kF32, rows, cols, cols, quantized.q.data(),
                                     quantized.scales.data(), group);
  EXPECT_TRUE(status.ok()) << status.message();
  return quantized;
}

// Zeros, a NaN, infinities, a group of denormals, and one that is nearly too small, in rows 1 to 6.
void MakeUnusual(std::vector<float>* weight, size_t cols) {
  const auto row = [&](size_t r) { return weight->data() + r * cols; };
  std::fill_n(row(1), cols, 0.0f);
  row(2)[0] = NAN;
  row(3)[cols - 1] = HUGE_VALF;
  row(4)[cols / 2] = -HUGE_VALF;
  std::fill_n(row(5), cols, 0x1p-140f);
  std::fill_n(row(6), cols, 0x1p-112f);
}

TEST(QuantizeTest, Groups) {
  const std::pair<size_t, size_t> cases[] = {{0, 0}, {1, 1}, {1152, 1}, {1153, 2}, {4096, 4}};
  for (const auto& [cols, groups] : cases) EXPECT_EQ(Int8Groups(cols), groups) << cols;
  EXPECT_EQ(Int8Groups(SIZE_MAX), SIZE_MAX / 1152 + 1);
  const std::pair<size_t, size_t> small[] = {{0, 0}, {1, 1}, {128, 1}, {129, 2}, {4096, 32}};
  for (const auto& [cols, groups] : small) EXPECT_EQ(Int8Groups(cols, 128), groups) << cols;
}

void ExpectStepsOfTheModel(size_t cols, size_t group) {
  constexpr size_t kRows = 9, kGap = 3;
  Random random(cols);
  std::vector<float> weight = random.SymmetricVector(kRows * cols, 1.0f);
  MakeUnusual(&weight, cols);
  const size_t stride = cols + kGap, groups = Int8Groups(cols, group);
  GuardedBuffer<float> strided((kRows - 1) * stride + cols, Flush::kRight);
  for (size_t i = 0; i < weight.size(); ++i) strided[i / cols * stride + i % cols] = weight[i];
  for (const Flush flush : {Flush::kLeft, Flush::kRight}) {
    GuardedBuffer<int8_t> q(kRows * cols, flush);
    GuardedBuffer<float> scales(kRows * groups, flush);
    ASSERT_TRUE(
        QuantizeRows(strided.data(), DType::kF32, kRows, cols, stride, q.data(), scales.data(), group).ok());
    EXPECT_TRUE(q.GapIsUntouched() && scales.GapIsUntouched());
    for (size_t i = 0; i < kRows * groups; ++i) {
      const size_t row = i / groups, k = i % groups * group;
      const size_t count = std::min(group, cols - k);
      const QuantizedGroup want = QuantizeWeights(&weight[row * cols + k], count);
      ASSERT_TRUE(BitsOf(scales[i]) == BitsOf(want.scale) ||
                  (scales[i] != scales[i] && std::isnan(want.scale)))
          << cols << " columns, row " << row << ", group " << i % groups;
      for (size_t j = 0; j < count; ++j) {
        ASSERT_EQ(q[row * cols + k + j], want.steps[j]) << cols << " columns, row " << row << ", " << k + j;
      }
    }
  }
}

TEST(QuantizeTest, GivesTheStepsOfTheModelAndTouchesNothingElse) {
  for (const size_t group : {1152u, 128u}) {
    for (const size_t cols : {1u, 17u, 128u, 129u, 1152u, 1153u, 2500u}) {
      SCOPED_TRACE(testing::Message() << "groups of " << group);
      ExpectStepsOfTheModel(cols, group);
      ASSERT_FALSE(testing::Test::HasFatalFailure());
    }
  }
}

// As their fp32 values, from any address.
TEST(QuantizeTest, WidensSixteenBits) {
  constexpr size_t kCols = 1200;
  Random random(1);
  const struct {
    DType dtype;
    float (*widen)(uint16_t stored);
  } cases[] = {{DType::kBF16, WidenBf16}, {DType::kF16, WidenF16}};
  for (const auto& [dtype, widen] : cases) {
    std::vector<char> stored(1 + 2 * 3 * kCols);
    std::vector<float> wide;
    for (size_t i = 0; i < 3 * kCols; ++i) {
      const auto bits = static_cast<uint16_t>(random.Bits() & 0xBFFF);  // below 2 in both
      std::memcpy(&stored[1 + 2 * i], &bits, sizeof(bits));
      wide.push_back(widen(bits));
    }
    const Quantized want = QuantizeDense(wide, kCols);
    Quantized got = {std::vector<int8_t>(want.q.size()), std::vector<float>(want.scales.size())};
    ASSERT_TRUE(
        QuantizeRows(stored.data() + 1, dtype, 3, kCols, kCols, got.q.data(), got.scales.data()).ok());
    EXPECT_EQ(got.q, want.q);
    EXPECT_EQ(got.scales, want.scales);
  }
}

TEST(QuantizeTest, RefusesWrongArguments) {
  const std::vector<float> weight(12);
  std::vector<int8_t> q(12, 77);
  std::vector<float> scales(3, 77);
  const struct {
    const float* weight;
    int dtype;
    size_t rows, cols, stride;
    bool q, scales;
    const char* message;
    size_t group = kInt8GroupSize;
  } cases[] = {
      {nullptr, 0, 3, 4, 4, true, true, "weight is null"},
      {weight.data(), 0, 3, 4, 4, false, true, "q is null"},
      {weight.data(), 0, 3, 4, 4, true, false, "scales is null"},
      {weight.data(), 3, 3, 4, 4, true, true, "dtype 3 is none of"},
      {weight.data(), 0, 3, 0, 4, true, true, "cols is 0"},
      {weight.data(), 0, 3, 4, 3, true, true, "weight.stride is 3; it must be at least 4"},
      {weight.data(), 0, 3, 4, SIZE_MAX / 4, true, true, "do not fit in memory"},
      {weight.data(), 0, 3, 4, 4, true, true, "group is 0; it must be 1152 or 128", 0},
      {weight.data(), 0, 3, 4, 4, true, true, "group is 64; it must be 1152 or 128", 64},
  };
  for (const auto& bad : cases) {
    const Status status =
        QuantizeRows(bad.weight, static_cast<DType>(bad.dtype), bad.rows, bad.cols, bad.stride,
                     bad.q ? q.data() : nullptr, bad.scales ? scales.data() : nullptr, bad.group);
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
    EXPECT_NE(std::strstr(status.message(), bad.message), nullptr) << status.message();
  }
  EXPECT_EQ(q, std::vector<int8_t>(12, 77));
  EXPECT_EQ(scales, std::vector<float>(3, 77));
  EXPECT_TRUE(QuantizeRows(nullptr, DType::kF32, 0, 4, 4, nullptr, nullptr).ok());
}

class PackQuantizedTest : public Int8TargetTest {
 protected:
  PackedFfn Create(const TestBlock& block, Precision precision) const {
    PackedFfn ffn;
    const PackOptions options = OptionsFor(target(), precision, group());
    EXPECT_TRUE(PackedFfn::Create(block.shape, block.activation, options, &ffn).ok());
    return ffn;
  }
};

// Packs a layer in pieces of so many rows, the last one first, from rows that are 5 bytes further apart, with
// pack(first_row, rows, q, stride, scales, group).
template <class PackPiece>
void PackInPieces(const std::vector<float>& weight, size_t cols, size_t group, size_t piece,
                  const PackPiece& pack) {
  const size_t rows = weight.size() / cols, stride = cols + 5;
  const Quantized quantized = QuantizeDense(weight, cols, group);
  std::vector<int8_t> strided(rows * stride);
  for (size_t row = 0; row < rows; ++row) {
    std::memcpy(&strided[row * stride], &quantized.q[row * cols], cols);
  }
  for (size_t row = (rows - 1) / piece * piece; row < rows; row -= piece) {
    const Status status = pack(row, std::min(piece, rows - row), &strided[row * stride], stride,
                               &quantized.scales[row * Int8Groups(cols, group)], group);
    ASSERT_TRUE(status.ok()) << status.message();
  }
}

void PackInPieces(Layer layer, const std::vector<float>& weight, const std::vector<float>& bias, size_t cols,
                  size_t group, size_t piece, PackedFfn* ffn) {
  PackInPieces(weight, cols, group, piece,
               [=](auto... arguments) { return ffn->PackQuantizedRows(layer, arguments...); });
  ASSERT_TRUE(ffn->PackBias(layer, bias.data(), DType::kF32).ok());
}

TEST_P(PackQuantizedTest, GivesTheBitsOfPackingTheOriginal) {
  for (const Shape& shape :
       {Shape{1, 1, 1}, Shape{7, 33, 5}, Shape{1061, 1200, 49}, Shape{70, 97, 130, true}}) {
    Random random(1);
    TestBlock block = RandomBlock(shape, &random);
    if (shape.out > 7) MakeUnusual(&block.w2, shape.hidden);
    const std::vector<float> x = RandomTokens(shape, 9, &random);
    const std::vector<float> want =
        RunDense(PackFor(target(), block.weights(), Precision::kInt8, group()), x.data(), 9);
    for (const size_t piece : {1u, 10u, 2000u}) {
      PackedFfn ffn = Create(block, Precision::kInt8);
      PackInPieces(Layer::kFc1, block.w1, block.b1, shape.dim, group(), piece, &ffn);
      PackInPieces(Layer::kFc2, block.w2, block.b2, shape.hidden, group(), piece, &ffn);
      if (shape.gated) PackInPieces(Layer::kUp, block.up_w, block.up_b, shape.dim, group(), piece, &ffn);
      const std::vector<float> y = RunDense(ffn, x.data(), 9);
      EXPECT_EQ(std::memcmp(y.data(), want.data(), y.size() * sizeof(float)), 0)
          << "shape " << shape << ", pieces of " << piece;
    }
  }
}

TEST_P(PackQuantizedTest, ALinearGetsTheBitsOfPackingTheOriginal) {
  for (const auto& [in, out] : {std::pair(1u, 1u), std::pair(7u, 33u), std::pair(2305u, 130u)}) {
    Random random(1);
    TestLinear linear = RandomLinear(in, out, &random);
    if (out > 7) MakeUnusual(&linear.w, in);
    const std::vector<float> x = RandomTokens(in, 9, &random);
    const std::vector<float> want =
        RunDense(PackFor(target(), linear, Precision::kInt8, group()), x.data(), 9);
    for (const size_t piece : {1u, 10u, 2000u}) {
      PackedLinear packed;
      const PackOptions options = OptionsFor(target(), Precision::kInt8, group());
      ASSERT_TRUE(PackedLinear::Create(in, out, linear.activation, options, &packed).ok());
      PackInPieces(linear.w, in, group(), piece,
                   [&](auto... arguments) { return packed.PackQuantizedRows(arguments...); });
      ASSERT_TRUE(packed.PackBias(linear.b.data(), DType::kF32).ok());
      const std::vector<float> y = RunDense(packed, x.data(), 9);
      EXPECT_EQ(std::memcmp(y.data(), want.data(), y.size() * sizeof(float)), 0)
          << in << " to " << out << " columns, pieces of " << piece;
    }
  }
}

TEST_P(PackQuantizedTest, RefusesWrongArgumentsAndGoesOn) {
  Random random(1);
  const TestBlock block = RandomBlock({5, 7, 3}, &random);
  PackedFfn ffn = Create(block, Precision::kInt8), f32 = Create(block, Precision::kF32), empty;
  const Quantized fc1 = QuantizeDense(block.w1, 5, group());
  const size_t other = group() == 128 ? 1152 : 128;
  const std::string differs =
      "group is " + std::to_string(other) + "; options.int8_group was " + std::to_string(group());
  const struct {
    PackedFfn* ffn;
    Layer layer;
    size_t first_row, rows, stride;
    const int8_t* q;
    const float* scales;
    const char* message;
    size_t group;
  } cases[] = {
      {&empty, Layer::kFc1, 0, 7, 5, fc1.q.data(), fc1.scales.data(), "empty", group()},
      {&f32, Layer::kFc1, 0, 7, 5, fc1.q.data(), fc1.scales.data(), "need precision kInt8; this is f32",
       group()},
      {&ffn, Layer::kUp, 0, 7, 5, fc1.q.data(), fc1.scales.data(), "not gated", group()},
      {&ffn, Layer::kFc1, 3, 5, 5, fc1.q.data(), fc1.scales.data(), "rows 0 to 6", group()},
      {&ffn, Layer::kFc1, 0, 7, 4, fc1.q.data(), fc1.scales.data(), "stride is 4", group()},
      {&ffn, Layer::kFc1, 0, 7, SIZE_MAX / 2, fc1.q.data(), fc1.scales.data(), "do not fit", group()},
      {&ffn, Layer::kFc1, 0, 7, 5, nullptr, fc1.scales.data(), "weight is null", group()},
      {&ffn, Layer::kFc1, 0, 7, 5, fc1.q.data(), nullptr, "scales is null", group()},
      {&ffn, Layer::kFc1, 0, 7, 5, fc1.q.data(), fc1.scales.data(), differs.c_str(), other},
  };
  for (const auto& bad : cases) {
    const Status status = bad.ffn->PackQuantizedRows(bad.layer, bad.first_row, bad.rows, bad.q, bad.stride,
                                                     bad.scales, bad.group);
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
    EXPECT_NE(std::strstr(status.message(), bad.message), nullptr) << status.message();
  }
  EXPECT_TRUE(ffn.PackQuantizedRows(Layer::kFc1, 7, 0, nullptr, 0, nullptr, group()).ok());
  EXPECT_TRUE(ffn.PackQuantizedRows(Layer::kFc1, 0, 7, fc1.q.data(), 5, fc1.scales.data(), group()).ok());
  const Status twice = ffn.PackRows(Layer::kFc1, 6, 1, block.w1.data(), DType::kF32, 5);
  EXPECT_NE(std::strstr(twice.message(), "row 6 has been packed before"), nullptr) << twice.message();
}

// The message says where it is, nothing is packed, and the rows can be packed all the same.
TEST_P(PackQuantizedTest, RefusesWhatQuantizeRowsCannotMake) {
  Random random(1);
  const size_t cols = group() + 3;
  const TestBlock block = RandomBlock({cols, 7, 3}, &random);
  const Quantized good = QuantizeDense(block.w1, cols, group());
  const std::string second = std::to_string(group() + 2);
  const std::string range = "; it must be finite and at least 2^-120, or 0, or NaN";
  const struct {
    float scale;  // of row 5's second group
    int8_t step;  // its last
    std::string message;
  } cases[] = {
      {1, -128, "row 5, column " + second + ": q is -128; with a scale of 1 it must be -127 to 127"},
      {0, 1, "row 5, column " + second + ": q is 1; with a scale of 0 it must be 0 to 0"},
      {NAN, -1, "row 5, column " + second + ": q is -1; with a scale of nan it must be 0 to 0"},
      {-1, 1, "row 5, group 1: the scale is -1" + range},
      {HUGE_VALF, 0, "row 5, group 1: the scale is inf" + range},
      {-HUGE_VALF, 0, "row 5, group 1: the scale is -inf" + range},
      {0x1.FFFFFEp-121f, 0, "row 5, group 1: the scale is 7.52316e-37" + range},
      {0x1p-149f, 0, "row 5, group 1: the scale is 1.4013e-45" + range},
  };
  PackedFfn ffn = Create(block, Precision::kInt8);
  PackedLinear linear;
  const PackOptions options = OptionsFor(target(), Precision::kInt8, group());
  ASSERT_TRUE(PackedLinear::Create(cols, 7, Activation::kGelu, options, &linear).ok());
  const auto pack = [&](const Quantized& rows, const char* name) {
    return std::string(name) == "fc1"
               ? ffn.PackQuantizedRows(Layer::kFc1, 2, 5, &rows.q[2 * cols], cols, &rows.scales[2 * 2],
                                       group())
               : linear.PackQuantizedRows(2, 5, &rows.q[2 * cols], cols, &rows.scales[2 * 2], group());
  };
  for (const char* name : {"fc1", "linear"}) {
    for (const auto& bad : cases) {
      Quantized rows = good;
      std::fill_n(&rows.q[5 * cols + group()], 2, int8_t{0});
      rows.q[5 * cols + group() + 2] = bad.step;
      rows.scales[5 * 2 + 1] = bad.scale;
      const Status status = pack(rows, name);
      EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
      EXPECT_EQ(status.message(), name + (": " + bad.message));
    }
    EXPECT_TRUE(pack(good, name).ok());
  }
}

TEST(Int8GroupTest, OthersAreRefused) {
  for (const Precision precision : {Precision::kF32, Precision::kInt8}) {
    PackOptions options;
    options.precision = precision;
    options.int8_group = 256;
    PackedFfn ffn;
    PackedLinear linear;
    for (const Status& status : {PackedFfn::Create({1, 1, 1}, Activation::kGelu, options, &ffn),
                                 PackedLinear::Create(1, 1, Activation::kGelu, options, &linear)}) {
      EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
      EXPECT_STREQ(status.message(), "options.int8_group is 256; it must be 1152 or 128");
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Targets, PackQuantizedTest, Int8Targets(), TargetAndGroupAsName());

}  // namespace
}  // namespace fusedffn

// The block on real-valued data: error bounds against the oracle in double, every kind of shape and layout
// against the scalar chain bit for bit, element types, and numbers that are none.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <limits>
#include <set>
#include <string>
#include <vector>

#include "kernels/kernels.h"
#include "tests/activations.h"
#include "tests/chain.h"
#include "tests/compare.h"
#include "tests/effort.h"
#include "tests/error_bounds.h"
#include "tests/executors.h"
#include "tests/guarded_buffer.h"
#include "tests/targets.h"
#include "tests/test_block.h"
#include "tests/widen.h"

namespace fusedffn {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();

class FfnTest : public TargetTest {
 protected:
  const Kernels& kernels() const { return KernelsNamed(GetParam()); }
  const GemmKernel& gemm() const { return *kernels().Gemm(Precision::kF32); }

  // Runs the first `tokens` rows of x for each of `token_counts` and compares with the scalar chain.
  void ExpectChain(const TestBlock& block, const std::vector<float>& x,
                   const std::vector<size_t>& token_counts) {
    const Shape& shape = block.shape;
    const PackedFfn ffn = PackFor(GetParam(), block.weights());
    const size_t most = *std::max_element(token_counts.begin(), token_counts.end());
    const std::vector<float> want = ChainFfn(kernels(), block.weights(), x.data(), shape.dim, most);
    for (const size_t tokens : token_counts) {
      for (const int threads : {1, 3}) {
        const std::vector<float> y = RunDense(ffn, x.data(), tokens, {threads});
        ASSERT_TRUE(SameBits(y.data(), shape.out, want.data(), shape.out, tokens, shape.out))
            << "shape " << shape << ", " << tokens << " tokens, " << threads << " threads";
      }
    }
  }

  void CheckRandomErrors(const Shape& shape, uint64_t most_seeds) {
    const std::vector<size_t> token_counts = {1, 2, 3, 4, 5, 6, 7, 8, 15, 16, 17, 33};
    const uint64_t seeds = FullOrLight<uint64_t>(most_seeds, 3);
    ErrorGates worst;
    for (uint64_t seed = 1; seed <= seeds; ++seed) {
      Random random(seed);
      const TestBlock block = RandomBlock(shape, &random);
      const std::vector<float> x = RandomTokens(shape, token_counts.back(), &random);
      const std::vector<RowBound> bounds = BoundRows(block.weights(), x.data(), token_counts.back());
      const PackedFfn ffn = PackFor(GetParam(), block.weights());
      for (const size_t tokens : token_counts) {
        const std::vector<float> y = RunDense(ffn, x.data(), tokens, {2});
        const ErrorGates gates = MeasureErrors(bounds, y.data(), tokens);
        ASSERT_TRUE(gates.Pass()) << "seed " << seed << ", shape " << shape << ", " << tokens << " tokens";
        worst.Merge(gates);
      }
    }
    worst.Report(GetParam());
  }
};

// --- Error bounds ------------------------------------------------------------------------------------------

// Random data, against a bound on the root of the sum of squares of all rounding errors and on the whole
// array's relative error. 4 leaves room for chance: one sequential chain measures about 2.
TEST_P(FfnTest, RandomErrorsAddUpAsRandomErrorsDo) { CheckRandomErrors({256, 1024, 200}, 100); }

TEST_P(FfnTest, RandomErrorsOfAGatedBlock) { CheckRandomErrors({256, 1024, 200, true}, 30); }

TEST_P(FfnTest, RandomErrorsAtClipL) {
  const size_t tokens = 257;
  const size_t checked[] = {0, 1, 7, 8, 63, 64, 128, 129, 130, 200, 255, 256};
  ErrorGates worst;
  for (uint64_t seed = 1; seed <= FullOrLight<uint64_t>(4, 1); ++seed) {
    Random random(seed);
    const TestBlock block = RandomBlock(kClipL, &random);
    const std::vector<float> x = RandomTokens(kClipL, tokens, &random);
    const PackedFfn ffn = PackFor(GetParam(), block.weights());
    const std::vector<float> y = RunDense(ffn, x.data(), tokens, {2});
    for (const size_t row : checked) {
      const std::vector<RowBound> bounds = BoundRows(block.weights(), &x[row * kClipL.dim], 1);
      const ErrorGates gates = MeasureErrors(bounds, &y[row * kClipL.out], 1);
      ASSERT_TRUE(gates.Pass()) << "seed " << seed << ", row " << row;
      worst.Merge(gates);
    }
  }
  worst.Report(GetParam());
}

TEST_P(FfnTest, RandomErrorsOfEveryActivation) {
  const size_t tokens = 17;
  for (const Activation activation : AllActivations()) {
    for (const Shape& shape : {Shape{256, 1024, 200}, Shape{67, 131, 67}, Shape{768, 96, 33},
                               Shape{256, 1024, 200, true}, Shape{768, 96, 33, true}}) {
      Random random(shape.dim);
      TestBlock block = RandomBlock(shape, &random);
      block.activation = activation;
      const std::vector<float> x = RandomTokens(shape, tokens, &random);
      const std::vector<float> y = RunDense(PackFor(GetParam(), block.weights()), x.data(), tokens, {2});
      const ErrorGates gates = MeasureErrors(BoundRows(block.weights(), x.data(), tokens), y.data(), tokens);
      ASSERT_TRUE(gates.Pass()) << activation << ", shape " << shape;
    }
  }
}

// Data on which errors do not average out. The bound on each layer holds for any data and any order.
struct Filling {
  const char* name;
  float (*weight)(Random& random);
  std::vector<float> (*row)(size_t dim, Random* random);
};

constexpr Filling kFillings[] = {
    {"zero mean", [](Random& r) { return r.Symmetric(); },
     [](size_t dim, Random* r) { return r->SymmetricVector(dim, 1.0f); }},
    {"products from 2^-40 to 2^40", [](Random& r) { return r.WideRange(20); },
     [](size_t dim, Random* r) { return r->Fill(dim, [](Random& random) { return random.WideRange(20); }); }},
    {"x = [v, -v]", [](Random& r) { return 1.0f + 0x1p-12f * r.Symmetric(); },
     [](size_t dim, Random* r) {
       std::vector<float> x = r->SymmetricVector(dim, 1000.0f);
       for (size_t i = 0; i < dim / 2; ++i) x[dim / 2 + i] = -x[i];
       return x;
     }},
    {"all positive", [](Random& r) { return std::fabs(r.Symmetric()); },
     [](size_t dim, Random* r) { return r->Fill(dim, [](Random& x) { return std::fabs(x.Symmetric()); }); }},
    {"one-hot x", [](Random& r) { return r.Symmetric(); },
     [](size_t dim, Random* r) {
       std::vector<float> x(dim);
       x[r->Bits() % dim] = 1.0f;
       return x;
     }},
};

// fc1, the activation and the gate are seen alone through a second layer that is the identity matrix, and fc2
// is then checked on exactly the activations that it was given.
TEST_P(FfnTest, EachLayerWithinItsBound) {
  for (const Filling& filling : kFillings) {
    for (uint64_t seed = 1; seed <= FullOrLight<uint64_t>(28, 14); ++seed) {
      const bool gated = seed > FullOrLight<uint64_t>(14, 7);
      const Activation activation = AllActivations()[seed % kActivationCount];
      if (gated && activation == Activation::kRelu2) continue;  // 2^40 cubed is infinite
      SCOPED_TRACE(testing::Message()
                   << filling.name << ", " << activation << ", seed " << seed << (gated ? ", gated" : ""));
      Random random(seed);
      const Shape shape = {static_cast<size_t>(random.Integer(1, 1100)),
                           static_cast<size_t>(random.Integer(1, 900)), 70, gated};
      const size_t tokens = 9;
      std::vector<float> x;
      for (size_t t = 0; t < tokens; ++t) {
        const std::vector<float> row = filling.row(shape.dim, &random);
        x.insert(x.end(), row.begin(), row.end());
      }
      TestBlock block = {shape,
                         random.Fill(shape.hidden * shape.dim, filling.weight),
                         random.Fill(shape.hidden, filling.weight),
                         random.Fill(shape.out * shape.hidden, filling.weight),
                         random.Fill(shape.out, filling.weight),
                         activation};
      if (gated) {
        block.up_w = random.Fill(shape.hidden * shape.dim, filling.weight);
        block.up_b = random.Fill(shape.hidden, filling.weight);
      }
      TestBlock only_hidden = block;
      only_hidden.shape.out = shape.hidden;
      only_hidden.w2.assign(shape.hidden * shape.hidden, 0.0f);
      only_hidden.b2.clear();
      for (size_t i = 0; i < shape.hidden; ++i) only_hidden.w2[i * (shape.hidden + 1)] = 1.0f;
      const std::vector<float> hidden =
          RunDense(PackFor(GetParam(), only_hidden.weights()), x.data(), tokens, {2});
      const std::vector<float> y = RunDense(PackFor(GetParam(), block.weights()), x.data(), tokens, {2});
      for (size_t t = 0; t < tokens; ++t) {
        const float* a = &hidden[t * shape.hidden];
        ASSERT_TRUE(HiddenWithinBound(block.weights(), &x[t * shape.dim], a)) << "row " << t;
        ASSERT_TRUE(Fc2WithinBound(block.weights(), a, &y[t * shape.out])) << "row " << t;
      }
    }
  }
}

// --- Shapes and layouts ------------------------------------------------------------------------------------

TEST_P(FfnTest, ShapesThatStraddleTheTiles) {
  const size_t mr = gemm().mr, nr = gemm().b.nr, kc = gemm().a.kc;
  std::set<size_t> dims = {1, 3, 31, 33, nr - 1, nr, nr + 1, 2 * nr + 1, kc - 1, kc, kc + 1, 1023};
  if (!LightRun()) dims.insert({2 * kc, 2 * kc + 1, 4304});
  uint64_t seed = 0;
  for (const size_t d : dims) {
    const size_t p = Random(++seed).Bits() % 100 + 1, q = Random(++seed).Bits() % 100 + 1;
    for (const Shape& shape : {Shape{d, p, q}, Shape{p, d, q}, Shape{q, p, d}, Shape{d, p, q, true},
                               Shape{p, d, q, true}, Shape{q, p, d, true}}) {
      Random random(seed);
      const TestBlock block = RandomBlock(shape, &random);
      const std::vector<float> x = RandomTokens(shape, 2 * mr + 1, &random);
      ExpectChain(block, x, {1, mr - 1, mr, mr + 1, 2 * mr + 1});
      ASSERT_FALSE(HasFatalFailure()) << "seed " << seed;
    }
  }
}

TEST_P(FfnTest, EveryActivationIsTheChains) {
  const size_t kc = gemm().a.kc;
  for (const Activation activation : AllActivations()) {
    for (const Shape& shape :
         {Shape{33, 65, 31}, Shape{kc + 1, 2 * kc + 1, 20}, Shape{kc + 1, 2 * kc + 1, 20, true}}) {
      Random random(shape.dim);
      TestBlock block = RandomBlock(shape, &random);
      block.activation = activation;
      ExpectChain(block, RandomTokens(shape, 19, &random), {1, 19});
      ASSERT_FALSE(HasFatalFailure()) << activation;
    }
  }
}

TEST_P(FfnTest, SiglipShape) {
  Random random(1);
  const TestBlock block = RandomBlock({1152, 4304, 1152}, &random);
  ExpectChain(block, RandomTokens(block.shape, 5, &random), {1, 5});
}

// DeepSeek-OCR's decoder and Qwen2 of 0.5 B.
TEST_P(FfnTest, GatedShapesOfModels) {
  for (const Shape& shape : {Shape{1280, 6848, 1280, true}, Shape{1280, 896, 1280, true},
                             Shape{1280, 1792, 1280, true}, Shape{896, 4864, 896, true}}) {
    if (LightRun() && shape.hidden > 1000) continue;
    Random random(shape.hidden);
    TestBlock block = RandomBlock(shape, &random);
    block.b1.clear(), block.b2.clear(), block.up_b.clear();
    ExpectChain(block, RandomTokens(shape, 5, &random), {1, 5});
  }
}

// Several blocks of rows, and threads that share panels.
TEST_P(FfnTest, GatedBlocksOfRows) {
  Random random(1);
  const size_t kc = gemm().a.kc;
  const TestBlock block = RandomBlock({kc + 9, 2 * kc + 35, 50, true}, &random);
  ExpectChain(block, RandomTokens(block.shape, 260, &random), {20, 60, 130, 260});
}

// Rows apart by more than their columns: NaN between them must not be read, nor overwritten in y.
TEST_P(FfnTest, NothingBetweenRowsMatters) {
  const Shape shape = {77, 401, 45, true};
  const size_t tokens = 60, ldx = 80, ldy = 64, ldw1 = 90, ldw2 = 450;
  Random random(1);
  const TestBlock dense = RandomBlock(shape, &random);
  const std::vector<float> x = RandomTokens(shape, tokens, &random);
  const auto spread = [](const std::vector<float>& values, size_t cols, size_t stride) {
    std::vector<float> rows(values.size() / cols * stride, FloatOf(kPoisonBits));
    for (size_t i = 0; i < values.size(); ++i) rows[i / cols * stride + i % cols] = values[i];
    return rows;
  };
  const std::vector<float> w1 = spread(dense.w1, shape.dim, ldw1), w2 = spread(dense.w2, shape.hidden, ldw2);
  const std::vector<float> up = spread(dense.up_w, shape.dim, ldw1);
  const std::vector<float> x_rows = spread(x, shape.dim, ldx);
  Weights weights = dense.weights();
  weights.fc1.weight = w1.data();
  weights.fc1.stride = ldw1;
  weights.fc2.weight = w2.data();
  weights.fc2.stride = ldw2;
  weights.up.weight = up.data();
  weights.up.stride = ldw1;
  const PackedFfn ffn = PackFor(GetParam(), weights);
  const std::vector<float> want =
      spread(RunDense(PackFor(GetParam(), dense.weights()), x.data(), tokens), shape.out, ldy);
  for (const int threads : {1, 2, 5}) {
    std::vector<float> y(tokens * ldy, FloatOf(kPoisonBits));
    ASSERT_TRUE(fusedffn::Run(ffn, x_rows.data(), ldx, tokens, y.data(), ldy, {threads}).ok());
    ASSERT_TRUE(SameBits(y.data(), ldy, want.data(), ldy, tokens, ldy)) << threads << " threads";
  }
}

TEST_P(FfnTest, NoTokens) {
  Random random(1);
  const PackedFfn ffn = PackFor(GetParam(), RandomBlock({5, 6, 7}, &random).weights());
  for (const int threads : {0, 1, 2, 16, kOwnThreads}) {
    EXPECT_TRUE(fusedffn::Run(ffn, nullptr, 5, 0, nullptr, 7, OptionsOn(threads)).ok())
        << threads << " threads";
  }
  float y = 3;
  EXPECT_TRUE(fusedffn::Run(ffn, nullptr, 5, 0, &y, 7).ok());
  EXPECT_EQ(y, 3);
}

// --- Weights -----------------------------------------------------------------------------------------------

// A block whose weights and biases are 16 bits wide, and the same values in fp32.
struct Block16 {
  Shape shape;
  DType dtype;
  std::vector<uint16_t> w1, b1, w2, b2;
  TestBlock wide;

  Block16(const Shape& s, DType type, float (*widen)(uint16_t), uint16_t largest, Random* random)
      : shape(s), dtype(type) {
    const auto draw = [largest](Random& r) {
      return static_cast<uint16_t>(r.Integer(0, largest) | (r.Bits() & 0x8000));
    };
    const auto widened = [widen](const std::vector<uint16_t>& from) {
      std::vector<float> to(from.size());
      std::transform(from.begin(), from.end(), to.begin(), widen);
      return to;
    };
    w1 = random->Fill(s.hidden * s.dim, draw);
    b1 = random->Fill(s.hidden, draw);
    w2 = random->Fill(s.out * s.hidden, draw);
    b2 = random->Fill(s.out, draw);
    wide = {s, widened(w1), widened(b1), widened(w2), widened(b2)};
  }

  Weights weights() const {
    return {
        shape, {w1.data(), b1.data(), dtype, 0}, {w2.data(), b2.data(), dtype, 0}, Activation::kQuickGelu};
  }
};

// From denormals to 1, of either sign: the same bits as with the same values in fp32.
TEST_P(FfnTest, SixteenBitWeightsEqualWidenedOnes) {
  Random random(1);
  const Shape shape = {130, 400, 70};
  const std::vector<float> x = RandomTokens(shape, 20, &random);
  for (const Block16& block : {Block16(shape, DType::kBF16, WidenBf16, 0x3F80, &random),
                               Block16(shape, DType::kF16, WidenF16, 0x3C00, &random)}) {
    const std::vector<float> y = RunDense(PackFor(GetParam(), block.weights()), x.data(), 20);
    const std::vector<float> want = RunDense(PackFor(GetParam(), block.wide.weights()), x.data(), 20);
    EXPECT_TRUE(SameBits(y.data(), 70, want.data(), 70, 20, 70)) << "dtype " << static_cast<int>(block.dtype);
  }
}

// Each layer has its own type; here the first is bf16 and the second fp32, and the other way round.
TEST_P(FfnTest, LayersOfDifferentTypes) {
  Random random(1);
  const Shape shape = {33, 70, 20};
  const Block16 block(shape, DType::kBF16, WidenBf16, 0x3F80, &random);
  const std::vector<float> x = RandomTokens(shape, 20, &random);
  const std::vector<float> want = RunDense(PackFor(GetParam(), block.wide.weights()), x.data(), 20);
  Weights first = block.weights(), second = block.weights();
  first.fc2 = block.wide.weights().fc2;
  second.fc1 = block.wide.weights().fc1;
  for (const Weights& weights : {first, second}) {
    const std::vector<float> y = RunDense(PackFor(GetParam(), weights), x.data(), 20);
    EXPECT_TRUE(SameBits(y.data(), 20, want.data(), 20, 20, 20));
  }
}

TEST_P(FfnTest, NoBiasIsAZeroBias) {
  Random random(1);
  const Shape shape = {40, 90, 50, true};
  const TestBlock block = RandomBlock(shape, &random);
  const std::vector<float> x = RandomTokens(shape, 20, &random);
  for (const bool bias1 : {false, true}) {
    for (const bool bias2 : {false, true}) {
      TestBlock zero = block, none = block;
      if (!bias1) zero.b1.assign(shape.hidden, 0.0f), none.b1.clear();
      if (!bias2) zero.b2.assign(shape.out, 0.0f), none.b2.clear();
      if (bias1 == bias2) zero.up_b.assign(shape.hidden, 0.0f), none.up_b.clear();
      const std::vector<float> y = RunDense(PackFor(GetParam(), none.weights()), x.data(), 20);
      const std::vector<float> want = RunDense(PackFor(GetParam(), zero.weights()), x.data(), 20);
      EXPECT_TRUE(SameBits(y.data(), 50, want.data(), 50, 20, 50)) << bias1 << bias2;
    }
  }
}

// --- NaN and infinity --------------------------------------------------------------------------------------

TEST_P(FfnTest, BadWeightsSpoilWhatTheyFeed) {
  Random random(1);
  const Shape shape = {50, 60, 40};
  const size_t tokens = 10;
  const TestBlock block = RandomBlock(shape, &random);
  std::vector<float> x = RandomTokens(shape, tokens, &random);
  const std::vector<float> want = RunDense(PackFor(GetParam(), block.weights()), x.data(), tokens);

  TestBlock bad_w2 = block;
  bad_w2.w2[17 * shape.hidden + 5] = kNan;
  const std::vector<float> y = RunDense(PackFor(GetParam(), bad_w2.weights()), x.data(), tokens);
  for (size_t i = 0; i < y.size(); ++i) {
    const bool spoilt = i % shape.out == 17;
    ASSERT_TRUE(spoilt ? std::isnan(y[i]) : BitsOf(y[i]) == BitsOf(want[i])) << "row " << i / shape.out;
  }

  // No product may be skipped because x is zero: 0 * inf is NaN, and reaches every output.
  TestBlock bad_w1 = block;
  bad_w1.w1[3 * shape.dim + 7] = kInf;
  std::fill_n(&x[4 * shape.dim], shape.dim, 0.0f);
  const std::vector<float> z = RunDense(PackFor(GetParam(), bad_w1.weights()), x.data(), tokens);
  EXPECT_TRUE(std::all_of(&z[4 * shape.out], &z[5 * shape.out], [](float v) { return std::isnan(v); }));
}

// Hidden value 3 is NaN where any of the two factors is, and 0 * inf where the gate is shut.
TEST_P(FfnTest, BadWeightsOfAGatedBlock) {
  Random random(1);
  const Shape shape = {50, 60, 40, true};
  const TestBlock block = RandomBlock(shape, &random);
  const std::vector<float> x = RandomTokens(shape, 10, &random);
  for (const bool gate : {false, true}) {
    TestBlock bad = block;
    (gate ? bad.w1 : bad.up_w)[3 * shape.dim + 7] = kNan;
    const std::vector<float> y = RunDense(PackFor(GetParam(), bad.weights()), x.data(), 10);
    EXPECT_TRUE(std::all_of(y.begin(), y.end(), [](float v) { return std::isnan(v); }));
  }
  TestBlock shut = block;
  shut.activation = Activation::kRelu;
  std::fill_n(&shut.w1[3 * shape.dim], shape.dim, 0.0f);
  shut.b1[3] = -1;
  shut.up_b[3] = kInf;
  const std::vector<float> y = RunDense(PackFor(GetParam(), shut.weights()), x.data(), 10);
  EXPECT_TRUE(std::all_of(y.begin(), y.end(), [](float v) { return std::isnan(v); }));
}

INSTANTIATE_TEST_SUITE_P(Targets, FfnTest, testing::ValuesIn(SupportedTargets()), TargetAsName());

}  // namespace
}  // namespace fusedffn

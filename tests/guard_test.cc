// No access outside the caller's arrays, those of a norm and a residual among them: each lies between
// pages that fault, flush to one and then to the other, with signaling NaN around it and in y and the
// workspace.
#include <gtest/gtest.h>

#include <cfenv>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <vector>

#include "tests/compare.h"
#include "tests/effort.h"
#include "tests/guarded_buffer.h"
#include "tests/targets.h"
#include "tests/test_block.h"

namespace fusedffn {
namespace {

struct GuardCase {
  Shape shape;
  size_t ldx, ldy;
};

// Tails of every kind, without gaps between rows and with them, up to more than one chunk of k.
constexpr GuardCase kCases[] = {
    {{33, 70, 19}, 33, 19},    {{33, 70, 19}, 37, 64},          {{1, 1, 1}, 1, 1},
    {{385, 500, 49}, 385, 50}, {{64, 768, 96}, 64, 96},         {{33, 70, 19, true}, 37, 64},
    {{1, 1, 1, true}, 1, 1},   {{585, 560, 49, true}, 585, 50},
};

size_t FloatsOfRows(size_t rows, size_t stride, size_t cols) { return (rows - 1) * stride + cols; }

class GuardTest : public TargetTest {};

struct Strides {
  size_t ldx, ldy;
};

// With a norm and a residual, or without.
template <class Packed>
void RunBetweenGuards(const Packed& packed, const Strides& c, const std::vector<float>& x, size_t tokens,
                      int threads, Flush flush, bool transformer) {
  const size_t in = InOf(packed), out = OutOf(packed);
  Random random(tokens);
  GuardedBuffer<float> weight(random.SymmetricVector(in, 2), flush);
  GuardedBuffer<float> bias(random.SymmetricVector(in, 1), flush);
  GuardedBuffer<float> residual(random.SymmetricVector(tokens * out, 2), flush);
  const Norm norm = {tokens % 2 == 0 ? NormKind::kLayerNorm : NormKind::kRmsNorm, weight.data(), bias.data()};
  RunOptions options = {1};
  if (transformer) {
    options.norm = &norm;
    options.residual.data = residual.data();
  }
  const std::vector<float> want = RunDense(packed, x.data(), tokens, options);
  GuardedBuffer<float> guarded_x(FloatsOfRows(tokens, c.ldx, in), flush);
  GuardedBuffer<float> guarded_y(FloatsOfRows(tokens, c.ldy, out), flush);
  GuardedBuffer<unsigned char> workspace(WorkspaceBytes(packed, tokens, threads), flush);
  for (size_t i = 0; i < tokens * in; ++i) guarded_x[i / in * c.ldx + i % in] = x[i];

  std::feclearexcept(FE_ALL_EXCEPT);
  options.threads = threads;
  options.workspace = workspace.data();
  options.workspace_bytes = workspace.size();
  const Status status = Run(packed, guarded_x.data(), c.ldx, tokens, guarded_y.data(), c.ldy, options);
  // Arithmetic on a signaling NaN raises this flag, on the calling thread's part of the work.
  EXPECT_FALSE(std::fetestexcept(FE_INVALID)) << "computed with uninitialized memory";
  ASSERT_TRUE(status.ok()) << status.message();
  ASSERT_TRUE(SameBits(guarded_y.data(), c.ldy, want.data(), out, tokens, out));
  EXPECT_TRUE(guarded_x.GapIsUntouched() && guarded_y.GapIsUntouched() && workspace.GapIsUntouched());
  for (size_t i = 0; i < guarded_y.size(); ++i) {
    ASSERT_TRUE(i % c.ldy < out || BitsOf(guarded_y[i]) == kPoisonBits) << "wrote into the gap at " << i;
  }
}

TEST_P(GuardTest, RunStaysInside) {
  const auto all_threads = FullOrLight<std::vector<int>>({1, 2, 5}, {1, 5});
  for (const GuardCase& c : kCases) {
    Random random(1);
    const PackedFfn ffn = PackFor(GetParam(), RandomBlock(c.shape, &random).weights());
    const std::vector<float> x = RandomTokens(c.shape, 70, &random);
    for (size_t tokens = 1; tokens <= 70; tokens += FullOrLight<size_t>(1, 13)) {
      for (const int threads : all_threads) {
        for (const Flush flush : {Flush::kLeft, Flush::kRight}) {
          SCOPED_TRACE(testing::Message()
                       << "shape " << c.shape << ", " << tokens << " tokens, " << threads
                       << " threads, flush " << (flush == Flush::kLeft ? "left" : "right"));
          for (const bool transformer : {false, true}) {
            RunBetweenGuards(ffn, {c.ldx, c.ldy}, x, tokens, threads, flush, transformer);
          }
          if (HasFailure()) return;
        }
      }
    }
  }
}

struct LinearGuardCase {
  size_t in, out;
  Strides strides;
};

constexpr LinearGuardCase kLinearCases[] = {
    {1, 1, {1, 1}}, {33, 70, {33, 70}}, {33, 70, {37, 71}}, {585, 49, {585, 50}}, {1153, 97, {1153, 97}}};

// In every precision: each packs another A.
TEST_P(GuardTest, RunOfALinearStaysInside) {
  for (const Precision precision : PrecisionsOn(GetParam())) {
    for (const LinearGuardCase& c : kLinearCases) {
      Random random(1);
      const PackedLinear linear = PackFor(GetParam(), RandomLinear(c.in, c.out, &random), precision);
      const std::vector<float> x = RandomTokens(c.in, 70, &random);
      for (size_t tokens = 1; tokens <= 70; tokens += FullOrLight<size_t>(3, 23)) {
        for (const int threads : {1, 5}) {
          for (const Flush flush : {Flush::kLeft, Flush::kRight}) {
            SCOPED_TRACE(testing::Message()
                         << c.in << " to " << c.out << " columns, " << PrecisionName(precision) << ", "
                         << tokens << " tokens, " << threads << " threads");
            for (const bool transformer : {false, true}) {
              RunBetweenGuards(linear, c.strides, x, tokens, threads, flush, transformer);
            }
            if (HasFailure()) return;
          }
        }
      }
    }
  }
}

// Rows of `cols` ones, `stride` apart.
template <class T>
void FillOnes(T one, size_t cols, size_t stride, GuardedBuffer<T>* rows) {
  for (size_t i = 0; i < rows->size(); ++i) {
    if (i % stride < cols) (*rows)[i] = one;
  }
}

// All read once only.
template <class T>
void ForbidAll(std::initializer_list<GuardedBuffer<T>*> buffers) {
  for (GuardedBuffer<T>* buffer : buffers) {
    EXPECT_TRUE(buffer->GapIsUntouched());
    Forbid(*buffer);
  }
}

// Weights and biases, with rows apart, and not read again once they are packed.
template <class T>
void PackBetweenGuards(const std::string& target, DType dtype, uint16_t one, Flush flush) {
  for (const Shape& shape : {Shape{1, 1, 1}, Shape{33, 70, 19}, Shape{7, 65, 49}, Shape{64, 16, 48},
                             Shape{33, 40, 19, true}, Shape{7, 65, 49, true}}) {
    SCOPED_TRACE(testing::Message() << "shape " << shape << ", " << sizeof(T) << " bytes an element");
    const size_t ldw1 = shape.dim + 3, ldw2 = shape.hidden + 5;
    GuardedBuffer<T> w1(FloatsOfRows(shape.hidden, ldw1, shape.dim), flush);
    GuardedBuffer<T> w2(FloatsOfRows(shape.out, ldw2, shape.hidden), flush);
    GuardedBuffer<T> b1(shape.hidden, flush), b2(shape.out, flush);
    GuardedBuffer<T> up(w1.size(), flush), up_bias(shape.hidden, flush);
    const T value = static_cast<T>(one);
    FillOnes(value, shape.dim, ldw1, &w1);
    FillOnes(value, shape.hidden, ldw2, &w2);
    std::fill_n(b1.data(), b1.size(), value);
    std::fill_n(b2.data(), b2.size(), value);
    std::copy_n(w1.data(), w1.size(), up.data());
    std::copy_n(b1.data(), b1.size(), up_bias.data());
    Weights weights;
    weights.shape = shape;
    weights.fc1 = {w1.data(), b1.data(), dtype, ldw1};
    weights.fc2 = {w2.data(), b2.data(), dtype, ldw2};
    if (shape.gated) weights.up = {up.data(), up_bias.data(), dtype, ldw1};
    const PackedFfn ffn = PackFor(target, weights);
    ForbidAll({&w1, &w2, &b1, &b2, &up, &up_bias});

    // All weights and biases are 1: with x = 16 the activation is exact, and so is the rest.
    const std::vector<float> x(shape.dim, 16.0f);
    const std::vector<float> y = RunDense(ffn, x.data(), 1);
    const size_t sum = 16 * shape.dim + 1;
    const float want = static_cast<float>(shape.hidden * (shape.gated ? sum * sum : sum) + 1);
    for (const float value_of_y : y) ASSERT_EQ(value_of_y, want);
  }
}

template <class T>
void PackLinearBetweenGuards(const std::string& target, DType dtype, uint16_t one, Flush flush) {
  const size_t sizes[][2] = {{1, 1}, {33, 70}, {7, 65}, {64, 16}, {1153, 49}};
  for (const auto& [in, out] : sizes) {
    for (const Precision precision : PrecisionsOn(target)) {
      GuardedBuffer<T> w(FloatsOfRows(out, in + 3, in), flush), b(out, flush);
      FillOnes(static_cast<T>(one), in, in + 3, &w);
      FillOnes(static_cast<T>(one), 1, 1, &b);
      const Linear weights = {w.data(), b.data(), dtype, in + 3};
      const PackedLinear linear = PackFor(target, weights, in, out, Activation::kIdentity, precision);
      ForbidAll({&w, &b});
      const std::vector<float> x(in, 2.0f);
      const float want = static_cast<float>(2 * in + 1);
      for (const float value : RunDense(linear, x.data(), 1)) {
        ASSERT_NEAR(value, want, 1e-6f * want) << PrecisionName(precision);  // int8's steps are not 2
      }
    }
  }
}

TEST_P(GuardTest, PackStaysInside) {
  for (const Flush flush : {Flush::kLeft, Flush::kRight}) {
    PackBetweenGuards<float>(GetParam(), DType::kF32, 1, flush);
    PackBetweenGuards<uint16_t>(GetParam(), DType::kBF16, 0x3F80, flush);
    PackBetweenGuards<uint16_t>(GetParam(), DType::kF16, 0x3C00, flush);
  }
}

TEST_P(GuardTest, PackOfALinearStaysInside) {
  for (const Flush flush : {Flush::kLeft, Flush::kRight}) {
    PackLinearBetweenGuards<float>(GetParam(), DType::kF32, 1, flush);
    PackLinearBetweenGuards<uint16_t>(GetParam(), DType::kBF16, 0x3F80, flush);
    PackLinearBetweenGuards<uint16_t>(GetParam(), DType::kF16, 0x3C00, flush);
  }
}

// Pointers on any multiple of the element's size, and a workspace on any byte.
TEST_P(GuardTest, NaturalAlignmentIsEnough) {
  const Shape shape = {48, 96, 32};
  const size_t tokens = 20;
  Random random(1);
  const PackedFfn ffn = PackFor(GetParam(), RandomBlock(shape, &random).weights());
  const std::vector<float> x = RandomTokens(shape, tokens, &random);
  const std::vector<float> want = RunDense(ffn, x.data(), tokens);
  for (const int threads : {1, 3}) {
    const size_t bytes = WorkspaceBytes(ffn, tokens, threads);
    for (size_t offset = 0; offset < 64; ++offset) {
      const size_t floats = offset % 16;
      GuardedBuffer<float> in(floats + x.size(), Flush::kLeft), out(floats + want.size(), Flush::kLeft);
      GuardedBuffer<unsigned char> workspace(offset + bytes, Flush::kLeft);
      std::copy(x.begin(), x.end(), in.data() + floats);
      const Status status = fusedffn::Run(ffn, in.data() + floats, shape.dim, tokens, out.data() + floats,
                                          shape.out, {threads, workspace.data() + offset, bytes});
      ASSERT_TRUE(status.ok()) << status.message();
      ASSERT_TRUE(SameBits(out.data() + floats, shape.out, want.data(), shape.out, tokens, shape.out))
          << "offset " << offset << ", " << threads << " threads";
      EXPECT_TRUE(out.GapIsUntouched() && workspace.GapIsUntouched()) << "offset " << offset;
      for (size_t i = 0; i < floats; ++i) ASSERT_EQ(BitsOf(out[i]), kPoisonBits);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Targets, GuardTest, testing::ValuesIn(SupportedTargets()), TargetAsName());

}  // namespace
}  // namespace fusedffn

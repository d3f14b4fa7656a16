// No access outside the caller's arrays, those of a LayerNorm and a residual among them: each lies between
// pages that fault, flush to one and then to the other, with signalling NaN around it and in y and the
// workspace.
#include <gtest/gtest.h>

#include <cfenv>
#include <cstddef>
#include <cstdint>
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

// With a LayerNorm and a residual, or without.
void RunBetweenGuards(const PackedFfn& ffn, const GuardCase& c, const std::vector<float>& x, size_t tokens,
                      int threads, Flush flush, bool transformer) {
  const Shape& shape = c.shape;
  Random random(tokens);
  GuardedBuffer<float> weight(random.SymmetricVector(shape.dim, 2), flush);
  GuardedBuffer<float> bias(random.SymmetricVector(shape.dim, 1), flush);
  GuardedBuffer<float> residual(random.SymmetricVector(tokens * shape.out, 2), flush);
  const LayerNorm norm = {weight.data(), bias.data()};
  RunOptions options = {1};
  if (transformer) {
    options.layer_norm = &norm;
    options.residual.data = residual.data();
  }
  const std::vector<float> want = RunDense(ffn, x.data(), tokens, options);
  GuardedBuffer<float> guarded_x(FloatsOfRows(tokens, c.ldx, shape.dim), flush);
  GuardedBuffer<float> guarded_y(FloatsOfRows(tokens, c.ldy, shape.out), flush);
  GuardedBuffer<unsigned char> workspace(WorkspaceBytes(ffn, tokens, threads), flush);
  for (size_t i = 0; i < tokens * shape.dim; ++i) guarded_x[i / shape.dim * c.ldx + i % shape.dim] = x[i];

  std::feclearexcept(FE_ALL_EXCEPT);
  options.threads = threads;
  options.workspace = workspace.data();
  options.workspace_bytes = workspace.size();
  const Status status = Run(ffn, guarded_x.data(), c.ldx, tokens, guarded_y.data(), c.ldy, options);
  // Arithmetic on a signalling NaN raises this flag, on the calling thread's part of the work.
  EXPECT_FALSE(std::fetestexcept(FE_INVALID)) << "computed with uninitialised memory";
  ASSERT_TRUE(status.ok()) << status.message();
  ASSERT_TRUE(SameBits(guarded_y.data(), c.ldy, want.data(), shape.out, tokens, shape.out));
  EXPECT_TRUE(guarded_x.GapIsUntouched() && guarded_y.GapIsUntouched() && workspace.GapIsUntouched());
  for (size_t i = 0; i < guarded_y.size(); ++i) {
    ASSERT_TRUE(i % c.ldy < shape.out || BitsOf(guarded_y[i]) == kPoisonBits)
        << "wrote into the gap at " << i;
  }
}

TEST_P(GuardTest, RunStaysInside) {
  const auto all_threads = FullOrLight<std::vector<int>>({1, 2, 5}, {1, 5});
  for (const GuardCase& c : kCases) {
    Random random(1);
    const PackedFfn ffn = PackFor(GetParam(), RandomBlock(c.shape, &random).weights());
    const std::vector<float> x = RandomTokens(c.shape, 70, &random);
    for (size_t tokens = 1; tokens <= 70; tokens += FullOrLight<size_t>(1, 9)) {
      for (const int threads : all_threads) {
        for (const Flush flush : {Flush::kLeft, Flush::kRight}) {
          SCOPED_TRACE(testing::Message()
                       << "shape " << c.shape << ", " << tokens << " tokens, " << threads
                       << " threads, flush " << (flush == Flush::kLeft ? "left" : "right"));
          for (const bool transformer : {false, true}) {
            RunBetweenGuards(ffn, c, x, tokens, threads, flush, transformer);
          }
          if (HasFailure()) return;
        }
      }
    }
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
    for (size_t i = 0; i < w1.size(); ++i) w1[i] = i % ldw1 < shape.dim ? value : w1[i];
    for (size_t i = 0; i < w2.size(); ++i) w2[i] = i % ldw2 < shape.hidden ? value : w2[i];
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
    for (GuardedBuffer<T>* buffer : {&w1, &w2, &b1, &b2, &up, &up_bias}) {
      EXPECT_TRUE(buffer->GapIsUntouched());
      Forbid(*buffer);
    }

    // All weights and biases are 1: with x = 16 the activation is exact, and so is the rest.
    const std::vector<float> x(shape.dim, 16.0f);
    const std::vector<float> y = RunDense(ffn, x.data(), 1);
    const size_t sum = 16 * shape.dim + 1;
    const float want = static_cast<float>(shape.hidden * (shape.gated ? sum * sum : sum) + 1);
    for (const float value_of_y : y) ASSERT_EQ(value_of_y, want);
  }
}

TEST_P(GuardTest, PackStaysInside) {
  for (const Flush flush : {Flush::kLeft, Flush::kRight}) {
    PackBetweenGuards<float>(GetParam(), DType::kF32, 1, flush);
    PackBetweenGuards<uint16_t>(GetParam(), DType::kBF16, 0x3F80, flush);
    PackBetweenGuards<uint16_t>(GetParam(), DType::kF16, 0x3C00, flush);
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

// The caller's floating-point environment changes no bit, and is as it was after a call, flags and all; and
// none of an executor's threads, nor of an earlier caller, gets into a result.
#include <gtest/gtest.h>

#include <algorithm>
#include <cfenv>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <limits>
#include <string>
#include <thread>
#include <vector>

#include "tests/targets.h"
#include "tests/test_block.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace fusedffn {
namespace {

// Modes and flags of this thread. kFlush: denormals count as zero; without kMasks, exceptions end the
// process.
#if defined(__x86_64__)
constexpr uint64_t kFlush = 0x8040, kMasks = 0x1F80;
uint64_t Environment() { return _mm_getcsr(); }
void SetModes(uint64_t modes) { _mm_setcsr(static_cast<uint32_t>(modes)); }
#elif defined(__aarch64__)
constexpr uint64_t kFlush = uint64_t{1} << 24, kMasks = 0;
uint64_t Environment() {
  uint64_t modes, flags;
  asm volatile("mrs %0, fpcr\n\tmrs %1, fpsr" : "=r"(modes), "=r"(flags));
  return modes | flags << 32;
}
void SetModes(uint64_t modes) { asm volatile("msr fpcr, %0" : : "r"(modes & 0xFFFFFFFF)); }
#else
constexpr uint64_t kFlush = 0, kMasks = 0;
uint64_t Environment() { return static_cast<uint64_t>(std::fegetround()); }
void SetModes(uint64_t) {}
#endif

struct Modes {
  const char* name;
  int rounding;
  bool flush, masked;
};

constexpr Modes kModes[] = {{"up", FE_UPWARD, false, true},
                            {"to zero, flushing denormals", FE_TOWARDZERO, true, true},
                            {"flushing denormals", FE_TONEAREST, true, true},
                            {"with exceptions unmasked", FE_TONEAREST, false, false}};

// Those of this thread as long as it lives; then the default ones.
class ModesHere {
 public:
  explicit ModesHere(const Modes& modes) {
    std::fesetround(modes.rounding);
    SetModes((Environment() | (modes.flush ? kFlush : 0)) & ~(modes.masked ? 0 : kMasks));
  }
  ~ModesHere() { std::fesetenv(FE_DFL_ENV); }
};

constexpr Shape kShape = {40, 70, 33};
constexpr size_t kTokens = 30;

// Of x, weights and y some are denormal; other rows overflow on the way.
class FloatEnvironmentTest : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    for (size_t i = 0; i < block_.w1.size(); i += 7) block_.w1[i] *= 1e-38f;
    for (size_t i = 0; i < kShape.dim; ++i) x_[i] *= 1e-38f, x_[kShape.dim + i] *= 1e38f;
    for (float& bias : block_.b1) bias *= 1e-38f;
    for (float& bias : block_.b2) bias *= 1e-38f;
  }

  PackedFfn PackedAs(const TestBlock& block, Precision precision, bool flush) const {
    PackOptions options = OptionsFor(target_, precision);
    options.flush_denormals = flush;
    PackedFfn ffn;
    const Status status = Pack(block.weights(), options, &ffn);
    EXPECT_TRUE(status.ok()) << status.message();
    return ffn;
  }
  PackedFfn Packed(Precision precision) const { return PackedAs(block_, precision, false); }

  // y, and then y of the rows normalized.
  std::vector<float> RunIt(const PackedFfn& ffn, RunOptions options) const {
    const size_t count = kTokens * kShape.out;
    std::vector<float> y(2 * count);
    const Norm norm;
    for (float* to : {y.data(), y.data() + count}) {
      const Status status = fusedffn::Run(ffn, x_.data(), kShape.dim, kTokens, to, kShape.out, options);
      EXPECT_TRUE(status.ok()) << status.message();
      options.norm = &norm;
    }
    return y;
  }

  static void ExpectSameBits(const std::vector<float>& y, const std::vector<float>& want) {
    EXPECT_EQ(std::memcmp(y.data(), want.data(), want.size() * sizeof(float)), 0);
  }

  const std::string target_ = GetParam();
  Random random_{1};
  TestBlock block_ = RandomBlock(kShape, &random_);
  std::vector<float> x_ = RandomTokens(kShape, kTokens, &random_);
};

TEST_P(FloatEnvironmentTest, TheCallersChangesNoBitAndIsKept) {
  for (const Precision precision : PrecisionsOn(target_)) {
    const std::vector<float> want = RunIt(Packed(precision), {1});
    for (const Modes& modes : kModes) {
      for (const int threads : {1, 2}) {
        SCOPED_TRACE(testing::Message() << PrecisionName(precision) << ", " << modes.name << ", " << threads);
        std::vector<float> y;
        uint64_t before = 0, after = 0;
        {
          const ModesHere here(modes);
          before = Environment();
          y = RunIt(Packed(precision), {threads});
          after = Environment();
        }
        EXPECT_EQ(after, before);
        ExpectSameBits(y, want);
      }
    }
  }
}

TEST_P(FloatEnvironmentTest, AnExecutorsThreadsMayHaveOthers) {
  const PackedFfn ffn = Packed(Precision::kF32);
  RunOptions options;
  options.executor.threads = 3;
  options.executor.parallel_for = [](void*, size_t count, void (*body)(void*, size_t), void* argument) {
    std::vector<std::thread> threads;
    for (size_t i = 0; i < count; ++i) {
      threads.emplace_back([=] {
        const ModesHere here(kModes[i % std::size(kModes)]);
        body(argument, i);
      });
    }
    for (std::thread& thread : threads) thread.join();
  };
  ExpectSameBits(RunIt(ffn, options), RunIt(ffn, {1}));
}

TEST_P(FloatEnvironmentTest, AnEarlierCallersAreNotKept) {
  const PackedFfn ffn = Packed(Precision::kF32);
  std::thread([&] {
    const ModesHere here(kModes[1]);
    RunIt(ffn, {2});
  }).join();
  ExpectSameBits(RunIt(ffn, {2}), RunIt(ffn, {1}));
}

// What is refused as well, and what only looks: NaNs in arguments, and divisions that are not exact, raise
// nothing.
TEST_P(FloatEnvironmentTest, EveryFunctionKeepsIt) {
  PackedFfn quantized;
  const PackOptions options = OptionsFor(target_, Precision::kInt8);
  ASSERT_TRUE(PackedFfn::Create(kShape, Activation::kSilu, options, &quantized).ok());
  const PackedFfn ffn = Packed(Precision::kF32);
  Norm denormal, signaling;
  denormal.weight_offset = 1e-310;  // counts, and needs a weight
  signaling.eps = std::numeric_limits<double>::signaling_NaN();
  const std::vector<int8_t> q(kShape.dim);
  const float scale = std::numeric_limits<float>::signaling_NaN();
  for (const Modes& modes : kModes) {
    const ModesHere here(modes);
    const uint64_t before = Environment();
    std::vector<float> y(kShape.out);
    RunOptions run;
    for (const Norm* norm : {&denormal, &signaling}) {
      run.norm = norm;
      EXPECT_FALSE(fusedffn::Run(ffn, x_.data(), kShape.dim, 1, y.data(), kShape.out, run).ok());
    }
    const auto row = static_cast<size_t>(&modes - kModes);  // each may be packed once
    EXPECT_TRUE(quantized.PackQuantizedRows(Layer::kFc1, row, 1, q.data(), kShape.dim, &scale).ok());
    EXPECT_NE(Describe(ffn, 3).text[0], '\0');
    EXPECT_GT(WorkspaceBytes(ffn, 3, 0), 0u);
    EXPECT_GT(DefaultThreads(), 0);
    EXPECT_EQ(Environment(), before) << modes.name;
  }
}

TEST_P(FloatEnvironmentTest, QuantizingIsTheSame) {
  std::vector<int8_t> q[2];
  std::vector<float> scales[2];
  for (const int i : {0, 1}) {
    q[i].resize(block_.w1.size());
    scales[i].resize(kShape.hidden);
    const ModesHere here(i == 0 ? Modes{"default", FE_TONEAREST, false, true} : kModes[1]);
    EXPECT_TRUE(QuantizeRows(block_.w1.data(), DType::kF32, kShape.hidden, kShape.dim, kShape.dim,
                             q[i].data(), scales[i].data())
                    .ok());
  }
  EXPECT_EQ(q[0], q[1]);
  EXPECT_EQ(scales[0], scales[1]);
}

constexpr bool kCanFlush = kFlush != 0;

bool IsDenormal(float value) { return std::fpclassify(value) == FP_SUBNORMAL; }

std::vector<float> Flushed(std::vector<float> values) {
  for (float& value : values) value = IsDenormal(value) ? 0 : value;
  return values;
}

// A block and tokens with denormals, and the same ones with zeros. ReLU makes no denormals of its own.
class FlushTest : public FloatEnvironmentTest {
 protected:
  void SetUp() override {
    block_.activation = Activation::kRelu;
    for (size_t i = 0; i < block_.w1.size(); i += 7) block_.w1[i] *= 1e-39f;
    for (size_t i = 0; i < block_.w2.size(); i += 5) block_.w2[i] *= 1e-39f;
    for (size_t i = 0; i < x_.size(); i += 3) x_[i] *= 1e-39f;
    zeroed_ = block_;
    zeroed_.w1 = Flushed(block_.w1), zeroed_.w2 = Flushed(block_.w2);
  }

  TestBlock zeroed_;
};

TEST_P(FlushTest, PackingCountsOrFlushesDenormals) {
  const auto count = [](const std::vector<float>& values) {
    return static_cast<size_t>(std::count_if(values.begin(), values.end(), IsDenormal));
  };
  const size_t denormals = count(block_.w1) + count(block_.w2);
  ASSERT_GT(denormals, 500u);
  for (const Precision precision : PrecisionsOn(target_)) {
    SCOPED_TRACE(PrecisionName(precision));
    const PackedFfn kept = PackedAs(block_, precision, false), flushed = PackedAs(block_, precision, true);
    EXPECT_EQ(kept.denormals(), precision == Precision::kInt8 ? 0 : denormals);
    EXPECT_EQ(flushed.denormals(), 0u);
    EXPECT_EQ(std::strstr(Describe(kept, 1).text, "denormal") != nullptr, kept.denormals() != 0);
    ExpectSameBits(RunIt(flushed, {1}), RunIt(PackedAs(zeroed_, precision, true), {1}));
  }
}

// On any threads, those of an executor among them, and row by row.
TEST_P(FlushTest, ACallTakesDenormalsForZeros) {
  if (!kCanFlush) GTEST_SKIP() << "this architecture has no mode for it";
  RunOptions flushing;
  flushing.flush_denormals = true;
  const std::vector<float> x = x_;
  for (const Precision precision : {Precision::kF32, Precision::kBF16}) {
    SCOPED_TRACE(PrecisionName(precision));
    const PackedFfn ffn = PackedAs(block_, precision, false);
    x_ = Flushed(x);
    const std::vector<float> want = RunIt(PackedAs(zeroed_, precision, false), {1});
    x_ = x;
    for (const int threads : {1, 2, 7}) {
      flushing.threads = threads;
      ExpectSameBits(RunIt(ffn, flushing), want);
    }
    std::vector<float> row(kShape.out);
    for (size_t t = 0; t < kTokens; ++t) {
      ASSERT_TRUE(
          fusedffn::Run(ffn, &x_[t * kShape.dim], kShape.dim, 1, row.data(), kShape.out, flushing).ok());
      EXPECT_EQ(std::memcmp(row.data(), &want[t * kShape.out], kShape.out * sizeof(float)), 0);
    }
  }
}

// What is denormal in fp16 is not in fp32.
TEST_P(FlushTest, SixteenBitDenormalsAreKept) {
  zeroed_.b1.assign(kShape.hidden, 0), zeroed_.b2.assign(kShape.out, 0);  // so that x is all
  const PackedFfn ffn = PackedAs(zeroed_, Precision::kF32, false);
  std::vector<uint16_t> x(kTokens * kShape.dim), y[2];
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<uint16_t>(i % 0x0400);  // 0 to 2^-14
  for (const bool flush : {false, true}) {
    RunOptions options;
    options.flush_denormals = flush;
    y[flush].resize(kTokens * kShape.out);
    ASSERT_TRUE(fusedffn::Run(ffn, x.data(), DType::kF16, kShape.dim, kTokens, y[flush].data(), DType::kF16,
                              kShape.out, options)
                    .ok());
  }
  EXPECT_EQ(y[false], y[true]);
}

INSTANTIATE_TEST_SUITE_P(Targets, FlushTest, testing::ValuesIn(SupportedTargets()), TargetAsName());
INSTANTIATE_TEST_SUITE_P(Targets, FloatEnvironmentTest, testing::ValuesIn(SupportedTargets()),
                         TargetAsName());

}  // namespace
}  // namespace fusedffn

// The same bits every time. Of whatever makes rows of y of rows of x, in every precision: for any number of
// threads, batch, place in the batch, in place, and beside a row that is not finite. Of a block: in any
// arena, workspace and company of other calls; and on every target with FMA.
#include <gtest/gtest.h>
#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/parallel_for.h>
#include <oneapi/tbb/task_arena.h>
#include <oneapi/tbb/task_group.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <ostream>
#include <string>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include "fusedffn/tbb_executor.h"
#include "tests/activations.h"
#include "tests/compare.h"
#include "tests/effort.h"
#include "tests/element_types.h"
#include "tests/executors.h"
#include "tests/targets.h"
#include "tests/test_block.h"
#include "tests/widen.h"

namespace fusedffn {
namespace {

// For loops over numbers of threads: the oneTBB arena that the thread is in.
constexpr int kArena = -2;

RunOptions InArenaOrOn(int threads) {
  RunOptions options;
  if (threads == kArena) {
    options.executor = CallersArena();
  } else {
    options.threads = threads;
  }
  return options;
}

// --- Of a row alone ----------------------------------------------------------------------------------------

enum class Kind { kBlock, kLinear, kExperts };

// What makes a row of y of a row of x: of `shape`, whose hidden size a linear ignores; with a norm also the
// residual, x itself.
struct Layers {
  const char* name;
  Kind kind;
  Shape shape;
  std::optional<NormKind> norm = std::nullopt;
};

std::ostream& operator<<(std::ostream& out, const Layers& layers) { return out << layers.name; }

// Tails of k, n and rows, and in some precision or other several chunks of k in either layer.
constexpr Layers kLayers[] = {
    {"Block", Kind::kBlock, {33, 1300, 41}},
    {"GatedBlock", Kind::kBlock, {1205, 70, 49, true}},
    {"Linear", Kind::kLinear, {1205, 0, 97}},
    {"NormedBlock", Kind::kBlock, {67, 650, 67}, NormKind::kLayerNorm},
    {"NormedGatedBlock", Kind::kBlock, {67, 390, 67, true}, NormKind::kRmsNorm},
    {"NormedLinear", Kind::kLinear, {130, 0, 130}, NormKind::kLayerNorm},
    {"Experts", Kind::kExperts, {77, 130, 75, true}},
};

// y as wide as x, narrower and wider; panels that are written one after the other, none of which may change
// what a later one reads of x.
constexpr Layers kLayersInPlace[] = {
    {"Block", Kind::kBlock, {65, 390, 65}},
    {"NarrowBlock", Kind::kBlock, {130, 64, 17}},
    {"WideBlock", Kind::kBlock, {17, 64, 130}},
    {"GatedBlock", Kind::kBlock, {65, 390, 65, true}},
    {"LongBlock", Kind::kBlock, {300, 1300, 300}},
    {"Linear", Kind::kLinear, {193, 0, 193}},
    {"NarrowLinear", Kind::kLinear, {130, 0, 17}},
    {"WideLinear", Kind::kLinear, {17, 0, 130}},
    {"NormedBlock", Kind::kBlock, {65, 390, 65}, NormKind::kLayerNorm},
    {"NormedLinear", Kind::kLinear, {193, 0, 193}, NormKind::kRmsNorm},
    {"Experts", Kind::kExperts, {77, 130, 75, true}},
};

struct Way {
  Precision precision;
  size_t int8_group = kInt8GroupSize;
};

std::ostream& operator<<(std::ostream& out, const Way& way) {
  return out << PrecisionName(way.precision) << ", groups of " << way.int8_group;
}

std::vector<Way> WaysOn(const std::string& target) {
  std::vector<Way> ways = {{Precision::kInt8, kSmallInt8GroupSize}};
  for (const Precision precision : PrecisionsOn(target)) ways.push_back({precision});
  return ways;
}

// Layers that are packed, and all that a call needs but x and y. Experts take those of the rows' choices.
class PackedLayers {
 public:
  static constexpr size_t kTokens = 257, kTop = 2, kExperts = 5;

  PackedLayers(const Layers& layers, const std::string& target, const Way& way) : layers_(layers) {
    Random random(1);
    const Shape& shape = layers.shape;
    const auto block = [&] {
      return PackFor(target, RandomBlock(shape, &random).weights(), way.precision, way.int8_group);
    };
    if (layers.kind == Kind::kLinear) {
      const TestLinear weights = RandomLinear(shape.dim, shape.out, &random);
      linear_ = PackFor(target, weights, way.precision, way.int8_group);
    } else {
      for (size_t i = 0; i < (layers.kind == Kind::kExperts ? kExperts : 1); ++i) ffns_.push_back(block());
    }
    for (size_t i = 0; i < kTokens * kTop; ++i) {
      ids_.push_back(static_cast<int32_t>(random.Bits() % kExperts));
      gates_.push_back(random.Symmetric());
    }
    norm_weight_ = random.SymmetricVector(shape.dim, 2);
  }

  size_t in() const { return layers_.shape.dim; }
  size_t out() const { return layers_.shape.out; }

  // Of rows [first, first + tokens).
  void Run(size_t first, const void* x, size_t ldx, size_t tokens, void* y, size_t ldy, DType dtype,
           RunOptions options) const {
    Norm norm;
    if (layers_.norm) {
      norm = {*layers_.norm, norm_weight_.data()};
      options.norm = &norm;
      options.residual = {x, dtype, ldx};
    }
    const Status status = RunAny(first, x, ldx, tokens, y, ldy, dtype, options);
    ASSERT_TRUE(status.ok()) << status.message();
  }

  std::vector<float> Run(size_t first, const float* x, size_t tokens, const RunOptions& options) const {
    std::vector<float> y(tokens * out(), NAN);
    Run(first, x, in(), tokens, y.data(), out(), DType::kF32, options);
    return y;
  }

 private:
  Status RunAny(size_t first, const void* x, size_t ldx, size_t tokens, void* y, size_t ldy, DType dtype,
                const RunOptions& options) const {
    switch (layers_.kind) {
      case Kind::kBlock:
        return fusedffn::Run(ffns_[0], x, dtype, ldx, tokens, y, dtype, ldy, options);
      case Kind::kLinear:
        return fusedffn::Run(linear_, x, dtype, ldx, tokens, y, dtype, ldy, options);
      case Kind::kExperts:
        return RunExperts(ffns_.data(), ffns_.size(), {&ids_[first * kTop], &gates_[first * kTop], kTop, {}},
                          x, dtype, ldx, tokens, y, dtype, ldy, options);
    }
    return Status(StatusCode::kInvalidArgument, "no kind");
  }

  const Layers& layers_;
  std::vector<PackedFfn> ffns_;
  PackedLinear linear_;
  std::vector<int32_t> ids_;
  std::vector<float> gates_, norm_weight_;
};

class RowsTest : public testing::TestWithParam<std::tuple<std::string, Layers>> {
 protected:
  static constexpr size_t kTokens = PackedLayers::kTokens;

  const std::string& target() const { return std::get<0>(GetParam()); }
  const Layers& layers() const { return std::get<1>(GetParam()); }

  // check(way, packed) in every precision.
  template <class Check>
  void ForEachWay(const Check& check) const {
    for (const Way& way : WaysOn(target())) {
      SCOPED_TRACE(testing::Message() << way);
      check(way, PackedLayers(layers(), target(), way));
      ASSERT_FALSE(HasFatalFailure());
    }
  }
};

// x, and the results of each of its rows alone on one thread.
class AloneRows {
 public:
  explicit AloneRows(const PackedLayers& packed) : packed_(packed) {
    Random random(2);
    x_ = RandomTokens(packed.in(), PackedLayers::kTokens, &random);
    for (size_t row = 0; row < PackedLayers::kTokens; ++row) {
      const std::vector<float> y = packed.Run(row, &x_[row * packed.in()], 1, {1});
      want_.insert(want_.end(), y.begin(), y.end());
    }
  }

  // Rows [first, first + tokens) together.
  testing::AssertionResult SameTogether(size_t first, size_t tokens, int threads) const {
    const size_t out = packed_.out();
    const std::vector<float> y = packed_.Run(first, &x_[first * packed_.in()], tokens, OptionsOn(threads));
    const auto same = SameBits(y.data(), out, &want_[first * out], out, tokens, out);
    if (same) return same;
    return testing::AssertionFailure() << same.message() << ", rows from " << first << ", " << tokens
                                       << " tokens, " << threads << " threads";
  }

 private:
  const PackedLayers& packed_;
  std::vector<float> x_, want_;
};

// In fp32 all numbers and sizes; else some, which go other ways through kernels only.
TEST_P(RowsTest, SameBitsForAnyThreadsBatchAndPlace) {
  ForEachWay([](const Way& way, const PackedLayers& packed) {
    const AloneRows rows(packed);
    const bool all = way.precision == Precision::kF32;
    std::vector<int> all_threads = {0, 1, 2, 3, 7, 64};
    for (int threads = kOwnThreads; threads <= 16; threads += all ? FullOrLight(1, 8) : 17) {
      all_threads.push_back(threads);
    }
    const std::vector<size_t> few = {1, 33, 100}, many = {1, 2, 3, 7, 16, 33, 64, 100, 257};
    for (const size_t tokens : all ? many : FullOrLight(many, few)) {
      for (const int threads : all_threads) ASSERT_TRUE(rows.SameTogether(0, tokens, threads));
    }
    const size_t step = all ? FullOrLight<size_t>(1, 23) : FullOrLight<size_t>(7, 51);
    for (size_t tokens = 1; tokens <= kTokens; tokens += step) {
      const size_t first = tokens * 37 % (kTokens + 1 - tokens);
      ASSERT_TRUE(rows.SameTogether(first, tokens, static_cast<int>(tokens % 3) + 1));
    }
    for (size_t first = 0; first <= 64;
         first += all ? FullOrLight<size_t>(1, 21) : FullOrLight<size_t>(9, 37)) {
      for (const size_t tokens : {64u, 70u, 130u}) ASSERT_TRUE(rows.SameTogether(first, tokens, 2));
    }
  });
}

// Bytes of `count` numbers of a type, without a NaN.
std::vector<unsigned char> RandomBytes(DType dtype, size_t count, Random* random) {
  std::vector<unsigned char> bytes(count * ElementBytes(dtype));
  if (dtype == DType::kF32) {
    std::memcpy(bytes.data(), random->SymmetricVector(count, 1.0f).data(), bytes.size());
  } else {
    std::memcpy(bytes.data(), Draw16(kTypes16[0], count, random).data(), bytes.size());
  }
  return bytes;
}

class InPlaceTest : public RowsTest {};

// y over x: what a call from array to array gives, and nothing between the rows.
TEST_P(InPlaceTest, GivesWhatItGivesApart) {
  ForEachWay([](const Way&, const PackedLayers& packed) {
    Random random(3);
    const size_t out = packed.out(), ld = std::max(packed.in(), out) + 3;
    for (const DType dtype : {DType::kF32, DType::kBF16}) {
      const size_t bytes = ElementBytes(dtype);
      for (const size_t tokens : FullOrLight<std::vector<size_t>>({1, 3, 20, 257}, {3, 100})) {
        const std::vector<unsigned char> x = RandomBytes(dtype, tokens * ld, &random);
        std::vector<unsigned char> y(tokens * out * bytes), want = x;
        packed.Run(0, x.data(), ld, tokens, y.data(), out, dtype, {1});
        for (size_t t = 0; t < tokens; ++t) {
          std::memcpy(&want[t * ld * bytes], &y[t * out * bytes], out * bytes);
        }
        for (const int threads : {1, 2, 7}) {
          std::vector<unsigned char> both = x;
          packed.Run(0, both.data(), ld, tokens, both.data(), ld, dtype, {threads});
          ASSERT_EQ(both, want) << tokens << " tokens, " << threads << " threads, " << bytes << " bytes";
        }
      }
    }
  });
}

// NaN of all that int8 or a norm makes of a row that is not finite. Without them the sums of a block are of
// infinities of both signs, or NaNs, while a linear's minus infinity may become -0.
bool IsSpoilt(float y, const Way& way, const Layers& layers) {
  if (way.precision == Precision::kInt8 || layers.norm) return std::isnan(y);
  return !std::isfinite(y) || (layers.kind == Kind::kLinear && y == 0);
}

TEST_P(RowsTest, ABadRowStaysAlone) {
  ForEachWay([&](const Way& way, const PackedLayers& packed) {
    Random random(4);
    const size_t in = packed.in(), out = packed.out();
    size_t columns = 0;  // the first, one in the middle and the last by turns
    for (const size_t tokens : {1u, 9u, 70u}) {
      std::vector<float> x = RandomTokens(in, tokens, &random);
      const std::vector<float> want = packed.Run(0, x.data(), tokens, {1});
      for (size_t bad = 0; bad < tokens; bad += tokens == 70 ? FullOrLight(11u, 23u) : 1) {
        for (const float value : {NAN, HUGE_VALF, -HUGE_VALF}) {
          float* const element = &x[bad * in + columns++ % 4 * (in - 1) / 3];
          const float kept = std::exchange(*element, value);
          const std::vector<float> y = packed.Run(0, x.data(), tokens, {2});
          *element = kept;
          for (size_t i = 0; i < y.size(); ++i) {
            ASSERT_TRUE(i / out == bad ? IsSpoilt(y[i], way, layers()) : BitsOf(y[i]) == BitsOf(want[i]))
                << value << " in row " << bad << " of " << tokens << ", element " << i << " is " << y[i];
          }
        }
      }
    }
  });
}

struct TargetAndLayersAsName {
  std::string operator()(const testing::TestParamInfo<RowsTest::ParamType>& info) const {
    return std::get<0>(info.param) + "_" + std::get<1>(info.param).name;
  }
};

INSTANTIATE_TEST_SUITE_P(Targets, RowsTest,
                         testing::Combine(testing::ValuesIn(SupportedTargets()), testing::ValuesIn(kLayers)),
                         TargetAndLayersAsName());
INSTANTIATE_TEST_SUITE_P(Targets, InPlaceTest,
                         testing::Combine(testing::ValuesIn(SupportedTargets()),
                                          testing::ValuesIn(kLayersInPlace)),
                         TargetAndLayersAsName());

// --- In company --------------------------------------------------------------------------------------------

// A shape with every kind of tail, and the results of each row alone on one thread.
class DeterminismTest : public TargetTest {
 protected:
  static constexpr size_t kTokens = 257;
  static constexpr Shape kShape = {203, 901, 150};

  DeterminismTest() {
    Random random(1);
    block_ = RandomBlock(kShape, &random);
    x_ = RandomTokens(kShape, kTokens, &random);
    ffn_ = PackFor(GetParam(), block_.weights());
    for (size_t row = 0; row < kTokens; ++row) {
      const std::vector<float> y = RunDense(ffn_, &x_[row * kShape.dim], 1, {1});
      want_.insert(want_.end(), y.begin(), y.end());
    }
  }

  // Runs rows [first, first + tokens).
  testing::AssertionResult SameAsAlone(size_t first, size_t tokens, const RunOptions& options) const {
    const std::vector<float> y = RunDense(ffn_, &x_[first * kShape.dim], tokens, options);
    return SameBits(y.data(), kShape.out, &want_[first * kShape.out], kShape.out, tokens, kShape.out);
  }

  TestBlock block_;
  std::vector<float> x_, want_;
  PackedFfn ffn_;
};

TEST_P(DeterminismTest, ManyRunsOnABusyMachine) {
  std::atomic<bool> stop = false;
  std::vector<std::thread> busy;
  for (int i = 0; i < 2; ++i) {
    busy.emplace_back([&stop] {
      while (!stop.load(std::memory_order_relaxed)) {
      }
    });
  }
  for (int run = 0; run < FullOrLight(300, 30); ++run) {
    const size_t tokens = 1 + static_cast<size_t>(run) % 100;
    EXPECT_TRUE(SameAsAlone(0, tokens, {16})) << "run " << run;
    if (HasFailure()) break;
  }
  stop = true;
  for (std::thread& thread : busy) thread.join();
}

TEST_P(DeterminismTest, AnyExecutor) {
  for (const int threads : FullOrLight<std::vector<int>>({1, 2, 3, 16, 2000}, {2, 40})) {
    for (const auto& [name, executor] : Executors(threads)) {
      RunOptions options;
      options.executor = executor;
      for (const size_t tokens : {1u, 20u, 257u}) {
        ASSERT_TRUE(SameAsAlone(0, tokens, options)) << name << ", " << threads << " threads, " << tokens;
      }
    }
  }
}

// An arena that is canceled around the call, and one with tasks that would like to run inside of it.
TEST_P(DeterminismTest, InAGroupThatIsCanceled) {
  std::atomic<int> wrong = 0, calls = 0;
  for (int round = 0; round < FullOrLight(20, 5); ++round) {
    tbb::task_group_context group;
    tbb::parallel_for(
        0, 8,
        [&](int) {
          group.cancel_group_execution();
          wrong += !SameAsAlone(0, 100, InArenaOrOn(kArena));
          ++calls;
        },
        group);
  }
  EXPECT_GT(calls, 0);
  EXPECT_EQ(wrong, 0);
}

TEST_P(DeterminismTest, AThreadThatWaitsTakesNoOtherTasks) {
  std::atomic<int> nested = 0;
  tbb::parallel_for(0, FullOrLight(200, 40), [&](int i) {
    static thread_local bool inside = false;
    nested += inside;
    inside = true;
    EXPECT_TRUE(SameAsAlone(0, 100, InArenaOrOn(i % 2 == 0 ? kArena : 2)));
    inside = false;
  });
  EXPECT_EQ(nested, 0);
}

// A size for any number of threads is enough when the default has changed since, in either direction.
TEST_P(DeterminismTest, AWorkspaceForTheDefaultThreads) {
  for (const size_t tokens : {1u, 20u, 257u}) {
    for (const int threads : {1, 2, 3, 16}) {
      std::vector<unsigned char> workspace(WorkspaceBytes(ffn_, tokens, threads));
      const RunOptions options = {0, workspace.data(), workspace.size()};
      if (WorkspaceBytes(ffn_, tokens, 1) > workspace.size()) continue;  // more for one thread than for this
      ASSERT_TRUE(SameAsAlone(0, tokens, options)) << "room for " << threads << " threads";
    }
    for (int threads = 1; threads <= DefaultThreads(); ++threads) {
      EXPECT_GE(WorkspaceBytes(ffn_, tokens, 0), WorkspaceBytes(ffn_, tokens, threads));
    }
  }
}

TEST_P(DeterminismTest, OwnWorkspaceOrTheCallers) {
  for (const size_t tokens : {1u, 20u, 257u}) {
    for (const int threads : {0, 1, 2, 7, kOwnThreads}) {
      RunOptions options = OptionsOn(threads);
      const size_t bytes = WorkspaceBytes(ffn_, tokens, ThreadsOf(options));
      ASSERT_GT(bytes, 0u);
      for (size_t offset = 0; offset < 64; offset += FullOrLight<size_t>(7, 31)) {
        std::vector<unsigned char> workspace(bytes + offset, 0xFF);
        options.workspace = workspace.data() + offset;
        options.workspace_bytes = bytes;
        ASSERT_TRUE(SameAsAlone(0, tokens, options))
            << tokens << " tokens, " << threads << " threads, workspace at an offset of " << offset;
      }
    }
  }
}

TEST_P(DeterminismTest, ManyCallersOfOneHandle) {
  const int threads = FullOrLight(100, 8), calls = FullOrLight(40, 10);
  std::atomic<int> wrong = 0;
  std::vector<std::thread> callers;
  for (int caller = 0; caller < threads; ++caller) {
    callers.emplace_back([&, caller] {
      Random random(static_cast<uint64_t>(caller));
      for (int call = 0; call < calls; ++call) {
        const size_t tokens = static_cast<size_t>(random.Integer(1, 20));
        const size_t first = static_cast<size_t>(random.Integer(0, 200));
        const int options[] = {1, 1, 2, kArena};
        wrong += !SameAsAlone(first, tokens, InArenaOrOn(options[call % 4]));
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(wrong, 0);
}

TEST_P(DeterminismTest, InsideAnArena) {
  for (const int width : {1, 2, 3, 8}) {
    tbb::task_arena arena(width);
    arena.execute([&] {
      for (const size_t tokens : {1u, 20u, 257u}) {
        for (const int threads : {kArena, 1, 2}) {
          ASSERT_TRUE(SameAsAlone(0, tokens, InArenaOrOn(threads)))
              << "arena of " << width << ", " << tokens << " tokens, " << threads << " threads";
        }
      }
    });
  }
}

TEST_P(DeterminismTest, InsideAParallelLoop) {
  const tbb::global_control four(tbb::global_control::max_allowed_parallelism, 4);
  std::atomic<int> wrong = 0;
  tbb::parallel_for(0, FullOrLight(100, 30), [&](int i) {
    const int threads[] = {kArena, 1, 2, 3};
    wrong += !SameAsAlone(static_cast<size_t>(i), 1 + static_cast<size_t>(i), InArenaOrOn(threads[i % 4]));
  });
  EXPECT_EQ(wrong, 0);
}

INSTANTIATE_TEST_SUITE_P(Targets, DeterminismTest, testing::ValuesIn(SupportedTargets()), TargetAsName());
// --- On every target ---------------------------------------------------------------------------------------

// FNV-1a over the bits of y.
uint64_t HashOf(const std::vector<float>& y) {
  uint64_t hash = 0xCBF29CE484222325u;
  for (const float value : y) hash = (hash ^ BitsOf(value)) * 0x100000001B3u;
  return hash;
}

// Of y on any machine, from any compiler, on any target with FMA: AVX2, AVX-512 and NEON. They change only
// with the activations' polynomials or with tests/test_block.h.
struct HashedBlock {
  Shape shape;
  size_t tokens;
  DType dtype;  // of the weights; bf16 is what is left of fp32 without its lower half
  Activation activation;
  uint64_t hash;
  bool transformer = false;  // with a norm and a residual
};

constexpr HashedBlock kHashes[] = {
    {{1, 1, 1}, 3, DType::kF32, Activation::kQuickGelu, 0x64973333faf11277},
    {{31, 33, 3}, 20, DType::kF32, Activation::kQuickGelu, 0x9fe8ed7d8fe784da},
    {{203, 901, 150}, 70, DType::kF32, Activation::kQuickGelu, 0xc7cd7a355dbc5c15},
    {{529, 48, 1057}, 131, DType::kF32, Activation::kQuickGelu, 0xb08fe13d8463aafa},
    {{16, 1100, 9}, 257, DType::kF32, Activation::kQuickGelu, 0x25c9cbcfe55af3c5},
    {kClipL, 17, DType::kF32, Activation::kQuickGelu, 0x8c853fcded5ef5dc},
    {{1, 1, 1}, 3, DType::kBF16, Activation::kQuickGelu, 0xc9eea3d5d6340a59},
    {{65, 529, 47}, 33, DType::kBF16, Activation::kQuickGelu, 0x1412d37b8d3b3d3d},
    {{1057, 130, 48}, 64, DType::kBF16, Activation::kQuickGelu, 0x82161b33a6c44ce7},
    {kClipL, 6, DType::kBF16, Activation::kQuickGelu, 0x36630d26298952bf},
    {{203, 901, 150}, 70, DType::kF32, Activation::kGelu, 0xe930b52aed2be707},
    {{203, 901, 150}, 70, DType::kF32, Activation::kGeluTanh, 0xb08200a857034326},
    {{203, 901, 150}, 70, DType::kF32, Activation::kSilu, 0xa0263747fb29d151},
    {{203, 901, 150}, 70, DType::kF32, Activation::kRelu, 0x23619dd7f9e39610},
    {{203, 901, 150}, 70, DType::kF32, Activation::kRelu2, 0x2643c46742c82b6},
    {{203, 901, 150}, 70, DType::kF32, Activation::kIdentity, 0xb1a93beb455070f5},
    {{1, 1, 1, true}, 3, DType::kF32, Activation::kSilu, 0x6a88ad25f350f9e1},
    {{529, 1100, 47, true}, 131, DType::kF32, Activation::kSilu, 0xc9f88b6dd48710f9},
    {{203, 901, 150, true}, 20, DType::kBF16, Activation::kGelu, 0x2d9ac7a437cca36a},
    {{1280, 896, 1280, true}, 6, DType::kBF16, Activation::kSilu, 0xd533e1192687d2be},
    {{1, 1, 1}, 3, DType::kF32, Activation::kQuickGelu, 0x691478b35a0e6686, true},
    {{31, 33, 3}, 20, DType::kF32, Activation::kQuickGelu, 0xe027f50483b8aa76, true},
    {{529, 48, 1057}, 131, DType::kF32, Activation::kGelu, 0x547c6e9b6a5793ee, true},
    {kClipL, 17, DType::kBF16, Activation::kQuickGelu, 0xb0ce5dddfe4ed6c0, true},
};

std::vector<uint16_t> UpperHalves(const std::vector<float>& values) {
  std::vector<uint16_t> halves;
  for (const float value : values) halves.push_back(UpperHalf(value));
  return halves;
}

TEST(DeterminismAcrossTargetsTest, EveryTargetWithFmaGivesTheRecordedBits) {
  for (const HashedBlock& hashed : kHashes) {
    Random random(hashed.tokens);
    TestBlock block = RandomBlock(hashed.shape, &random);
    block.activation = hashed.activation;
    const std::vector<float> x = RandomTokens(hashed.shape, hashed.tokens, &random);
    const std::vector<float> norm_weight = random.SymmetricVector(hashed.shape.dim, 2);
    const std::vector<float> norm_bias = random.SymmetricVector(hashed.shape.dim, 1);
    const std::vector<float> residual = random.SymmetricVector(hashed.tokens * hashed.shape.out, 2);
    const Norm norm = {NormKind::kLayerNorm, norm_weight.data(), norm_bias.data()};
    RunOptions options = {2};
    if (hashed.transformer) {
      options.norm = &norm;
      options.residual.data = residual.data();
    }
    Weights weights = block.weights();
    const std::vector<uint16_t> w1 = UpperHalves(block.w1), b1 = UpperHalves(block.b1);
    const std::vector<uint16_t> w2 = UpperHalves(block.w2), b2 = UpperHalves(block.b2);
    const std::vector<uint16_t> up_w = UpperHalves(block.up_w), up_b = UpperHalves(block.up_b);
    if (hashed.dtype == DType::kBF16) {
      weights.fc1 = {w1.data(), b1.data(), DType::kBF16};
      weights.fc2 = {w2.data(), b2.data(), DType::kBF16};
      if (hashed.shape.gated) weights.up = {up_w.data(), up_b.data(), DType::kBF16};
    }
    for (const std::string& target : SupportedTargets()) {
      if (!HasFma(target)) continue;
      for (const Precision precision : {Precision::kF32, Precision::kBF16}) {
        if (precision == Precision::kBF16 && hashed.dtype != DType::kBF16) continue;
        const PackedFfn ffn = PackFor(target, weights, precision);
        const uint64_t hash = HashOf(RunDense(ffn, x.data(), hashed.tokens, options));
        EXPECT_EQ(hash, hashed.hash) << std::hex << "0x" << hash << std::dec << " on " << target
                                     << " for shape " << hashed.shape << " x " << hashed.tokens << ", "
                                     << hashed.activation << ", precision " << static_cast<int>(precision);
      }
    }
  }
}

}  // namespace
}  // namespace fusedffn

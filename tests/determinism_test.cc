// The same bits every time: for any number of threads, batch, place in the batch, arena, workspace, company
// of other calls, and on every target with FMA.
#include <gtest/gtest.h>
#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/parallel_for.h>
#include <oneapi/tbb/task_arena.h>
#include <oneapi/tbb/task_group.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include "fusedffn/tbb_executor.h"
#include "tests/activations.h"
#include "tests/compare.h"
#include "tests/effort.h"
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

// A shape with every kind of tail, and the results of each row alone on one thread.
class DeterminismTest : public TargetTest {
 protected:
  static constexpr size_t kTokens = 257;
  static constexpr Shape kShape = {203, 901, 150};

  explicit DeterminismTest(const Shape& shape = kShape) {
    Random random(1);
    block_ = RandomBlock(shape, &random);
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

TEST_P(DeterminismTest, AnyNumberOfThreads) {
  for (const size_t tokens : {1u, 2u, 3u, 7u, 16u, 33u, 64u, 100u, 257u}) {
    for (int threads = 0; threads <= 16; threads += FullOrLight(1, 3)) {
      ASSERT_TRUE(SameAsAlone(0, tokens, {threads})) << tokens << " tokens, " << threads << " threads";
    }
    ASSERT_TRUE(SameAsAlone(0, tokens, {64})) << tokens << " tokens, 64 threads";
  }
}

TEST_P(DeterminismTest, AnyBatchSize) {
  for (size_t tokens = 1; tokens <= kTokens; tokens += FullOrLight<size_t>(1, 16)) {
    ASSERT_TRUE(SameAsAlone(0, tokens, {static_cast<int>(tokens % 3) + 1})) << tokens << " tokens";
  }
}

class GatedDeterminismTest : public DeterminismTest {
 protected:
  GatedDeterminismTest() : DeterminismTest({kShape.dim, kShape.hidden, kShape.out, true}) {}
};

TEST_P(GatedDeterminismTest, AnyNumberOfThreadsAndBatchSize) {
  for (const size_t tokens : {1u, 2u, 3u, 7u, 16u, 33u, 64u, 100u, 129u, 257u}) {
    for (int threads = 0; threads <= 16; threads += FullOrLight(1, 3)) {
      ASSERT_TRUE(SameAsAlone(0, tokens, {threads})) << tokens << " tokens, " << threads << " threads";
    }
  }
}

// h + mlp(norm(h)).
class TransformerDeterminismTest : public DeterminismTest {
 protected:
  static constexpr Shape kSquare = {kShape.dim, kShape.hidden, kShape.dim};

  TransformerDeterminismTest() : DeterminismTest(kSquare) {
    Random random(2);
    weight_ = random.SymmetricVector(kSquare.dim, 2);
    want_.clear();
    for (size_t row = 0; row < kTokens; ++row) {
      const std::vector<float> y = RunRows(row, 1, 1);
      want_.insert(want_.end(), y.begin(), y.end());
    }
  }

  std::vector<float> RunRows(size_t first, size_t tokens, int threads) const {
    const Norm norm = {NormKind::kLayerNorm, weight_.data()};
    RunOptions options = {threads};
    options.norm = &norm;
    options.residual.data = &x_[first * kSquare.dim];
    return RunDense(ffn_, &x_[first * kSquare.dim], tokens, options);
  }

  std::vector<float> weight_;
};

TEST_P(TransformerDeterminismTest, AnyNumberOfThreadsBatchSizeAndPlace) {
  for (const size_t tokens : {1u, 2u, 3u, 7u, 16u, 33u, 64u, 100u, 129u, 200u}) {
    for (int threads = 0; threads <= 16; threads += FullOrLight(1, 3)) {
      for (const size_t first : {0u, 57u}) {
        const std::vector<float> y = RunRows(first, tokens, threads);
        ASSERT_TRUE(
            SameBits(y.data(), kSquare.out, &want_[first * kSquare.out], kSquare.out, tokens, kSquare.out))
            << "rows from " << first << ", " << tokens << " tokens, " << threads << " threads";
      }
    }
  }
}

TEST_P(DeterminismTest, AnyPlaceInTheBatch) {
  for (const size_t tokens : {64u, 70u, 130u}) {
    for (size_t first = 0; first <= 64; first += FullOrLight<size_t>(1, 9)) {
      ASSERT_TRUE(SameAsAlone(first, tokens, {2})) << "rows from " << first << " of " << tokens;
    }
  }
}

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
  for (const int threads : {1, 2, 3, 16, FullOrLight(2000, 40)}) {
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
INSTANTIATE_TEST_SUITE_P(Targets, GatedDeterminismTest, testing::ValuesIn(SupportedTargets()),
                         TargetAsName());
INSTANTIATE_TEST_SUITE_P(Targets, TransformerDeterminismTest, testing::ValuesIn(SupportedTargets()),
                         TargetAsName());

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

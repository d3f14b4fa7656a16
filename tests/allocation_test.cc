// Memory: a run allocates nothing once it has run in its size, a failed allocation anywhere is an error that
// loses nothing, and no number is computed from memory that has not been set: every allocation of the process
// is filled with signaling NaN.
#include <gtest/gtest.h>
#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cfenv>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "fusedffn/fusedffn_c.h"
#include "fusedffn/fusedffn_io_c.h"
#include "tests/compare.h"
#include "tests/effort.h"
#include "tests/guarded_buffer.h"
#include "tests/replaced_malloc.h"
#include "tests/targets.h"
#include "tests/test_block.h"
#include "tests/test_checkpoint.h"
#include "tests/test_files.h"

namespace fusedffn {
namespace {

// Of all threads.
std::atomic<long> allocations{0}, live{0};
// Of this thread: how many more allocations succeed; -1 for all of them.
thread_local long allowed = -1;
thread_local bool refused = false;

}  // namespace

// For replaced_malloc.h.
bool RefuseAllocation() {
  if (allowed == 0) return refused = true;
  if (allowed > 0) --allowed;
  return false;
}

void OnAllocation(void* memory, size_t bytes) {
  ++allocations;
  ++live;
  std::fill_n(static_cast<uint32_t*>(memory), bytes / sizeof(uint32_t), kPoisonBits);
}

void OnFree(void*) { --live; }

namespace {

// Allocations that `call` makes, on any thread.
template <class Call>
long AllocationsOf(const Call& call) {
  const long before = allocations;
  call();
  return allocations - before;
}

class AllocationTest : public TargetTest {
 protected:
  static constexpr Shape kShape = {96, 500, 64};
  static constexpr size_t kMaxTokens = 300;

  AllocationTest() : block_(RandomBlock(kShape, &random_)), x_(RandomTokens(kShape, kMaxTokens, &random_)) {
    Shape gated = kShape;
    gated.gated = true;
    gated_ = RandomBlock(gated, &random_);
  }

  // A norm and a residual, the latter from the first columns of x.
  RunOptions Transformer(RunOptions options) const {
    options.norm = &norm_;
    options.residual = {x_.data(), DType::kF32, kShape.dim};
    return options;
  }

  template <class Packed>
  Status RunInto(const Packed& packed, size_t tokens, const RunOptions& options) {
    return fusedffn::Run(packed, x_.data(), kShape.dim, tokens, y_.data(), kShape.out, options);
  }

  // Runs of every size, twice.
  template <class Packed>
  void ExpectNoneTheSecondTime(const Packed& packed) {
    const size_t step = FullOrLight<size_t>(1, 13);
    for (size_t tokens = 1; tokens <= kMaxTokens; tokens += step) {
      ASSERT_TRUE(RunInto(packed, tokens, {1}).ok());
    }
    for (size_t tokens = 1; tokens <= kMaxTokens; tokens += step) {
      const long count = AllocationsOf([&] { EXPECT_TRUE(RunInto(packed, tokens, {1}).ok()); });
      ASSERT_EQ(count, 0) << tokens << " tokens for the second time";
    }
  }

  template <class Packed>
  void ExpectNoneInTheCallersWorkspace(const Packed& packed) {
    for (const size_t tokens : {1u, 20u, 300u}) {
      std::vector<char> workspace(WorkspaceBytes(packed, tokens, 1));
      const RunOptions plain = {1, workspace.data(), workspace.size()};
      for (const RunOptions& options : {plain, Transformer(plain)}) {
        const long count = AllocationsOf([&] { EXPECT_TRUE(RunInto(packed, tokens, options).ok()); });
        EXPECT_EQ(count, 0) << tokens << " tokens, at the first call";
      }
    }
  }

  Random random_{1};
  TestBlock block_, gated_;
  TestLinear linear_ = RandomLinear(kShape.dim, kShape.out, &random_);
  std::vector<float> x_;
  std::vector<float> norm_weight_ = std::vector<float>(kShape.dim, 0.5f);
  Norm norm_ = {NormKind::kRmsNorm, norm_weight_.data()};
  std::vector<float> y_ = std::vector<float>(kMaxTokens * kShape.out, FloatOf(kPoisonBits));
};

// The counting itself.
TEST(AllocationCountTest, SeesEveryKind) {
  std::vector<void*> memory(6);
  const long live_before = live;
  const long count = AllocationsOf([&] {
    memory[0] = std::malloc(1);
    memory[1] = std::calloc(1, 1);
    memory[2] = std::realloc(nullptr, 1);
    memory[3] = std::aligned_alloc(64, 64);
    EXPECT_EQ(posix_memalign(&memory[4], 64, 64), 0);
    memory[5] = ::operator new(1);
  });
  EXPECT_EQ(count, 6);
  EXPECT_EQ(live - live_before, 6);
  for (size_t i = 0; i < 5; ++i) std::free(memory[i]);
  ::operator delete(memory[5]);
  EXPECT_EQ(live, live_before);
  allowed = 1;
  void* const first = std::malloc(1);
  void* const second = std::malloc(1);
  allowed = -1;
  EXPECT_NE(first, nullptr);
  EXPECT_EQ(second, nullptr);
  std::free(first);
}

TEST_P(AllocationTest, OneThreadAllocatesAtTheFirstCallOfASizeOnly) {
  for (const TestBlock* block : {&block_, &gated_}) {
    ExpectNoneTheSecondTime(PackFor(GetParam(), block->weights()));
    ASSERT_FALSE(HasFatalFailure()) << "shape " << block->shape;
  }
  for (const Precision precision : PrecisionsOn(GetParam())) {
    ExpectNoneTheSecondTime(PackFor(GetParam(), linear_, precision));
    ASSERT_FALSE(HasFatalFailure()) << "a linear, " << PrecisionName(precision);
  }
}

TEST_P(AllocationTest, OneHandleAfterAnotherSharesScratch) {
  const PackedFfn first = PackFor(GetParam(), block_.weights()),
                  second = PackFor(GetParam(), block_.weights());
  ASSERT_TRUE(RunInto(first, kMaxTokens, {1}).ok());
  const long count = AllocationsOf([&] { EXPECT_TRUE(RunInto(second, kMaxTokens, {1}).ok()); });
  EXPECT_EQ(count, 0);
}

TEST_P(AllocationTest, CallersWorkspaceNeedsNoAllocationAtAll) {
  for (const TestBlock* block : {&block_, &gated_}) {
    ExpectNoneInTheCallersWorkspace(PackFor(GetParam(), block->weights()));
    ASSERT_FALSE(HasFailure()) << "shape " << block->shape;
  }
  for (const Precision precision : PrecisionsOn(GetParam())) {
    ExpectNoneInTheCallersWorkspace(PackFor(GetParam(), linear_, precision));
    ASSERT_FALSE(HasFailure()) << "a linear, " << PrecisionName(precision);
  }
}

TEST_P(AllocationTest, ReleasedScratchIsAllocatedAgain) {
  const PackedFfn ffn = PackFor(GetParam(), block_.weights());
  ASSERT_TRUE(RunInto(ffn, kMaxTokens, {1}).ok());
  const long live_before = live;
  ReleaseScratch();
  EXPECT_LT(live, live_before);
  EXPECT_GT(AllocationsOf([&] { EXPECT_TRUE(RunInto(ffn, kMaxTokens, {1}).ok()); }), 0);
  EXPECT_EQ(AllocationsOf([&] { EXPECT_TRUE(RunInto(ffn, kMaxTokens, {1}).ok()); }), 0);
}

// As many calls at the same time as `callers`: each waits for the others in its executor, with its scratch.
void RunAtOnce(const PackedFfn& ffn, const float* x, int callers) {
  std::atomic<int> missing{callers};
  RunOptions options;
  options.executor = {&missing, 2, [](void* context, size_t, void (*)(void*, size_t), void*) {
                        auto& left = *static_cast<std::atomic<int>*>(context);
                        for (--left; left > 0;) std::this_thread::yield();
                      }};
  std::vector<std::thread> threads;
  for (int i = 0; i < callers; ++i) {
    threads.emplace_back([&] { RunDense(ffn, x, 20, options); });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST_P(AllocationTest, ABurstOfCallersLeavesAnArrayForEachCpu) {
  const PackedFfn ffn = PackFor(GetParam(), block_.weights());
  RunAtOnce(ffn, x_.data(), 64);  // leaves what threads leave at their first time
  const long with_arrays = live;
  ReleaseScratch();
  EXPECT_LT(live, with_arrays);
  EXPECT_LE(with_arrays - live, sysconf(_SC_NPROCESSORS_CONF));
}

// The helpers are there after the first call.
TEST_P(AllocationTest, MoreThreadsAllocateNothingEither) {
  const int calls = FullOrLight(300, 30);
  const PackedFfn ffn = PackFor(GetParam(), block_.weights());
  for (const size_t tokens : {20u, 300u}) {
    const auto run = [&] {
      for (int call = 0; call < calls; ++call) EXPECT_TRUE(RunInto(ffn, tokens, {2}).ok());
    };
    run();
    EXPECT_EQ(AllocationsOf(run), 0) << tokens << " tokens";
  }
}

// Calls with the n-th allocation of this thread, and all after it, failing, for n from the first until none
// fails any more. A call may do without some of them.
template <class Call>
void FailEachAllocation(const Call& call) {
  bool refused_once = false;
  for (long n = 0; n < 1000; ++n) {
    allowed = n;
    refused = false;
    const Status status = call();
    const bool failed = refused;
    allowed = -1;
    refused_once |= failed;
    if (!failed) {
      ASSERT_TRUE(status.ok()) << status.message();
      ASSERT_TRUE(refused_once) << "it was to allocate something";
      return;
    }
    if (status.ok()) continue;
    ASSERT_EQ(status.code(), StatusCode::kOutOfMemory) << "allocation " << n << ": " << status.message();
    ASSERT_STRNE(status.message(), "") << "allocation " << n;
  }
  FAIL() << "still failing";
}

// The first time may leave something for later calls to use, no other.
template <class Call>
void ExpectNoLeak(const Call& call) {
  call();
  const long live_before = live;
  for (int i = 0; i < 3; ++i) call();
  EXPECT_LE(live, live_before);
}

TEST_P(AllocationTest, CreateReportsEveryFailure) {
  ExpectNoLeak([&] {
    PackedFfn ffn = PackFor(GetParam(), block_.weights());
    FailEachAllocation([&] {
      const Status status = PackedFfn::Create({8, 9, 10}, Activation::kQuickGelu, {GetParam().c_str()}, &ffn);
      EXPECT_EQ(ffn.shape().dim, status.ok() ? 8 : kShape.dim);
      return status;
    });
  });
}

TEST_P(AllocationTest, CreateAndPackOfALinearReportEveryFailure) {
  ExpectNoLeak([&] {
    PackedLinear linear = PackFor(GetParam(), linear_);
    const PackOptions options = OptionsFor(GetParam());
    FailEachAllocation([&] {
      const Status status = PackedLinear::Create(8, 9, Activation::kSilu, options, &linear);
      EXPECT_EQ(linear.in(), status.ok() ? 8 : kShape.dim);
      return status;
    });
    FailEachAllocation([&] {
      const Status status =
          Pack(linear_.weights(), linear_.in, linear_.out, linear_.activation, options, &linear);
      EXPECT_EQ(linear.in(), status.ok() ? kShape.dim : 8);
      return status;
    });
    EXPECT_TRUE(RunInto(linear, 3, {1}).ok());
  });
}

TEST_P(AllocationTest, PackReportsEveryFailure) {
  ASSERT_TRUE(
      RunInto(PackFor(GetParam(), block_.weights()), 20, {4}).ok());  // starts the helpers, which stay
  for (const int threads : {1, 2}) {
    PackOptions options = OptionsFor(GetParam());
    options.threads = threads;
    ExpectNoLeak([&] {
      PackedFfn ffn;
      FailEachAllocation([&] { return Pack(block_.weights(), options, &ffn); });
      FailEachAllocation([&] { return Pack(gated_.weights(), options, &ffn); });
      EXPECT_TRUE(RunInto(ffn, 3, {1}).ok());
    });
  }
}

// A status of C's, and its message.
template <class Call>
Status FromC(const Call& call) {
  char error[256];
  const fusedffn_status status = call(error, sizeof(error));
  return status == FUSEDFFN_OK ? Status() : Status(static_cast<StatusCode>(status), "%s", error);
}

TEST_P(AllocationTest, HandlesOfCReportEveryFailure) {
  fusedffn_pack_options options = {};
  options.struct_size = sizeof(options);
  const std::string target = GetParam();
  options.target = target.c_str();
  options.threads = 1;
  const fusedffn_layer layer = {linear_.w.data(), linear_.b.data(), 0, FUSEDFFN_DTYPE_F32};
  const fusedffn_shape shape = {8, 9, 10, 0};
  ExpectNoLeak([&] {
    FailEachAllocation([&] {
      fusedffn_block* block = nullptr;
      const Status status = FromC([&](char* error, size_t bytes) {
        return fusedffn_block_create(&shape, FUSEDFFN_ACTIVATION_GELU, &options, &block, error, bytes);
      });
      EXPECT_EQ(block != nullptr, status.ok());
      fusedffn_block_free(block);
      return status;
    });
    FailEachAllocation([&] {
      fusedffn_linear* linear = nullptr;
      const Status status = FromC([&](char* error, size_t bytes) {
        return fusedffn_linear_pack(&layer, linear_.in, linear_.out, FUSEDFFN_ACTIVATION_GELU, &options,
                                    &linear, error, bytes);
      });
      EXPECT_EQ(linear != nullptr, status.ok());
      fusedffn_linear_free(linear);
      return status;
    });
  });
}

// Exceptions are thrown inside, with what memory there is.
TEST(CheckpointAllocationTest, ReportsEveryFailure) {
  const TempFolder folder;
  const std::string path = folder / "m.safetensors";
  WriteCheckpoint(path, "m", {8, 9, 10}, {});
  const fusedffn_activation activation = FUSEDFFN_ACTIVATION_GELU;
  fusedffn_load_options options = {};
  options.struct_size = sizeof(options);
  options.activation = &activation;
  const auto load = [&] {
    fusedffn_checkpoint* checkpoint = nullptr;
    fusedffn_listing* listing = nullptr;
    fusedffn_blocks* blocks = nullptr;
    const Status status = FromC([&](char* error, size_t bytes) {
      fusedffn_status result = fusedffn_checkpoint_open(path.c_str(), &checkpoint, error, bytes);
      if (result == FUSEDFFN_OK) result = fusedffn_checkpoint_list(checkpoint, &listing, error, bytes);
      if (result == FUSEDFFN_OK) {
        result = fusedffn_checkpoint_load_block(checkpoint, "m", &options, &blocks, error, bytes);
      }
      return result;
    });
    EXPECT_EQ(blocks != nullptr, status.ok());
    fusedffn_blocks_free(blocks);
    fusedffn_listing_free(listing);
    fusedffn_checkpoint_free(checkpoint);
    return status;
  };
  EXPECT_TRUE(load().ok());  // reads the table of models, which stays
  FailEachAllocation(load);
}

// Each call needs scratch again.
template <class Packed>
void FailEachAllocationOfARun(const Packed& packed, const std::vector<float>& x, int threads) {
  constexpr size_t kTokens = 12;
  std::vector<float> y(kTokens * OutOf(packed), FloatOf(kPoisonBits));
  FailEachAllocation([&] {
    ReleaseScratch();
    const Status status = Run(packed, x.data(), InOf(packed), kTokens, y.data(), OutOf(packed), {threads});
    const auto touched = [](float value) { return BitsOf(value) != kPoisonBits; };
    EXPECT_EQ(status.ok(), std::any_of(y.begin(), y.end(), touched));
    return status;
  });
}

TEST_P(AllocationTest, RunReportsEveryFailure) {
  ASSERT_TRUE(
      RunInto(PackFor(GetParam(), block_.weights()), 20, {4}).ok());  // starts the helpers, which stay
  for (const int threads : {1, 2, 3}) {
    SCOPED_TRACE(testing::Message() << threads << " threads");
    ExpectNoLeak([&] {
      const TestBlock block = RandomBlock({8, 9, 1000}, &random_);
      FailEachAllocationOfARun(PackFor(GetParam(), block.weights()), x_, threads);
    });
  }
}

// Experts, each of another number of rows in every call: their own scratch, and that of a run of each.
TEST_P(AllocationTest, ExpertsAllocateAtTheFirstCallsOnly) {
  constexpr size_t kTop = 3;
  std::vector<PackedFfn> experts;
  for (int e = 0; e < 5; ++e) experts.push_back(PackFor(GetParam(), gated_.weights()));
  std::vector<int32_t> ids(kMaxTokens * kTop);
  const std::vector<float> weights(ids.size(), 0.5f);
  const auto run = [&](size_t tokens) {
    for (int32_t& id : ids) id = static_cast<int32_t>(random_.Integer(0, 4));
    const ExpertChoices choices = {ids.data(), weights.data(), kTop, {}};
    EXPECT_TRUE(RunExperts(experts.data(), experts.size(), choices, x_.data(), kShape.dim, tokens, y_.data(),
                           kShape.out, {1})
                    .ok());
  };
  const size_t most = FullOrLight(kMaxTokens, kMaxTokens / 4);
  std::fill(ids.begin(), ids.end(), 0);  // the most rows that an expert can have
  const ExpertChoices all_alike = {ids.data(), weights.data(), kTop, {}};
  for (size_t tokens = 1; tokens <= most; ++tokens) {
    EXPECT_TRUE(
        RunExperts(experts.data(), 1, all_alike, x_.data(), kShape.dim, tokens, y_.data(), kShape.out, {1})
            .ok());
  }
  for (size_t tokens = 1; tokens <= most; tokens += FullOrLight<size_t>(1, 13)) {
    ASSERT_EQ(AllocationsOf([&] { run(tokens); }), 0) << tokens << " tokens";
  }
}

TEST_P(AllocationTest, ExpertsReportEveryFailure) {
  ASSERT_TRUE(
      RunInto(PackFor(GetParam(), block_.weights()), 20, {4}).ok());  // starts the helpers, which stay
  const std::vector<int32_t> ids = {0, 0, 0, 0, 0};
  const std::vector<float> weights(ids.size(), 0.5f);
  for (const int threads : {1, 2}) {
    ExpectNoLeak([&] {
      const Shape shape = {8, 9, 1000};
      const PackedFfn expert = PackFor(GetParam(), RandomBlock(shape, &random_).weights());
      std::vector<float> y(ids.size() * shape.out, FloatOf(kPoisonBits));
      FailEachAllocation([&] {
        ReleaseScratch();
        const Status status = RunExperts(&expert, 1, {ids.data(), weights.data(), 1, {}}, x_.data(),
                                         shape.dim, ids.size(), y.data(), shape.out, {threads});
        const auto touched = [](float value) { return BitsOf(value) != kPoisonBits; };
        EXPECT_EQ(status.ok(), std::any_of(y.begin(), y.end(), touched));
        return status;
      });
    });
  }
}

TEST_P(AllocationTest, RunOfALinearReportsEveryFailure) {
  ASSERT_TRUE(
      RunInto(PackFor(GetParam(), block_.weights()), 20, {4}).ok());  // starts the helpers, which stay
  for (const int threads : {1, 2}) {
    ExpectNoLeak([&] {
      const TestLinear linear = RandomLinear(3, 1000, &random_);
      FailEachAllocationOfARun(PackFor(GetParam(), linear), x_, threads);
    });
  }
}

// Shapes whose last panel and last vector are not full: what pads them is computed with like the rest. And
// arithmetic on a signaling NaN raises a flag.
template <class Packed>
void ExpectNothingUninitialized(const Packed& packed, Random* random) {
  for (const size_t tokens : {1u, 7u, 60u}) {
    const std::vector<float> x = RandomTokens(InOf(packed), tokens, random);
    std::feclearexcept(FE_ALL_EXCEPT);
    const std::vector<float> y = RunDense(packed, x.data(), tokens);
    ASSERT_FALSE(std::fetestexcept(FE_INVALID)) << tokens << " tokens";
    ASSERT_TRUE(std::all_of(y.begin(), y.end(), [](float value) { return std::isfinite(value); }));
  }
}

TEST_P(AllocationTest, ComputesWithNothingUninitialized) {
  for (const Shape& shape : {Shape{1, 1, 1}, Shape{5, 17, 3}, Shape{33, 49, 50}, Shape{385, 400, 97},
                             Shape{1, 1, 1, true}, Shape{33, 49, 50, true}, Shape{585, 560, 97, true}}) {
    const TestBlock block = RandomBlock(shape, &random_);
    for (const bool bias : {false, true}) {
      Weights weights = block.weights();
      if (!bias) weights.fc1.bias = weights.fc2.bias = weights.up.bias = nullptr;
      ExpectNothingUninitialized(PackFor(GetParam(), weights), &random_);
      ASSERT_FALSE(HasFatalFailure()) << "shape " << shape;
    }
  }
}

TEST_P(AllocationTest, ALinearComputesWithNothingUninitialized) {
  const size_t sizes[][2] = {{1, 1}, {5, 17}, {33, 50}, {1153, 97}};
  for (const auto& [in, out] : sizes) {
    for (const Precision precision : PrecisionsOn(GetParam())) {
      TestLinear linear = RandomLinear(in, out, &random_);
      if (in == 33) linear.b.clear();
      ExpectNothingUninitialized(PackFor(GetParam(), linear, precision), &random_);
      ASSERT_FALSE(HasFatalFailure()) << in << " to " << out << " columns, " << PrecisionName(precision);
    }
  }
}

// What does not allocate cannot fail.
TEST_P(AllocationTest, PackingRowsAllocatesNothing) {
  PackedFfn ffn;
  ASSERT_TRUE(PackedFfn::Create(kShape, Activation::kQuickGelu, {GetParam().c_str()}, &ffn).ok());
  const long count = AllocationsOf([&] {
    EXPECT_TRUE(ffn.PackRows(Layer::kFc1, 0, 500, block_.w1.data(), DType::kF32, 96).ok());
    EXPECT_TRUE(ffn.PackRows(Layer::kFc2, 0, 64, block_.w2.data(), DType::kF32, 500).ok());
    EXPECT_TRUE(ffn.PackBias(Layer::kFc1, block_.b1.data(), DType::kF32).ok());
  });
  EXPECT_EQ(count, 0);
}

TEST_P(AllocationTest, PackingRowsOfALinearAllocatesNothing) {
  for (const Precision precision : PrecisionsOn(GetParam())) {
    PackedLinear linear;
    const PackOptions options = OptionsFor(GetParam(), precision);
    ASSERT_TRUE(PackedLinear::Create(96, 64, Activation::kSilu, options, &linear).ok());
    const long count = AllocationsOf([&] {
      EXPECT_TRUE(linear.PackRows(0, 64, linear_.w.data(), DType::kF32, 96).ok());
      EXPECT_TRUE(linear.PackBias(linear_.b.data(), DType::kF32).ok());
    });
    EXPECT_EQ(count, 0) << PrecisionName(precision);
  }
}

INSTANTIATE_TEST_SUITE_P(Targets, AllocationTest, testing::ValuesIn(SupportedTargets()), TargetAsName());

}  // namespace
}  // namespace fusedffn

// One allocation of the process fails, on whatever thread, in a call on 8 threads of 8 CPUs that the system
// is made to have: y is right with an OK, or untouched with an error, and the next call succeeds.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstring>
#include <vector>

#include "fusedffn/tbb_executor.h"
#include "tests/child.h"
#include "tests/compare.h"
#include "tests/effort.h"
#include "tests/guarded_buffer.h"
#include "tests/pretended_cpus.h"
#include "tests/replaced_malloc.h"
#include "tests/targets.h"
#include "tests/test_block.h"

namespace fusedffn {
namespace {

constexpr int kThreads = 8;

std::atomic<long> allocations{0}, failing{-1};

}  // namespace

bool RefuseAllocation() { return allocations++ == failing; }
void OnAllocation(void*, size_t) {}
void OnFree(void*) {}

namespace {

constexpr Shape kShape = {64, 256, 48};
constexpr size_t kTokens = 1000;

struct Arrays {
  Random random{1};
  std::vector<PackedFfn> experts;
  std::vector<float> x = RandomTokens(kShape, kTokens, &random);
  std::vector<float> y = std::vector<float>(kTokens * kShape.out, FloatOf(kPoisonBits));
  std::vector<int32_t> ids = std::vector<int32_t>(2 * kTokens);
  std::vector<float> weights = std::vector<float>(2 * kTokens, 0.5f);

  Arrays() {
    for (int e = 0; e < 2; ++e)
      experts.push_back(PackFor(SupportedTargets()[0], RandomBlock(kShape, &random).weights()));
    for (size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<int32_t>(i % 2);
  }

  Status Call(bool routed, size_t tokens, int threads) {
    const RunOptions options = {threads};
    if (!routed) return Run(experts[0], x.data(), kShape.dim, tokens, y.data(), kShape.out, options);
    return RunExperts(experts.data(), 2, {ids.data(), weights.data(), 2, {}}, x.data(), kShape.dim, tokens,
                      y.data(), kShape.out, options);
  }
};

// In a child: the whole of its memory is thrown away afterwards.
enum Outcome { kNoneFailed = 0, kRight, kRefused, kTouched, kWrong, kNextFails };

Outcome CallWithFailure(bool routed, size_t tokens, long n) {
  Arrays a, want;
  EXPECT_TRUE(want.Call(routed, tokens, 1).ok());
  pretended_cpus = kThreads;
  ReleaseScratch();
  allocations = 0;
  failing = n;
  const Status status = a.Call(routed, tokens, kThreads);
  failing = -1;
  const bool none = allocations <= n;
  const auto touched = [](float value) { return BitsOf(value) != kPoisonBits; };
  const auto right = [&] { return std::memcmp(a.y.data(), want.y.data(), a.y.size() * sizeof(float)) == 0; };
  if (!status.ok() && std::any_of(a.y.begin(), a.y.end(), touched)) return kTouched;
  if (status.ok() && !right()) return kWrong;
  if (!a.Call(routed, tokens, kThreads).ok() || !right()) return kNextFails;
  if (none) return kNoneFailed;
  return status.ok() ? kRight : kRefused;
}

class OutOfMemoryTest : public testing::TestWithParam<bool> {};

TEST_P(OutOfMemoryTest, NoErrorComesAfterTheFirstByteOfOutput) {
  for (const size_t tokens : {size_t{40}, kTokens}) {  // panel and row parallel
    int right = 0, refused = 0;
    for (long n = 0; n < FullOrLight(200, 40); ++n) {
      const int outcome = InChild([&] { return CallWithFailure(GetParam(), tokens, n); });
      if (outcome == kNoneFailed) break;
      ASSERT_TRUE(outcome == kRight || outcome == kRefused)
          << "allocation " << n << ", " << tokens << " tokens: " << outcome;
      ++(outcome == kRight ? right : refused);
    }
    EXPECT_GT(refused, 0) << "the scratch's";
    EXPECT_GT(right, 0) << "the threads'";
  }
}

// oneTBB's first look at the calling thread allocates, and throws; 2021.8 waits for ever in the next one.
TEST(CallersArenaTest, WithoutMemoryItIsTheCallingThreadAlone) {
  EXPECT_EQ(InChild([] {
              failing = allocations.load();
              const Executor executor = CallersArena();
              const bool refused = allocations > failing;
              failing = -1;
              return refused && executor.threads == 1 ? 0 : 1;
            }),
            0);
}

INSTANTIATE_TEST_SUITE_P(RunAndExperts, OutOfMemoryTest, testing::Bool(),
                         [](const auto& info) { return info.param ? "Experts" : "Run"; });

}  // namespace
}  // namespace fusedffn

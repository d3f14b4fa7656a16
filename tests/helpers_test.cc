// The threads that the library starts itself: where they cannot be had, in children of fork(), and as the
// number of CPUs changes. In a program of its own, since it replaces pthread_create().
#include <dlfcn.h>
#include <gtest/gtest.h>
#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <limits>
#include <thread>
#include <vector>

#include "tests/child.h"
#include "tests/effort.h"
#include "tests/pretended_cpus.h"
#include "tests/targets.h"
#include "tests/test_block.h"

namespace fusedffn {
namespace {

constexpr long kNever = std::numeric_limits<long>::max();
// Calls of pthread_create(): all that were made, and from which on they are refused; threads that were
// started.
std::atomic<long> asked{0}, refused_from{kNever}, started{0};

constexpr Shape kShape = {64, 256, 48};
constexpr int kThreads = 8;

struct Caller {
  Random random{1};
  PackedFfn ffn = PackFor(SupportedTargets()[0], RandomBlock(kShape, &random).weights());
  std::vector<float> x = RandomTokens(kShape, 600, &random), want = RunOn(1);

  std::vector<float> RunOn(int threads, size_t tokens = 600) const {
    std::vector<float> y(tokens * kShape.out);
    const RunOptions options = {threads};
    const Status status = Run(ffn, x.data(), kShape.dim, tokens, y.data(), kShape.out, options);
    EXPECT_TRUE(status.ok()) << status.message();
    return y;
  }

  bool IsRight() const { return RunOn(kThreads) == want; }
};

// Whether `work` returns true in a child.
template <class Work>
bool WorksInChild(const Work& work) {
  return InChild([&] { return work() ? 0 : 1; }) == 0;
}

class HelpersTest : public testing::Test {
 protected:
  void SetUp() override { pretended_cpus = kThreads; }

  const Caller caller_;
};

TEST_F(HelpersTest, AsManyAsThereAreCpusAndNoMore) {
  EXPECT_TRUE(WorksInChild([&] {
    long most = 0;
    const long before = started;
    for (const long cpus : {1, 4, 2, 8}) {
      pretended_cpus = static_cast<size_t>(cpus);
      most = std::max(most, cpus);
      if (!caller_.IsRight() || started - before != most - 1) return false;
    }
    return true;
  }));
}

TEST_F(HelpersTest, ThoseThatCannotBeStartedAreDoneWithout) {
  for (long n = 0; n < kThreads; ++n) {
    EXPECT_TRUE(WorksInChild([&] {
      const long before = started;
      refused_from = asked + n;
      for (int call = 0; call < 3; ++call) {
        if (!caller_.IsRight() || started - before != std::min<long>(n, kThreads - 1)) return false;
      }
      refused_from = kNever;  // they can be had again
      return caller_.IsRight() && started - before == kThreads - 1;
    })) << "threads are refused from number "
        << n << " on";
  }
}

TEST_F(HelpersTest, AChildStartsItsOwn) {
  ASSERT_TRUE(caller_.IsRight());
  EXPECT_TRUE(WorksInChild([&] {
    const long before = started;
    return caller_.IsRight() && started - before == kThreads - 1;
  }));
}

// While other threads are anywhere in a call.
TEST_F(HelpersTest, ForkAtAnyMoment) {
  std::atomic<bool> stop{false};
  std::vector<std::thread> callers;
  for (size_t i = 0; i < 3; ++i) {
    callers.emplace_back([&, i] {
      while (!stop) {
        EXPECT_EQ(caller_.RunOn(kThreads, 20 + 40 * i).size(), (20 + 40 * i) * kShape.out);
        ReleaseScratch();
      }
    });
  }
  bool works = true;
  for (int i = 0; i < FullOrLight(300, 30) && works; ++i) {
    works = WorksInChild([&] { return caller_.IsRight(); });
  }
  stop = true;
  for (std::thread& caller : callers) caller.join();
  EXPECT_TRUE(works);
}

TEST_F(HelpersTest, ManyCallersWithSmallStacks) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  const long least = sysconf(_SC_THREAD_STACK_MIN);
  ASSERT_EQ(pthread_attr_setstacksize(&attributes, static_cast<size_t>(std::max(64L << 10, least))), 0);
  std::vector<pthread_t> threads(20);
  const auto work = [](void* argument) -> void* {
    bool right = true;
    for (int call = 0; call < FullOrLight(50, 5); ++call) {
      right = static_cast<const Caller*>(argument)->IsRight() && right;
    }
    return right ? argument : nullptr;
  };
  for (pthread_t& thread : threads) {
    ASSERT_EQ(pthread_create(&thread, &attributes, work, const_cast<Caller*>(&caller_)), 0);
  }
  for (const pthread_t thread : threads) {
    void* right = nullptr;
    pthread_join(thread, &right);
    EXPECT_NE(right, nullptr);
  }
  pthread_attr_destroy(&attributes);
}

}  // namespace

// Whether a thread may be started, which is then counted.
bool MayStart() {
  const bool may = asked++ < refused_from;
  started += may;
  return may;
}

}  // namespace fusedffn

extern "C" int pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*start)(void*),
                              void* argument) noexcept {
  static const auto original =
      reinterpret_cast<decltype(&pthread_create)>(dlsym(RTLD_NEXT, "pthread_create"));
  return fusedffn::MayStart() ? original(thread, attributes, start, argument) : EAGAIN;
}

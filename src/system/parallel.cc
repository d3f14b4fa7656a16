#include "src/system/parallel.h"

#include <oneapi/tbb/info.h>
#include <oneapi/tbb/parallel_for.h>
#include <oneapi/tbb/partitioner.h>
#include <oneapi/tbb/task_arena.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "src/plan.h"

namespace fusedffn {
inline namespace v0_2 {
namespace {

// The indices of one loop in up to kMostShares shares, each of which is taken once, by whoever asks first. So
// what a pool leaves out, or does twice, changes nothing.
class Shares {
 public:
  Shares(size_t count, const Body& body)
      : count_(count), shares_(std::min(count, kMostShares)), body_(body), left_(shares_) {}

  size_t size() const { return shares_; }

  void Take(size_t share) noexcept {
    if (share >= shares_) return;
    const uint64_t bit = uint64_t{1} << share % 64;
    if ((taken_[share / 64].fetch_or(bit, std::memory_order_relaxed) & bit) != 0) return;
    const Range indices = EvenRange(count_, shares_, share);
    for (size_t i = indices.begin; i < indices.end; ++i) body_.call(body_.context, i);
    left_.fetch_sub(1, std::memory_order_release);
  }

  // Takes all that are left, and waits for those that others have taken.
  void Finish() noexcept {
    if (left_.load(std::memory_order_acquire) == 0) return;
    for (size_t share = 0; share < shares_; ++share) Take(share);
    while (left_.load(std::memory_order_acquire) != 0) std::this_thread::yield();
  }

 private:
  static constexpr size_t kMostShares = 1024;  // more than there are threads on a machine

  const size_t count_, shares_;
  const Body& body_;
  std::atomic<size_t> left_;
  std::atomic<uint64_t> taken_[kMostShares / 64] = {};
};

// Arenas that no call is using. Making one takes microseconds, and calls that run at the same time each
// need their own: an arena has one place for a thread that is not oneTBB's.
class ArenaPool {
 public:
  std::unique_ptr<tbb::task_arena> Take(int threads) {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      for (auto& arena : idle_) {
        if (arena->max_concurrency() != threads) continue;
        std::swap(arena, idle_.back());
        auto taken = std::move(idle_.back());
        idle_.pop_back();
        return taken;
      }
    }
    return std::make_unique<tbb::task_arena>(threads);
  }

  void Return(std::unique_ptr<tbb::task_arena> arena) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto most = static_cast<size_t>(tbb::info::default_concurrency());
    if (idle_.size() < most) idle_.push_back(std::move(arena));
  }

 private:
  std::mutex mutex_;
  std::vector<std::unique_ptr<tbb::task_arena>> idle_;
};

// Never destroyed, as scratch.cc's.
ArenaPool& Arenas() {
  static ArenaPool& pool = *new ArenaPool;
  return pool;
}

void TakeInArena(size_t threads, Shares* shares) {
  // oneTBB has no more workers than CPUs, and prints a warning when an arena asks for more.
  const int places = static_cast<int>(std::min<size_t>(threads, tbb::info::default_concurrency()));
  std::unique_ptr<tbb::task_arena> arena = Arenas().Take(places);
  arena->execute([shares] {
    tbb::parallel_for(
        size_t{0}, shares->size(), size_t{1}, [shares](size_t share) { shares->Take(share); },
        tbb::static_partitioner());
  });
  Arenas().Return(std::move(arena));
}

void TakeInExecutor(const Executor& executor, Shares* shares) {
  const auto body = [](void* argument, size_t share) { static_cast<Shares*>(argument)->Take(share); };
  executor.parallel_for(executor.context, shares->size(), body, shares);
}

}  // namespace

Team TeamOf(const RunOptions& options) noexcept {
  if (options.executor.parallel_for == nullptr) return {ThreadCount(options.threads)};
  return {static_cast<size_t>(options.executor.threads), options.executor};
}

size_t ThreadCount(int threads) noexcept {
  return static_cast<size_t>(threads == 0 ? DefaultThreads() : threads);
}

void ParallelFor(const Team& team, size_t count, const Body& body) noexcept {
  if (count <= 1 || team.threads == 1) {
    for (size_t i = 0; i < count; ++i) body.call(body.context, i);
    return;
  }
  Shares shares(count, body);
  try {
    if (team.executor.parallel_for != nullptr) {
      TakeInExecutor(team.executor, &shares);
    } else {
      TakeInArena(team.threads, &shares);
    }
  } catch (...) {  // no memory, or no threads: this one does what is left
  }
  shares.Finish();
}

}  // namespace v0_2
}  // namespace fusedffn

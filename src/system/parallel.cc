#include "src/system/parallel.h"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <thread>

#include "src/plan.h"
#include "src/system/float_environment.h"
#include "src/system/helpers.h"

namespace fusedffn {
inline namespace v0_2 {
namespace {

// The indices of one loop in up to kMostShares shares, each of which is taken once, by whoever asks first. So
// what a pool leaves out, or does twice, changes nothing.
class Shares {
 public:
  Shares(size_t count, bool flush_denormals, const Body& body)
      : count_(count),
        shares_(std::min(count, kMostShares)),
        flush_denormals_(flush_denormals),
        body_(body),
        left_(shares_) {}

  size_t size() const { return shares_; }

  void Take(size_t share) noexcept {
    if (share >= shares_) return;
    const uint64_t bit = uint64_t{1} << share % 64;
    std::atomic<uint64_t>& taken = taken_[share / 64];
    if ((taken.load(std::memory_order_relaxed) & bit) != 0) return;
    if ((taken.fetch_or(bit, std::memory_order_relaxed) & bit) != 0) return;
    const FloatEnvironment environment(flush_denormals_);  // whatever the executor's thread has
    const Range indices = EvenRange(count_, shares_, share);
    for (size_t i = indices.begin; i < indices.end; ++i) body_.call(body_.context, i);
    left_.fetch_sub(1, std::memory_order_release);
  }

  // What `thread` of `threads` does: its own part first, the same at each call, then what is left of others'.
  void TakeFrom(size_t thread, size_t threads) noexcept {
    const size_t first = EvenRange(shares_, threads, thread).begin;
    for (size_t share = first; share < shares_; ++share) Take(share);
    for (size_t share = 0; share < first; ++share) Take(share);
  }

  // Takes all that are left, and waits for those that others have taken.
  void Finish() noexcept {
    if (left_.load(std::memory_order_acquire) == 0) return;
    TakeFrom(0, 1);
    while (left_.load(std::memory_order_acquire) != 0) std::this_thread::yield();
  }

 private:
  static constexpr size_t kMostShares = 1024;  // more than there are threads on a machine

  const size_t count_, shares_;
  const bool flush_denormals_;
  const Body& body_;
  std::atomic<size_t> left_;
  std::atomic<uint64_t> taken_[kMostShares / 64] = {};
};

void TakeWithHelpers(size_t threads, Shares* shares) {
  struct Context {
    Shares* shares;
    size_t threads;
  } context = {shares, std::min(threads, shares->size())};
  const auto work = [](void* argument, size_t thread) {
    const Context& taken = *static_cast<Context*>(argument);
    taken.shares->TakeFrom(thread, taken.threads);
  };
  RunWithHelpers(context.threads, {work, &context});
}

void TakeInExecutor(const Executor& executor, Shares* shares) {
  const auto body = [](void* argument, size_t share) { static_cast<Shares*>(argument)->Take(share); };
  executor.parallel_for(executor.context, shares->size(), body, shares);
}

}  // namespace

Team TeamOf(const RunOptions& options) noexcept {
  const bool own = options.executor.parallel_for == nullptr;
  const size_t threads = own ? ThreadCount(options.threads) : static_cast<size_t>(options.executor.threads);
  return {threads, options.executor, options.flush_denormals};
}

size_t ThreadCount(int threads) noexcept {
  return static_cast<size_t>(threads == 0 ? DefaultThreads() : threads);
}

void ParallelFor(const Team& team, size_t count, const Body& body) noexcept {
  if (count <= 1 || team.threads == 1) {
    const FloatEnvironment environment(team.flush_denormals);
    for (size_t i = 0; i < count; ++i) body.call(body.context, i);
    return;
  }
  Shares shares(count, team.flush_denormals, body);
  if (team.executor.parallel_for == nullptr) {
    TakeWithHelpers(team.threads, &shares);
  } else {
    try {
      TakeInExecutor(team.executor, &shares);
    } catch (...) {  // no memory, or no threads: this one does what is left
    }
  }
  shares.Finish();
}

}  // namespace v0_2
}  // namespace fusedffn

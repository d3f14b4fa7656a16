#include "src/parallel.h"

#include <oneapi/tbb/info.h>
#include <oneapi/tbb/parallel_for.h>
#include <oneapi/tbb/partitioner.h>
#include <oneapi/tbb/task_arena.h>

#include <algorithm>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "fusedffn/fusedffn.h"

namespace fusedffn {
namespace {

void ForInThisArena(size_t count, const Body& body) {
  tbb::parallel_for(
      size_t{0}, count, size_t{1}, [&body](size_t index) { body.call(body.context, index); },
      tbb::static_partitioner());
}

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
    idle_.push_back(std::move(arena));
  }

 private:
  std::mutex mutex_;
  std::vector<std::unique_ptr<tbb::task_arena>> idle_;
};

ArenaPool& Arenas() {
  static ArenaPool pool;
  return pool;
}

}  // namespace

void ParallelFor(int threads, size_t count, const Body& body) {
  // oneTBB has no more workers than CPUs, and prints a warning when an arena asks for more.
  if (count > 1 && threads > 1) threads = std::min(threads, tbb::info::default_concurrency());
  if (count <= 1 || threads == 1) {
    for (size_t i = 0; i < count; ++i) body.call(body.context, i);
  } else if (threads == kCallersArena) {
    ForInThisArena(count, body);
  } else {
    std::unique_ptr<tbb::task_arena> arena = Arenas().Take(threads);
    arena->execute([&] { ForInThisArena(count, body); });
    Arenas().Return(std::move(arena));
  }
}

int CallersArenaThreads() { return tbb::this_task_arena::max_concurrency(); }

}  // namespace fusedffn

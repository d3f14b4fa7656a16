#include "src/system/scratch.h"

#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <mutex>
#include <utility>
#include <vector>

#include "kernels/gemm.h"
#include "src/system/never_destroyed.h"

namespace fusedffn {
inline namespace v0_2 {
namespace {

constexpr size_t kHugePage = size_t{2} << 20;
constexpr size_t kMostKeptFloats = (size_t{256} << 20) / sizeof(float);

class ScratchPool {
 public:
  ScratchPool();

  // The smallest idle array that is large enough; else the largest is dropped for a new one, so that a
  // growing sequence of sizes does not leave one array of each behind.
  AlignedFloats Take(size_t floats) {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      auto best = std::lower_bound(idle_.begin(), idle_.end(), floats, Smaller);
      if (best != idle_.end()) {
        AlignedFloats taken = std::move(*best);
        idle_.erase(best);
        kept_floats_ -= taken.count();
        return taken;
      }
      if (!idle_.empty()) {
        kept_floats_ -= idle_.back().count();
        idle_.pop_back();
      }
    }
    return AlignedFloats::Allocate(floats);
  }

  // A burst of calls does not leave all of their arrays behind: the smallest are dropped.
  void Return(AlignedFloats floats) {
    const std::lock_guard<std::mutex> lock(mutex_);
    kept_floats_ += floats.count();
    idle_.insert(std::lower_bound(idle_.begin(), idle_.end(), floats.count(), Smaller), std::move(floats));
    auto kept = idle_.begin();
    for (; kept + 1 != idle_.end(); ++kept) {
      if (static_cast<size_t>(idle_.end() - kept) <= most_arrays_ && kept_floats_ <= kMostKeptFloats) break;
      kept_floats_ -= kept->count();
    }
    idle_.erase(idle_.begin(), kept);
  }

  void Release() {
    const std::lock_guard<std::mutex> lock(mutex_);
    idle_.clear();
    kept_floats_ = 0;
  }

 private:
  static bool Smaller(const AlignedFloats& floats, size_t count) { return floats.count() < count; }

  // More calls than there are CPUs take turns anyway.
  const size_t most_arrays_ = static_cast<size_t>(std::max(1L, sysconf(_SC_NPROCESSORS_CONF)));
  std::mutex mutex_;
  std::vector<AlignedFloats> idle_;  // by size
  size_t kept_floats_ = 0;           // of all of them
};

ScratchPool& Pool() {
  static NeverDestroyed<ScratchPool> pool;
  return pool.get();
}

// A child after fork() finds the pool unlocked, whatever other threads were doing.
ScratchPool::ScratchPool() {
  pthread_atfork([] { Pool().mutex_.lock(); }, [] { Pool().mutex_.unlock(); },
                 [] { Pool().mutex_.unlock(); });
}

}  // namespace

AlignedFloats AlignedFloats::Allocate(size_t count) noexcept {
  AlignedFloats floats;
  const size_t wanted = std::max<size_t>(count, 1) * sizeof(float);
  const size_t alignment = wanted >= kHugePage ? kHugePage : kCacheLine;
  void* data = nullptr;
  if (posix_memalign(&data, alignment, RoundUp(wanted, kCacheLine)) != 0) return floats;
#if defined(MADV_HUGEPAGE)
  if (wanted >= kHugePage) madvise(data, wanted / kHugePage * kHugePage, MADV_HUGEPAGE);
#endif
  floats.data_.reset(static_cast<float*>(data));
  floats.count_ = count;
  return floats;
}

Status Scratch::Take(size_t bytes, const RunOptions& options) noexcept {
  if (options.workspace != nullptr) {
    if (options.workspace_bytes < WithAlignment(bytes)) {
      return Status(StatusCode::kInvalidArgument, "workspace_bytes is %zu; this call needs %zu",
                    options.workspace_bytes, WithAlignment(bytes));
    }
    const auto address = reinterpret_cast<uintptr_t>(options.workspace);
    data_ = static_cast<unsigned char*>(options.workspace) + (RoundUp(address, kCacheLine) - address);
    return Status();
  }
  floats_ = Pool().Take(DivideUp(bytes, sizeof(float)));
  data_ = reinterpret_cast<unsigned char*>(floats_.data());
  if (data_ != nullptr) return Status();
  return Status(StatusCode::kOutOfMemory, "no memory for %zu bytes of scratch", bytes);
}

Scratch::~Scratch() {
  if (floats_.data() == nullptr) return;
  try {
    Pool().Return(std::move(floats_));
  } catch (...) {  // no memory for the pool's list: the array is freed instead
  }
}

void ReleaseScratch() noexcept { Pool().Release(); }

}  // namespace v0_2
}  // namespace fusedffn

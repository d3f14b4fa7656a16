#include "src/workspace.h"

#include <sys/mman.h>

#include <algorithm>
#include <mutex>
#include <utility>
#include <vector>

namespace fusedffn {
namespace {

constexpr size_t kHugePage = size_t{2} << 20;

class ScratchPool {
 public:
  // The smallest idle array that is large enough; else the largest is dropped for a new one, so that a
  // growing sequence of sizes does not leave one array of each behind.
  AlignedFloats Take(size_t floats) {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      auto best = std::lower_bound(idle_.begin(), idle_.end(), floats, Smaller);
      if (best != idle_.end()) {
        AlignedFloats taken = std::move(*best);
        idle_.erase(best);
        return taken;
      }
      if (!idle_.empty()) idle_.pop_back();
    }
    return AlignedFloats::Allocate(floats);
  }

  void Return(AlignedFloats floats) {
    const std::lock_guard<std::mutex> lock(mutex_);
    idle_.insert(std::lower_bound(idle_.begin(), idle_.end(), floats.count(), Smaller), std::move(floats));
  }

 private:
  static bool Smaller(const AlignedFloats& floats, size_t count) { return floats.count() < count; }

  std::mutex mutex_;
  std::vector<AlignedFloats> idle_;  // by size
};

ScratchPool& Pool() {
  static ScratchPool pool;
  return pool;
}

}  // namespace

AlignedFloats AlignedFloats::Allocate(size_t count) noexcept {
  AlignedFloats floats;
  const size_t wanted = std::max<size_t>(count, 1) * sizeof(float);
  const size_t alignment = wanted >= kHugePage ? kHugePage : kCacheLine;
  void* data = nullptr;
  if (posix_memalign(&data, alignment, (wanted + kCacheLine - 1) / kCacheLine * kCacheLine) != 0)
    return floats;
#if defined(MADV_HUGEPAGE)
  if (wanted >= kHugePage) madvise(data, wanted / kHugePage * kHugePage, MADV_HUGEPAGE);
#endif
  floats.data_.reset(static_cast<float*>(data));
  floats.count_ = count;
  return floats;
}

Scratch::Scratch(size_t floats) noexcept : floats_(Pool().Take(floats)) {}

Scratch::~Scratch() {
  if (floats_.data() == nullptr) return;
  try {
    Pool().Return(std::move(floats_));
  } catch (...) {  // no memory for the pool's list: the array is freed instead
  }
}

}  // namespace fusedffn

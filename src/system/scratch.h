// Compiled once. Memory: aligned arrays for weights, and scratch that outlives a call.
#ifndef FUSEDFFN_SRC_SYSTEM_SCRATCH_H_
#define FUSEDFFN_SRC_SYSTEM_SCRATCH_H_

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>

#include "fusedffn/fusedffn.h"
#include "src/system/parallel.h"

namespace fusedffn {
inline namespace v0_2 {

inline constexpr size_t kCacheLine = 64;

// Uninitialized floats, aligned to a cache line. Arrays of 2 MiB and more are aligned to 2 MiB, and the
// system is asked for huge pages, since a block's weights are four times the small pages that a TLB holds: 16
// tokens are 1.19 times as fast. See bench/results/tuning.md.
class AlignedFloats {
 public:
  static AlignedFloats Allocate(size_t count) noexcept;  // empty if there is no memory

  float* data() const { return data_.get(); }
  size_t count() const { return count_; }

 private:
  struct Free {
    void operator()(float* data) const { std::free(data); }
  };
  std::unique_ptr<float, Free> data_;
  size_t count_ = 0;
};

// Scratch of one call, on a cache line: in the caller's workspace, or an array out of a pool shared by all
// handles and threads, to which it goes back.
class Scratch {
 public:
  Scratch() = default;
  ~Scratch();
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  Status Take(size_t bytes, const RunOptions& options) noexcept;

  unsigned char* data() const { return data_; }

 private:
  AlignedFloats floats_;
  unsigned char* data_ = nullptr;
};

// What a workspace must have for so many bytes of scratch, wherever it begins.
inline size_t WithAlignment(size_t scratch_bytes) { return scratch_bytes + kCacheLine - 1; }

// TeamOf(), with as many of the default threads as a workspace has room for, if it is for these.
// bytes(threads): of scratch; the last call of it is for the threads that are returned.
template <class F>
Team TeamFor(const RunOptions& options, const F& bytes) {
  Team team = TeamOf(options);
  const bool fixed = options.threads != 0 || team.executor.parallel_for != nullptr;
  const size_t room = options.workspace == nullptr ? SIZE_MAX : options.workspace_bytes;
  while (WithAlignment(bytes(team.threads)) > room && team.threads > 1 && !fixed) --team.threads;
  return team;
}

}  // namespace v0_2
}  // namespace fusedffn

#endif  // FUSEDFFN_SRC_SYSTEM_SCRATCH_H_

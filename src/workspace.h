// Compiled once. Memory: aligned arrays for weights, and scratch that outlives a call.
#ifndef FUSEDFFN_SRC_WORKSPACE_H_
#define FUSEDFFN_SRC_WORKSPACE_H_

#include <cstddef>
#include <cstdlib>
#include <memory>

namespace fusedffn {

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

// Scratch for one call of Run(): the caller's, or an array out of a pool shared by all handles and threads,
// to which it goes back. The pool holds as many arrays as calls have run at the same time.
class Scratch {
 public:
  explicit Scratch(size_t floats) noexcept;
  ~Scratch();
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  float* data() const { return floats_.data(); }  // null if there was no memory

 private:
  AlignedFloats floats_;
};

}  // namespace fusedffn

#endif  // FUSEDFFN_SRC_WORKSPACE_H_

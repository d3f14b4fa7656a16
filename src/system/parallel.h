// Compiled once. The only door to threads.
#ifndef FUSEDFFN_SRC_SYSTEM_PARALLEL_H_
#define FUSEDFFN_SRC_SYSTEM_PARALLEL_H_

#include <algorithm>
#include <cstddef>

#include "fusedffn/fusedffn.h"

namespace fusedffn {
inline namespace v0_2 {

// The threads of a call: the executor's, or if there is none the library's own, see helpers.h.
struct Team {
  size_t threads;
  Executor executor = {};
  bool flush_denormals = false;
};

// Of threads that have been checked: RunOptions::threads, and those of options.
size_t ThreadCount(int threads) noexcept;
Team TeamOf(const RunOptions& options) noexcept;

// A plain function pointer with its argument. It does not throw.
struct Body {
  void (*call)(const void* context, size_t index);
  const void* context;
};

// body(i) once for every i in [0, count), in any order, on up to team.threads threads, of which the caller is
// one, in the floating-point environment that the team says. One fork-join; count == 1 is a call.
// What no other thread can be had for, the caller does: it cannot fail.
void ParallelFor(const Team& team, size_t count, const Body& body) noexcept;

template <class F>
void ParallelFor(const Team& team, size_t count, const F& f) noexcept {
  ParallelFor(team, count,
              Body{[](const void* context, size_t index) { (*static_cast<const F*>(context))(index); }, &f});
}

// Parts that copying `rows` rows of `floats` floats is worth cutting into on `threads` threads: of 2^14
// floats, which take twice as long as another meeting of the threads; 2^16 lost 1.07. See
// bench/results/tuning.md.
inline size_t CopyParts(size_t rows, size_t floats, size_t threads) {
  return std::clamp<size_t>(rows * floats >> 14, 1, threads);
}

}  // namespace v0_2
}  // namespace fusedffn

#endif  // FUSEDFFN_SRC_SYSTEM_PARALLEL_H_

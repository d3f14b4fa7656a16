// Compiled once. The only door to threads.
#ifndef FUSEDFFN_SRC_PARALLEL_H_
#define FUSEDFFN_SRC_PARALLEL_H_

#include <algorithm>
#include <cstddef>

namespace fusedffn {

// A plain function pointer with its argument, so that oneTBB stays out of this header.
struct Body {
  void (*call)(const void* context, size_t index);
  const void* context;
};

// body(i) for every i in [0, count), in any order, on up to `threads` threads, of which the caller is one.
// With kCallersArena, in the arena that the calling thread is in. One fork-join; count == 1 is a call.
void ParallelFor(int threads, size_t count, const Body& body);

template <class F>
void ParallelFor(int threads, size_t count, const F& f) {
  ParallelFor(threads, count,
              Body{[](const void* context, size_t index) { (*static_cast<const F*>(context))(index); }, &f});
}

// Parts that copying `rows` rows of `floats` floats is worth cutting into on `threads` threads: of 2^14
// floats, which take twice as long as another meeting of the threads; 2^16 lost 1.07. See
// bench/results/tuning.md.
inline size_t CopyParts(size_t rows, size_t floats, size_t threads) {
  return std::clamp<size_t>(rows * floats >> 14, 1, threads);
}

// Threads of the arena that the calling thread is in.
int CallersArenaThreads();

}  // namespace fusedffn

#endif  // FUSEDFFN_SRC_PARALLEL_H_

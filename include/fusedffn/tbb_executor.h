// An Executor for programs that use oneTBB themselves: include this, and link oneTBB.
//
//   fusedffn::RunOptions options;
//   options.executor = fusedffn::CallersArena();
//   fusedffn::Status status = fusedffn::Run(ffn, x, ldx, tokens, y, ldy, options);
#ifndef FUSEDFFN_TBB_EXECUTOR_H_
#define FUSEDFFN_TBB_EXECUTOR_H_

#include <oneapi/tbb/parallel_for.h>
#include <oneapi/tbb/partitioner.h>
#include <oneapi/tbb/task_arena.h>
#include <oneapi/tbb/task_group.h>

#include "fusedffn/fusedffn.h"

namespace fusedffn {
inline namespace v0_2 {

// The oneTBB arena that the calling thread is in, for a call by the same thread. The call is isolated: while
// it waits, its thread takes no other tasks of that arena, and a group of tasks around it that is canceled
// does not cancel it. Where oneTBB has no memory to say how large the arena is, it is the calling thread
// alone.
inline Executor CallersArena() noexcept {
  Executor executor;
  executor.threads = 1;
  try {
    executor.threads = tbb::this_task_arena::max_concurrency();
  } catch (...) {
  }
  executor.parallel_for = [](void*, size_t count, void (*body)(void*, size_t), void* argument) {
    tbb::this_task_arena::isolate([=] {
      tbb::task_group_context context(tbb::task_group_context::isolated);
      tbb::parallel_for(
          size_t{0}, count, size_t{1}, [=](size_t index) { body(argument, index); },
          tbb::static_partitioner(), context);
    });
  };
  return executor;
}

}  // namespace v0_2
}  // namespace fusedffn

#endif  // FUSEDFFN_TBB_EXECUTOR_H_

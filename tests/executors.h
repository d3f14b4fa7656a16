// Executors of the caller's: good ones, and those that leave out, repeat or fail.
#ifndef FUSEDFFN_TESTS_EXECUTORS_H_
#define FUSEDFFN_TESTS_EXECUTORS_H_

#include <cstddef>
#include <stdexcept>
#include <thread>
#include <vector>

#include "fusedffn/fusedffn.h"

namespace fusedffn {

using ExecutorBody = void (*)(void* argument, size_t index);

// A new thread for each index.
inline Executor OwnThreads(int threads) {
  return {nullptr, threads, [](void*, size_t count, ExecutorBody body, void* argument) {
            std::vector<std::thread> started;
            for (size_t i = 0; i < count; ++i) started.emplace_back(body, argument, i);
            for (std::thread& thread : started) thread.join();
          }};
}

struct NamedExecutor {
  const char* name;
  Executor executor;
};

// All of them give the same result.
inline std::vector<NamedExecutor> Executors(int threads) {
  return {
      {"own threads", OwnThreads(threads)},
      {"one after the other, the last one first",
       {nullptr, threads,
        [](void*, size_t count, ExecutorBody body, void* argument) {
          while (count > 0) body(argument, --count);
        }}},
      {"nothing at all", {nullptr, threads, [](void*, size_t, ExecutorBody, void*) {}}},
      {"every other index",
       {nullptr, threads,
        [](void*, size_t count, ExecutorBody body, void* argument) {
          for (size_t i = 1; i < count; i += 2) body(argument, i);
        }}},
      {"all of them twice, and some that are none",
       {nullptr, threads,
        [](void*, size_t count, ExecutorBody body, void* argument) {
          for (size_t i = 0; i < 2 * count; ++i) body(argument, i % (count + 3));
          for (size_t i = 0; i < count; ++i) body(argument, i);
        }}},
      {"throws half way",
       {nullptr, threads,
        [](void*, size_t count, ExecutorBody body, void* argument) {
          for (size_t i = 0; i < count / 2; ++i) body(argument, i);
          throw std::runtime_error("no more threads");
        }}},
  };
}

// For loops over numbers of threads: an executor of three, among them.
constexpr int kOwnThreads = -1;

inline RunOptions OptionsOn(int threads) {
  RunOptions options;
  if (threads == kOwnThreads) {
    options.executor = OwnThreads(3);
  } else {
    options.threads = threads;
  }
  return options;
}

// What WorkspaceBytes() is asked for them.
inline int ThreadsOf(const RunOptions& options) {
  return options.executor.parallel_for != nullptr ? options.executor.threads : options.threads;
}

}  // namespace fusedffn

#endif  // FUSEDFFN_TESTS_EXECUTORS_H_

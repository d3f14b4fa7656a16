// Compiled once per target by Highway's foreach_target, as kernels/kernels.cc is.
#include "bench/probe.h"

#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <new>
#include <thread>
#include <utility>
#include <vector>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "bench/probe.cc"
#include "bench/probe_targets.h"
#include "hwy/foreach_target.h"  // must come before highway.h
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace fusedffn {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Chains enough for a latency of 4 at two a cycle, and few enough for 16 registers.
constexpr size_t kChains = 10;

// Returns the FLOP of `iterations` rounds. `*sink` keeps the work from being dropped.
double MultiplyAdd(size_t iterations, float* sink) {
  const hn::CappedTag<float, 16> d;
  const auto factor = hn::Set(d, 0.999f + *sink);
  const auto addend = hn::Set(d, 0.001f);
  hn::Vec<decltype(d)> chain[kChains];
  HWY_UNROLL(16)
  for (size_t i = 0; i < kChains; ++i) chain[i] = hn::Set(d, static_cast<float>(i));
  for (size_t n = 0; n < iterations; ++n) {
    HWY_UNROLL(16)
    for (size_t i = 0; i < kChains; ++i) chain[i] = hn::MulAdd(chain[i], factor, addend);
  }
  auto sum = hn::Zero(d);
  HWY_UNROLL(16)
  for (size_t i = 0; i < kChains; ++i) sum = hn::Add(sum, chain[i]);
  *sink = hn::ReduceSum(d, sum) * 0.0f;
  return 2.0 * static_cast<double>(iterations * kChains * hn::Lanes(d));
}

}  // namespace HWY_NAMESPACE

template <>
struct MultiplyAddOf<HWY_TARGET> {
  static constexpr MultiplyAddFn value = HWY_NAMESPACE::MultiplyAdd;
};

}  // namespace fusedffn
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fusedffn {
namespace {

using Clock = std::chrono::steady_clock;

double SecondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

template <size_t... kBit>
MultiplyAddFn FindMultiplyAdd(const char* target, std::index_sequence<kBit...>) {
  MultiplyAddFn found = nullptr;
  const auto consider = [&](int64_t bit, MultiplyAddFn function) {
    if (function != nullptr && std::strcmp(hwy::TargetName(bit), target) == 0) found = function;
  };
  (consider(int64_t{1} << kBit, MultiplyAddOf<(int64_t{1} << kBit)>::value), ...);
  return found;
}

// One round: work() -> amount of work, on every thread at once; the sum of what each did a second.
double RateOfRound(int threads, const std::function<double(int)>& work) {
  std::atomic<int> waiting{threads};
  std::vector<double> rates(static_cast<size_t>(threads));
  const auto run = [&](int thread) {
    --waiting;
    while (waiting != 0) std::this_thread::yield();
    const Clock::time_point start = Clock::now();
    const double amount = work(thread);
    rates[static_cast<size_t>(thread)] = amount / SecondsSince(start);
  };
  std::vector<std::thread> others;
  for (int thread = 1; thread < threads; ++thread) others.emplace_back(run, thread);
  run(0);
  for (std::thread& other : others) other.join();
  double sum = 0;
  for (const double rate : rates) sum += rate;
  return sum;
}

double BestRate(int threads, double seconds, const std::function<double(int)>& work) {
  double best = 0;
  const Clock::time_point start = Clock::now();
  do {
    best = std::max(best, RateOfRound(threads, work));
  } while (SecondsSince(start) < seconds);
  return best;
}

// Sums 64-bit words, a cache line at a time: eight sums, which every compiler keeps in registers. The
// hardware's prefetcher sees one plain stream; asking for lines 4 KB ahead took 1.15 times as long (Zen 4).
uint64_t ReadAll(const uint64_t* words, size_t count) {
  uint64_t sums[8] = {};
  for (size_t i = 0; i + 8 <= count; i += 8) {
    for (size_t j = 0; j < 8; ++j) sums[j] += words[i + j];
  }
  uint64_t sum = 0;
  for (const uint64_t part : sums) sum += part;
  return sum;
}

struct FreeMemory {
  void operator()(uint64_t* memory) const { std::free(memory); }
};

// On huge pages where the system gives them, as the packed weights are.
std::unique_ptr<uint64_t, FreeMemory> AllocateTouched(size_t bytes) {
  void* memory = nullptr;
  if (posix_memalign(&memory, size_t{2} << 20, bytes) != 0) throw std::bad_alloc();
#if defined(MADV_HUGEPAGE)
  madvise(memory, bytes, MADV_HUGEPAGE);
#endif
  std::memset(memory, 1, bytes);
  return std::unique_ptr<uint64_t, FreeMemory>(static_cast<uint64_t*>(memory));
}

}  // namespace

double ProbeFmaPeak(const char* target, int threads, double seconds) {
  const MultiplyAddFn multiply_add = FindMultiplyAdd(target, std::make_index_sequence<63>());
  if (multiply_add == nullptr) return 0;
  constexpr size_t kIterations = size_t{1} << 19;  // about 1 ms
  std::vector<float> sinks(static_cast<size_t>(threads) * 64);
  return BestRate(threads, seconds, [&](int thread) {
    return multiply_add(kIterations, &sinks[static_cast<size_t>(thread) * 64]);
  });
}

double ProbeReadBandwidth(int threads, double seconds, unsigned long bytes) {
  const size_t words = bytes / sizeof(uint64_t) / static_cast<size_t>(threads);
  const auto memory = AllocateTouched(words * static_cast<size_t>(threads) * sizeof(uint64_t));
  std::atomic<uint64_t> sink{0};
  return BestRate(threads, seconds, [&](int thread) {
    sink += ReadAll(memory.get() + words * static_cast<size_t>(thread), words);
    return static_cast<double>(words * sizeof(uint64_t));
  });
}

}  // namespace fusedffn
#endif  // HWY_ONCE

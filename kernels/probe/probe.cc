// Compiled once per target by Highway's foreach_target, as kernels/kernels.cc is.
#include "kernels/probe/probe.h"

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
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/probe/probe.cc"
#include "hwy/foreach_target.h"  // must come before highway.h
#include "hwy/highway.h"
#include "kernels/amx_gemm-inl.h"
#include "kernels/amx_tiles.h"
#include "kernels/cpu.h"
#include "kernels/mma-inl.h"
#include "kernels/probe/probe_targets.h"

HWY_BEFORE_NAMESPACE();
namespace fusedffn {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Chains enough for a latency of 4 at two a cycle or 10 at one, with some to spare, and few enough for 16
// registers: with 10, AVX2 gave 112.6 GFLOP/s of Zen 4's 118.2, and int8 620 Gop/s of Emerald Rapids' 716
// without AMX; with 14, int8 spills on AVX2.
constexpr size_t kChains = 12;

// The kernels' own arithmetic, in registers. A and B are the same all the time, and compilers must not
// notice.
template <class Mma>
double MultiplyAdd(size_t iterations, float* sink) {
  alignas(kLineBytes) typename Mma::B b_memory[hn::MaxLanes(D())];
  typename Mma::A a_memory;
  std::memset(b_memory, 0x3C, sizeof(b_memory));  // 0.01 as fp32 and bf16, 60 as int8
  std::memset(&a_memory, 0x3C, sizeof(a_memory));
  auto a = Mma::LoadA(&a_memory);
  const auto b = Mma::LoadB(b_memory, 0, 0, 1);
  VecSum<Mma> chain[kChains];
  HWY_UNROLL(16)
  for (size_t i = 0; i < kChains; ++i) {
    chain[i] =
        hn::Set(hn::DFromV<VecSum<Mma>>(), static_cast<typename Mma::Sum>(static_cast<float>(i) + *sink));
  }
  for (size_t n = 0; n < iterations; ++n) {
    HWY_UNROLL(16)
    for (size_t i = 0; i < kChains; ++i) {
      Opaque(a);
      chain[i] = Mma::MulAdd(a, b, chain[i]);
    }
  }
  HWY_UNROLL(16)
  for (size_t i = 1; i < kChains; ++i) chain[0] = hn::Add(chain[0], chain[i]);
  *sink = static_cast<float>(hn::GetLane(chain[0])) * 0.0f;
  return 2.0 * static_cast<double>(iterations * kChains * hn::Lanes(D()) * Mma::kStep);
}

#if FUSEDFFN_HAVE_BF16_DOT
constexpr ArithmeticFn kBF16Dot = MultiplyAdd<BF16Dot>;
#else
constexpr ArithmeticFn kBF16Dot = nullptr;
#endif

// By Precision; bf16 that is widened is multiplied as fp32.
constexpr ArithmeticFns kArithmetic = {{MultiplyAdd<F32>, MultiplyAdd<F32>, kBF16Dot, MultiplyAdd<Int8>}};

#if FUSEDFFN_HAVE_AMX
// The same in tile registers. With zeros in them a core's clock is higher than with what kernels multiply:
// 3090 instead of 2458 GFLOP/s (Emerald Rapids).
template <class Mma>
double MultiplyAddAmx(size_t iterations, float* /*sink*/) {
  constexpr size_t kSums = 4;
  HWY_ALIGN uint8_t memory[kAmxRows * kLineBytes];
  for (size_t i = 0; i < sizeof(memory); ++i) memory[i] = static_cast<uint8_t>(i % 2 ? 0x3C : i * 11);
  if (AskForAmx() != nullptr) return 0;
  EnterAmx<AmxTiles>();
  ConfigureAmx<AmxTiles>(kAmxRows);
  AmxTiles::Load<kAmxA>(memory, kLineBytes);
  AmxTiles::Load<kAmxB>(memory, kLineBytes);
  const size_t rounds = iterations / 64;  // each of 64 times the work or more: about 0.3 ms in all
  for (size_t n = 0; n < rounds; ++n) {
    ForEach(std::make_index_sequence<kSums>(),
            [](auto c) HWY_ATTR { Mma::template Multiply<c, kAmxA, kAmxB>(); });
  }
  LeaveAmx<AmxTiles>();
  return 2.0 * static_cast<double>(rounds * kSums * kAmxRows * kAmxSteps * hn::Lanes(D()) * Mma::kStep);
}

constexpr ArithmeticFns kAmxArithmetic = {{MultiplyAdd<F32>, MultiplyAdd<F32>,
                                           MultiplyAddAmx<BF16Tiles<AmxTiles>>,
                                           MultiplyAddAmx<Int8Tiles<AmxTiles>>}};
#endif

}  // namespace HWY_NAMESPACE

template <>
struct ArithmeticOf<HWY_TARGET, false> {
  static constexpr ArithmeticFns value = HWY_NAMESPACE::kArithmetic;
};

#if FUSEDFFN_HAVE_AMX
template <>
struct ArithmeticOf<HWY_TARGET, true> {
  static constexpr ArithmeticFns value = HWY_NAMESPACE::kAmxArithmetic;
};
#endif

}  // namespace fusedffn
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fusedffn {
namespace {

using Clock = std::chrono::steady_clock;

double SecondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Not by AllKernels(), which a shared library does not export.
template <size_t... kBit>
ArithmeticFns FindArithmetic(const char* target, std::index_sequence<kBit...>) {
  ArithmeticFns found = {};
  const auto consider = [&](const char* name, const ArithmeticFns& functions) {
    if (functions.of[0] != nullptr && std::strcmp(name, target) == 0) found = functions;
  };
  (consider(hwy::TargetName(int64_t{1} << kBit), ArithmeticOf<(int64_t{1} << kBit), false>::value), ...);
  (consider("AVX3_AMX", ArithmeticOf<(int64_t{1} << kBit), true>::value), ...);
  return found;
}

ArithmeticFns FindArithmetic(const char* target) {
  return FindArithmetic(target, std::make_index_sequence<63>());
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
  try {
    for (int thread = 1; thread < threads; ++thread) others.emplace_back(run, thread);
  } catch (const std::system_error&) {  // those that there are do it, as in a call
    waiting -= threads - 1 - static_cast<int>(others.size());
  }
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

double BestArithmeticRate(ArithmeticFn function, int threads, double seconds) {
  if (function == nullptr) return 0;
  constexpr size_t kIterations = size_t{1} << 19;  // about 1 ms
  std::vector<float> sinks(static_cast<size_t>(threads) * 64);
  return BestRate(threads, seconds, [&](int thread) {
    return function(kIterations, &sinks[static_cast<size_t>(thread) * 64]);
  });
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

double ProbePeak(const char* target, Precision precision, int threads, double seconds) {
  return BestArithmeticRate(FindArithmetic(target).of[static_cast<size_t>(precision)], threads, seconds);
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

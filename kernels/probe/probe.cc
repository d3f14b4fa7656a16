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
#include <type_traits>
#include <utility>
#include <vector>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/probe/probe.cc"
#include "hwy/foreach_target.h"  // must come before highway.h
#include "hwy/highway.h"
#include "kernels/amx_gemm-inl.h"
#include "kernels/amx_tiles.h"
#include "kernels/cpu.h"
#include "kernels/microkernel-inl.h"
#include "kernels/mma-inl.h"
#include "kernels/probe/probe_targets.h"
#include "kernels/tuning-inl.h"

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

// Which random bits of a 32-bit word stay, which ones are set, and which ones make up the sign, so that it
// holds numbers like a run's: of both signs with all of a mantissa, neither 0 nor denormal nor infinite; or
// any integers.
struct NumberBits {
  uint32_t random, set, sign;
};
template <class Mma>
constexpr NumberBits BitsOfB() {
  if (std::is_same_v<typename Mma::Sum, int32_t>) return {~0u, 0, ~0u};
  return Mma::kStep == 1 ? NumberBits{0x81FFFFFF, 0x3E000000, 0x80000000}   // fp32: 1/8 to 2
                         : NumberBits{0x81FF81FF, 0x3E003E00, 0x80008000};  // the same in bf16, twice
}
template <class Mma>
constexpr NumberBits BitsOfA() {
  const bool is_wide = std::is_same_v<typename Mma::Sum, int32_t> && Mma::kStep == 2;
  return is_wide ? NumberBits{0x00FF00FF, 0, 0} : BitsOfB<Mma>();
}

// For 2 * half steps, a step of B being b_bytes. The second half of B is the first one with the other sign,
// so that sums stay as small as a run's, however often they go round.
template <class Mma>
void FillOperands(size_t rows, size_t stride, size_t half, size_t b_bytes, void* a, void* b) {
  constexpr NumberBits kA = BitsOfA<Mma>(), kB = BitsOfB<Mma>();
  uint32_t state = 1;
  const auto random = [&state](const NumberBits& bits) {
    state = state * 1664525 + 1013904223;
    return ((state ^ state >> 15) & bits.random) | bits.set;
  };
  const auto put = [](void* array, size_t word, uint32_t value) {
    std::memcpy(static_cast<char*>(array) + word * sizeof(value), &value, sizeof(value));
  };
  for (size_t i = 0; i < rows * half; ++i) {
    const size_t at = i / half * stride + i % half;
    const uint32_t value = random(kA);
    put(a, at, value);
    put(a, at + half, value);
  }
  const size_t words = half * b_bytes / sizeof(uint32_t);
  for (size_t i = 0; i < words; ++i) {
    const uint32_t value = random(kB);
    put(b, i, value);
    put(b, i + words, value ^ kB.sign);
  }
}

// The kernels' tile, round and round over A and B that fit in an L1 cache of 32 KB together. See
// bench/results/tuning.md, ProbeTile.
template <class Mma>
double MultiplyTile(size_t iterations, float* sink) {
  constexpr size_t kSteps = 64, kSums = kTileRows * kTileVecs;
  alignas(kLineBytes) typename Mma::A a[kTileRows * kAStride];
  alignas(kLineBytes) typename Mma::B b[kSteps * kNr];
  static_assert(kTileRows * kSteps * sizeof(*a) + sizeof(b) <= 24 << 10);
  FillOperands<Mma>(kTileRows, kAStride, kSteps / 2, kNr * sizeof(*b), a, b);
  const hn::DFromV<VecSum<Mma>> d;
  VecSum<Mma> sums[kTileRows][kTileVecs];
  HWY_UNROLL(16)
  for (auto& row : sums) {
    HWY_UNROLL(8)
    for (auto& sum : row) sum = hn::Zero(d);
  }
  const size_t rounds = iterations * kChains / (kSteps * kSums);  // as many multiply-adds as above
  for (size_t n = 0; n < rounds; ++n) {
    for (size_t step = 0; step < kSteps; step += kUnroll) {
      Steps<Mma, 1, kUnroll, 0, false>(a + step, b + step * kNr, 0, sums, nullptr);
    }
  }
  alignas(kLineBytes) typename Mma::Sum c[kTileRows][kNr];
  HWY_UNROLL(16)
  for (size_t r = 0; r < kTileRows; ++r) {
    HWY_UNROLL(8)
    for (size_t v = 0; v < kTileVecs; ++v) hn::Store(sums[r][v], d, c[r] + v * hn::Lanes(d));
  }
  *sink = static_cast<float>(c[rounds % kTileRows][0]) * 0.0f;
  return 2.0 * static_cast<double>(rounds * kSteps * kSums * hn::Lanes(D()) * Mma::kStep);
}

#if FUSEDFFN_HAVE_BF16_DOT
constexpr ArithmeticFn kBF16Dot = MultiplyAdd<BF16Dot>, kTileOfBF16Dot = MultiplyTile<BF16Dot>;
#else
constexpr ArithmeticFn kBF16Dot = nullptr, kTileOfBF16Dot = nullptr;
#endif

// By Precision; bf16 that is widened is multiplied as fp32.
constexpr ArithmeticFns kArithmetic = {
    {MultiplyAdd<F32>, MultiplyAdd<F32>, kBF16Dot, MultiplyAdd<Int8>},
    {MultiplyTile<F32>, MultiplyTile<F32>, kTileOfBF16Dot, MultiplyTile<Int8>}};

#if FUSEDFFN_HAVE_AMX
// Of an element of A in pieces, all of its products count as one.
template <class Mma>
double AmxOperations(size_t products) {
  return 2.0 * static_cast<double>(products * kAmxRows * kAmxSteps * kAmxColumns * Mma::kStep) /
         static_cast<double>(Mma::kPieces);
}

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
  return AmxOperations<Mma>(rounds * kSums);
}

// The kernels' tile of 2 x 2 registers: at most 16 KB of A and as much of B. A tile store each round keeps
// the path of stores awake, as the kernels do.
template <class Mma>
double MultiplyTileAmx(size_t iterations, float* /*sink*/) {
  constexpr size_t kSteps = Mma::kPieces == 1 ? 128 : 32, kStride = Mma::kRowStride;
  HWY_ALIGN uint32_t a[kAmxMr * kStride];
  HWY_ALIGN uint32_t b[kSteps * kAmxNr];
  HWY_ALIGN uint32_t nowhere[kAmxRows * kAmxSteps];
  static_assert(kAmxMr * kSteps * Mma::kPieces * sizeof(*a) + sizeof(b) <= 32 << 10);
  for (size_t piece = 0; piece < Mma::kPieces; ++piece) {
    FillOperands<Mma>(kAmxMr, kStride, kSteps / 2, kAmxNr * sizeof(*b), a + piece * kPieceStride, b);
  }
  if (AskForAmx() != nullptr) return 0;
  EnterAmx<AmxTiles>();
  ConfigureAmx<AmxTiles>(kAmxRows);
  const size_t rounds = iterations / 512;  // as many products as above
  for (size_t n = 0; n < rounds; ++n) {
    for (size_t step = 0; step < kSteps; step += kAmxSteps) {
      AmxMultiply<Mma, 2, 2, Mma::kPieces>(a + step, kStride, kAmxRows, b + step * kAmxNr);
    }
    AmxTiles::Store<kAmxA>(nowhere, kLineBytes);
  }
  LeaveAmx<AmxTiles>();
  return 2.0 * static_cast<double>(rounds * kSteps * kAmxMr * kAmxNr * Mma::kStep);
}

constexpr ArithmeticFns kAmxArithmetic = {
    {MultiplyAdd<F32>, MultiplyAdd<F32>, MultiplyAddAmx<BF16Tiles<AmxTiles>>,
     MultiplyAddAmx<Int8Tiles<AmxTiles>>, MultiplyAddAmx<BF16x3Tiles<AmxTiles>>},
    {MultiplyTile<F32>, MultiplyTile<F32>, MultiplyTileAmx<BF16Tiles<AmxTiles>>,
     MultiplyTileAmx<Int8Tiles<AmxTiles>>, MultiplyTileAmx<BF16x3Tiles<AmxTiles>>}};
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
    if (functions.in_registers[0] != nullptr && std::strcmp(name, target) == 0) found = functions;
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
  const ArithmeticFns functions = FindArithmetic(target);
  return BestArithmeticRate(functions.in_registers[static_cast<size_t>(precision)], threads, seconds);
}

double ProbeTile(const char* target, Precision precision, int threads, double seconds) {
  const ArithmeticFns functions = FindArithmetic(target);
  return BestArithmeticRate(functions.of_tile[static_cast<size_t>(precision)], threads, seconds);
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

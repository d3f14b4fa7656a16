// The block end to end, for every target that runs here:
//
//   ffn/<target>/<dtype>/<tokens>/<threads>[/cold]                     CLIP-L's
//   gated/<dim>x<hidden>/<target>/<dtype>/<tokens>/<threads>[/cold]    kGatedShapes
//   experts/<target>/<dtype>/<tokens>/<threads>                        kExperts, one layer
//
//   warm  one layer again and again: its weights stay in whatever cache is large enough
//   cold  many layers in turn (kColdLayers): every weight comes from memory, as in a model
//
// GFLOP/s and the time are means. best_ms, %peak (of the FMA peak of that target and that many threads),
// %tile (of its tile in the L1 cache) and %bandwidth (of the read bandwidth, for few tokens) are of the best
// iteration, against the best probe so far: probes run beside the benchmarks, so a busy machine slows both.
//
//   ffn_bench --benchmark_filter='ffn/AVX3/f32/257/1/real' --benchmark_min_time=2
#include <benchmark/benchmark.h>
#include <tbb/version.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <limits>
#include <map>
#include <numeric>
#include <random>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "bench/bf16.h"
#include "bench/commit.h"
#include "bench/workload.h"
#include "hwy/base.h"
#include "kernels/probe/probe.h"

namespace fusedffn::bench {
namespace {

struct Case {
  Shape shape;
  std::string target;
  Precision precision;
  size_t tokens = 0;
  int threads = 0;
  bool cold = false;
  size_t top = 0;  // routed experts for each token; 0: one block for all

  std::string Name() const {
    const std::string gated = "gated/" + std::to_string(shape.dim) + "x" + std::to_string(shape.hidden);
    const std::string block = top != 0 ? "experts" : shape.gated ? gated : "ffn";
    return block + "/" + target + "/" + PrecisionName(precision) + "/" + std::to_string(tokens) + "/" +
           std::to_string(threads) + (cold ? "/cold" : "");
  }
};

auto Key(const Shape& shape) { return std::tuple(shape.dim, shape.hidden, shape.out, shape.gated); }

// Of one shape at a time.
const Block& TheBlock(const Shape& shape) {
  static Block block;
  // In bf16, so that every precision computes the same.
  if (Key(block.shape) != Key(shape)) block = InBf16(RandomBlock(shape, 1));
  return block;
}

size_t LayerCount(const Case& c) {
  if (c.top != 0) return kExperts;
  const size_t weights = WeightCount(c.shape);
  return c.cold ? (kColdLayers * WeightCount(kClipL) + weights - 1) / weights : 1;
}

// Layers packed for one shape, target and precision at a time: together they would take gigabytes. Empty on
// failure, with `error`.
const std::vector<PackedFfn>& Layers(const Case& c, size_t count, std::string* error) {
  static std::vector<PackedFfn> layers;
  const auto fits = [&c](const PackedFfn& ffn) {
    return Key(c.shape) == Key(ffn.shape()) && c.target == ffn.target() && c.precision == ffn.precision();
  };
  if (!layers.empty() && !fits(layers[0])) layers.clear();
  PackOptions options;
  options.target = c.target.c_str();
  options.precision = c.precision;
  while (error->empty() && layers.size() < count) {
    PackedFfn ffn;
    const Status status = Pack(WeightsOf(TheBlock(c.shape)), options, &ffn);
    if (!status.ok()) *error = status.message();
    if (status.ok() && c.target != ffn.target()) *error = "packed for " + std::string(ffn.target());
    if (error->empty()) layers.push_back(std::move(ffn));
  }
  return layers;
}

// Experts for each token at random, others in each of some calls, so that weights come from memory. All
// experts have the same weights, and count 1 / top each: so the sum is what one of them gives.
class Choices {
 public:
  explicit Choices(const Case& c)
      : top_(c.top), each_(c.tokens * c.top), weights_(each_, 1 / static_cast<float>(c.top)) {
    std::mt19937 generator(1);
    std::vector<int32_t> all(kExperts);
    std::iota(all.begin(), all.end(), 0);
    for (size_t t = 0; t < kCalls * c.tokens; ++t) {
      std::shuffle(all.begin(), all.end(), generator);
      ids_.insert(ids_.end(), all.begin(), all.begin() + static_cast<ptrdiff_t>(top_));
    }
  }

  ExpertChoices of(size_t call) const { return {&ids_[call % kCalls * each_], weights_.data(), top_, {}}; }

  // Experts that any token chose, in the mean.
  double chosen() const {
    size_t sum = 0;
    for (size_t call = 0; call < kCalls; ++call) {
      sum += std::set<int32_t>(of(call).ids, of(call).ids + each_).size();
    }
    return static_cast<double>(sum) / kCalls;
  }

 private:
  static constexpr size_t kCalls = 20;
  size_t top_, each_;
  std::vector<int32_t> ids_;
  std::vector<float> weights_;
};

// The best rates seen so far. Every case adds a probe of its own.
struct Limits {
  double flops = 0, tile_flops = 0, bytes_per_s = 0;
};

const Limits& ProbeLimits(const Case& c) {
  static std::map<std::tuple<std::string, Precision, int>, Limits> seen;
  static std::set<std::string> probed;
  Limits& limits = seen[{c.target, c.precision, c.threads}];
  if (!probed.insert(c.Name()).second) return limits;
  const char* target = c.target.c_str();
  limits.flops = std::max(limits.flops, ProbePeak(target, c.precision, c.threads));
  limits.tile_flops = std::max(limits.tile_flops, ProbeTile(target, c.precision, c.threads));
  limits.bytes_per_s = std::max(limits.bytes_per_s, ProbeReadBandwidth(c.threads, 0.2));
  return limits;
}

double MostErrorOf(Precision precision) {
  if (precision == Precision::kInt8) return kMaxRelativeErrorInt8;
  return precision == Precision::kBF16Dot ? kMaxRelativeErrorBf16 : kMaxRelativeError;
}

size_t WeightBytes(Precision precision) {
  if (precision == Precision::kInt8) return 1;
  return precision == Precision::kF32 ? 4 : 2;
}

// Runs once and compares with the oracle; empty if it agrees.
template <class Call>
std::string CheckOnce(const Case& c, const Call& call, const Floats& x, Floats* y) {
  static std::set<std::string> checked;
  Case warm = c;
  warm.cold = false;
  if (checked.count(warm.Name()) != 0) return "";
  std::fill_n(y->data(), y->size(), std::numeric_limits<float>::quiet_NaN());
  const Status status = call(0);
  if (!status.ok()) return status.message();
  const double error = RelativeError(TheBlock(c.shape), x.data(), c.tokens, y->data());
  if (!(error <= MostErrorOf(c.precision))) return "wrong result: relative error " + std::to_string(error);
  checked.insert(warm.Name());
  return "";
}

// What has to be read and written at least once.
double BytesOf(const Case& c) {
  const size_t weight_bytes = WeightBytes(c.precision);
  const double bytes = Bytes(c.shape, c.tokens, weight_bytes);
  if (c.top == 0) return bytes;
  return bytes + (Choices(c).chosen() - 1) * static_cast<double>(weight_bytes * WeightCount(c.shape));
}

void SetCounters(const Case& c, double best_seconds, benchmark::State* state) {
  const Limits& limits = ProbeLimits(c);
  const double flops = Flops(c.shape, c.tokens * std::max<size_t>(c.top, 1));
  auto& counters = state->counters;
  counters["GFLOP/s"] = benchmark::Counter(1e-9 * flops * static_cast<double>(state->iterations()),
                                           benchmark::Counter::kIsRate);
  counters["best_ms"] = 1e3 * best_seconds;
  counters["%peak"] = 100 * flops / best_seconds / limits.flops;
  counters["%tile"] = 100 * flops / best_seconds / limits.tile_flops;
  constexpr size_t kMemoryBound = 32;  // tokens up to which the bytes can be the limit
  if (c.tokens <= kMemoryBound) {
    counters["%bandwidth"] = 100 * BytesOf(c) / best_seconds / limits.bytes_per_s;
  }
}

void RunCase(const Case& c, benchmark::State& state) {
  std::string error;
  const size_t count = LayerCount(c);
  const std::vector<PackedFfn>& layers = Layers(c, count, &error);
  const Floats x = RandomTokens(c.shape, c.tokens, 11);
  Floats y(c.tokens * c.shape.out);
  const Choices choices(c);
  const auto call = [&](size_t i) {
    if (c.top != 0) {
      return RunExperts(layers.data(), count, choices.of(i), x.data(), c.shape.dim, c.tokens, y.data(),
                        c.shape.out, {c.threads});
    }
    RunOptions options;
    options.threads = c.threads;
    return Run(layers[i % count], x.data(), c.shape.dim, c.tokens, y.data(), c.shape.out, options);
  };
  if (error.empty()) error = CheckOnce(c, call, x, &y);
  if (!error.empty()) return state.SkipWithError(error.c_str());

  using Clock = std::chrono::steady_clock;
  Clock::duration best = Clock::duration::max();
  size_t next = 0;
  for (auto _ : state) {
    const auto start = Clock::now();
    const Status status = call(next++);
    best = std::min(best, Clock::now() - start);
    if (!status.ok()) return state.SkipWithError(status.message());
  }
  SetCounters(c, std::chrono::duration<double>(best).count(), &state);
}

// `one`: shape, target, precision, top.
template <class Tokens>
void Register(const Case& one, const Tokens& token_grid) {
  for (const bool cold : {false, true}) {
    if (cold && one.top != 0) continue;  // as they always are
    for (const size_t tokens : token_grid) {
      for (const int threads : std::set<int>{1, std::min(2, DefaultThreads()), DefaultThreads()}) {
        Case c = one;
        c.tokens = tokens;
        c.threads = threads;
        c.cold = cold;
        benchmark::RegisterBenchmark(c.Name().c_str(), [c](benchmark::State& state) { RunCase(c, state); })
            ->UseRealTime()
            ->Unit(benchmark::kMillisecond);
      }
    }
  }
}

void RegisterAll() {
  size_t target_count = 0;
  const Target* targets = Targets(&target_count);
  for (size_t i = 0; i < target_count; ++i) {
    if (!targets[i].supported) continue;
    for (size_t p = 0; p < kPrecisionCount; ++p) {
      const auto precision = static_cast<Precision>(p);
      PackOptions options;
      options.target = targets[i].name;
      options.precision = precision;
      PackedFfn smallest;  // not every target has every precision
      if (PackedFfn::Create({1, 1, 1}, Activation::kQuickGelu, options, &smallest).ok()) {
        Register({kClipL, targets[i].name, precision}, kTokenGrid);
        for (const Shape& shape : kGatedShapes) {
          Register({shape, targets[i].name, precision}, kGatedTokenGrid);
        }
        Register({kExpert, targets[i].name, precision, 0, 0, false, kTopExperts}, kGatedTokenGrid);
      }
    }
  }
}

std::string CpuName() {
  std::ifstream cpuinfo("/proc/cpuinfo");
  for (std::string line; std::getline(cpuinfo, line);) {
    if (line.rfind("model name", 0) == 0) return line.substr(line.find(':') + 2);
  }
  return "unknown";
}

void AddContext() {
  benchmark::AddCustomContext("cpu", CpuName());
  benchmark::AddCustomContext("compiler", FUSEDFFN_COMPILER);
  benchmark::AddCustomContext("highway", std::to_string(HWY_MAJOR) + "." + std::to_string(HWY_MINOR) + "." +
                                             std::to_string(HWY_PATCH));
  benchmark::AddCustomContext("tbb", TBB_runtime_version());
  benchmark::AddCustomContext("fusedffn", FUSEDFFN_VERSION);
  benchmark::AddCustomContext("commit", kCommit);
}

}  // namespace
}  // namespace fusedffn::bench

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  fusedffn::bench::AddContext();
  fusedffn::bench::RegisterAll();
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
}

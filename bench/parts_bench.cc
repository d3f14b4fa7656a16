// The block's parts, each alone on one thread: where a slow ffn_bench comes from.
//
//   pack/<target>                 Pack() of one block, allocation included
//   gemm_block/<target>/<rows>    one panel and one chunk of k, all in cache; %peak is what the tiles lose,
//   %tile
//                                 what they lose against one that neither loads nor stores C
//   linear/<target>/<precision>/<in>x<out>
//                                 a PackedLinear of 257 tokens: fc1 with its activation (1024x4096), and a
//                                 tower's other projections, qkv (1024x3072) and out (1024x1024)
//   activation/<name>/<target>    an activation on an array in cache
//   layer_norm/<target>, rms_norm/<target>   of one of CLIP-L's tokens, in cache
//   fork_join/<threads>           overhead of handing work to all threads and meeting again, back to back
//   idle/<threads>                CPU time of all threads in the 20 ms that begin 2 ms after a fork-join
#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <ctime>
#include <set>
#include <string>
#include <thread>
#include <utility>

#include "bench/workload.h"
#include "kernels/kernels.h"
#include "kernels/probe/probe.h"
#include "src/system/parallel.h"

namespace fusedffn::bench {
namespace {

void PackBlock(const std::string& target, benchmark::State& state) {
  static const Block block = RandomBlock(kClipL, 1);
  PackOptions options;
  options.target = target.c_str();
  for (auto _ : state) {
    PackedFfn ffn;
    const Status status = Pack(WeightsOf(block), options, &ffn);
    if (!status.ok()) return state.SkipWithError(status.message());
  }
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations()) *
                          static_cast<int64_t>(4 * (block.w1.size() + block.w2.size())));
}

// Of `flops` in each iteration, on one thread; `ceilings` are those of ProbePeak() and ProbeTile().
void SetRates(double flops, std::pair<double, double> ceilings, benchmark::State* state) {
  const double all = flops * static_cast<double>(state->iterations());
  const auto set = [&](const char* name, double value) {
    state->counters[name] = benchmark::Counter(value, benchmark::Counter::kIsRate);
  };
  set("GFLOP/s", 1e-9 * all);
  set("%peak", 100 * all / ceilings.first);
  set("%tile", 100 * all / ceilings.second);
}

std::pair<double, double> Ceilings(const char* target, Precision precision) {
  return {ProbePeak(target, precision, 1, 0.1), ProbeTile(target, precision, 1, 0.1)};
}

void OneGemmBlock(const Kernels& kernels, size_t rows, benchmark::State& state) {
  const GemmKernel& gemm = *kernels.Gemm(Precision::kF32);
  const size_t nr = gemm.b.nr, k = gemm.a.kc;
  const Floats a = RandomFloats(rows * gemm.a.row_bytes / sizeof(float), 1.0f, 1);
  Floats panel = RandomFloats(k * nr, 0.05f, 2), bias = RandomFloats(nr, 0.1f, 3), c(rows * nr);
  PackedB b = {{gemm.b, nr, k}};
  b.data = reinterpret_cast<unsigned char*>(panel.data());
  b.bias = bias.data();
  GemmBlock block = {};
  block.m = rows;
  block.n = nr;
  block.k = k;
  block.a = a.data();
  block.a_chunk = k;
  block.a_chunk_bytes = rows * gemm.a.row_bytes;
  block.b = &b;
  block.c = c.data();
  block.ldc = nr;
  const auto ceilings = Ceilings(kernels.name, Precision::kF32);
  for (auto _ : state) {
    gemm.run(block);
    benchmark::ClobberMemory();
  }
  SetRates(2.0 * static_cast<double>(rows * nr * k), ceilings, &state);
}

void RunLinear(const std::string& target, Precision precision, size_t out, benchmark::State& state) {
  const size_t in = kClipL.dim, tokens = 257;
  const Floats weight = RandomFloats(out * in, 0.05f, 1), bias = RandomFloats(out, 0.1f, 2);
  const Floats x = RandomFloats(tokens * in, 1.0f, 3);
  Floats y(tokens * out);
  PackOptions options;
  options.target = target.c_str();
  options.precision = precision;
  RunOptions run;
  run.threads = 1;
  PackedLinear linear;
  const auto activation = out == kClipL.hidden ? Activation::kQuickGelu : Activation::kIdentity;
  Status status = Pack({weight.data(), bias.data()}, in, out, activation, options, &linear);
  const auto ceilings = Ceilings(target.c_str(), precision);
  for (auto _ : state) {
    if (status.ok()) status = Run(linear, x.data(), in, tokens, y.data(), out, run);
    if (!status.ok()) return state.SkipWithError(status.message());
  }
  SetRates(2.0 * static_cast<double>(tokens * in * out), ceilings, &state);
}

void ActivateArray(MapFn activation, benchmark::State& state) {
  const Floats in = RandomFloats(2048, 1.0f, 1);
  Floats out(in.size());
  for (auto _ : state) {
    activation(in.data(), in.size(), out.data());
    benchmark::ClobberMemory();
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * in.size()));
}

void NormalizeRow(const NormFns& norm, NormKind kind, benchmark::State& state) {
  const Floats x = RandomFloats(kClipL.dim, 1.0f, 1);
  const Floats weight = RandomFloats(kClipL.dim, 1.0f, 2), bias = RandomFloats(kClipL.dim, 0.1f, 3);
  Floats out(kClipL.dim);
  for (auto _ : state) {
    const RowStats stats = norm.stats[static_cast<size_t>(kind)](x.data(), x.size(), 1e-5);
    norm.normalize[static_cast<size_t>(DType::kF32)](x.data(), x.size(), stats, weight.data(), 0, bias.data(),
                                                     out.data());
    benchmark::ClobberMemory();
  }
}

void RegisterTarget(const Kernels& kernels) {
  const std::string target = kernels.name;
  benchmark::RegisterBenchmark(("pack/" + target).c_str(), [target](benchmark::State& state) {
    PackBlock(target, state);
  })->Unit(benchmark::kMillisecond);
  const size_t mr = kernels.Gemm(Precision::kF32)->mr;
  for (const size_t rows : {size_t{1}, mr, 2 * mr, size_t{64}, size_t{130}}) {
    benchmark::RegisterBenchmark(
        ("gemm_block/" + target + "/" + std::to_string(rows)).c_str(),
        [&kernels, rows](benchmark::State& state) { OneGemmBlock(kernels, rows, state); });
  }
  for (size_t i = 0; i < kPrecisionCount; ++i) {
    const auto precision = static_cast<Precision>(i);
    if (kernels.Gemm(precision) == nullptr) continue;
    for (const size_t out : {kClipL.hidden, size_t{3072}, kClipL.out}) {
      const std::string name = "linear/" + target + "/" + PrecisionName(precision) + "/1024x";
      benchmark::RegisterBenchmark((name + std::to_string(out)).c_str(), [target, precision,
                                                                          out](benchmark::State& state) {
        RunLinear(target, precision, out, state);
      })->Unit(benchmark::kMillisecond);
    }
  }
  for (size_t i = 0; i < kActivationCount; ++i) {
    const std::string name = ActivationName(static_cast<Activation>(i));
    const MapFn map = kernels.ops.activations[i].map;
    benchmark::RegisterBenchmark(("activation/" + name + "/" + target).c_str(),
                                 [map](benchmark::State& state) { ActivateArray(map, state); });
  }
  for (const auto& [name, kind] :
       {std::pair("layer_norm/", NormKind::kLayerNorm), std::pair("rms_norm/", NormKind::kRmsNorm)}) {
    benchmark::RegisterBenchmark((name + target).c_str(), [&kernels, kind = kind](benchmark::State& state) {
      NormalizeRow(kernels.ops.norm[static_cast<size_t>(DType::kF32)], kind, state);
    });
  }
}

// Bodies of 20 us: shorter ones are done by the caller alone before any worker has come.
void ForkJoin(int threads, benchmark::State& state) {
  using Clock = std::chrono::steady_clock;
  constexpr auto kBody = std::chrono::microseconds(20);
  const auto start = Clock::now();
  for (auto _ : state) {
    ParallelFor(Team{static_cast<size_t>(threads)}, static_cast<size_t>(threads), [&](size_t) {
      for (const auto end = Clock::now() + kBody; Clock::now() < end;) {
      }
    });
  }
  const std::chrono::duration<double, std::micro> total = Clock::now() - start;
  state.counters["overhead_us"] = total.count() / static_cast<double>(state.iterations()) -
                                  std::chrono::duration<double, std::micro>(kBody).count();
}

double ProcessCpuSeconds() {
  timespec time = {};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

void IdleCpu(int threads, benchmark::State& state) {
  double seconds = 0;
  for (auto _ : state) {
    ParallelFor(Team{static_cast<size_t>(threads)}, static_cast<size_t>(threads), [](size_t) {});
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    const double start = ProcessCpuSeconds();
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    seconds += ProcessCpuSeconds() - start;
  }
  state.counters["cpu_us"] = 1e6 * seconds / static_cast<double>(state.iterations());
}

void RegisterAll() {
  const KernelList& all = AllKernels();
  for (size_t i = 0; i < all.count; ++i) {
    if (all.kernels[i].supported()) RegisterTarget(all.kernels[i]);
  }
  for (const int threads : std::set<int>{2, std::max(2, DefaultThreads())}) {
    const std::string suffix = "/" + std::to_string(threads);
    benchmark::RegisterBenchmark(("fork_join" + suffix).c_str(), [threads](benchmark::State& state) {
      ForkJoin(threads, state);
    })->UseRealTime();
    benchmark::RegisterBenchmark(("idle" + suffix).c_str(),
                                 [threads](benchmark::State& state) { IdleCpu(threads, state); })
        ->UseRealTime()
        ->Unit(benchmark::kMillisecond)
        ->Iterations(50);
  }
}

}  // namespace
}  // namespace fusedffn::bench

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  fusedffn::bench::RegisterAll();
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
}

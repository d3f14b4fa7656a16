// Compiled once. Describe(): a call's plan in words.
#include <cstdarg>
#include <cstdio>
#include <cstring>

#include "fusedffn/fusedffn.h"
#include "kernels/cpu.h"
#include "kernels/kernels.h"
#include "src/check.h"
#include "src/environment.h"
#include "src/execute.h"
#include "src/packed_block.h"
#include "src/system/float_environment.h"
#include "src/targets.h"

namespace fusedffn {
inline namespace v0_2 {
namespace {

[[gnu::format(printf, 2, 3)]] void Add(Description* to, const char* format, ...) {
  const size_t length = std::strlen(to->text);
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(to->text + length, sizeof(to->text) - length, format, arguments);
  va_end(arguments);
}

double Megabytes(size_t bytes) { return static_cast<double>(bytes) / 1e6; }

// Why this block does not use AMX; null if it does.
const char* WhyNoAmx(const PackedBlock& block) {
  if (block.gemm->enter != nullptr) return nullptr;
  const Kernels* amx = nullptr;
  for (size_t i = 0; i < AllKernels().count; ++i) {
    if (AllKernels().kernels[i].missing != nullptr) amx = &AllKernels().kernels[i];
  }
  if (amx == nullptr) return "not compiled in";
  const GemmKernel* const gemm = amx->Gemm(block.gemm->precision);
  if (gemm == nullptr || gemm->enter == nullptr)
    return "not for this precision; bf16-dot, bf16-x3 and int8 can";
  if (const char* reason = AmxIsMissing()) return reason;
  if (!amx->supported()) return "this CPU lacks the vector instructions that go with it";
  if (const char* reason = AmxRefusal()) return reason;
  return "these weights are packed for another target";
}

void AddWeights(Description* to, const PackedBlock& block) {
  Add(to, "weights  %.2f MB packed\n", Megabytes(PackedBytes(block)));
  const size_t denormals = Denormals(block);
  if (denormals == 0) return;
  if (block.gemm->precision == Precision::kBF16x3) {
    Add(to, "note     %zu weights are denormal, which AMX takes for zeros; bf16 does not\n", denormals);
    return;
  }
  Add(to, "note     %zu weights are denormal, which CPUs are slow with: see flush_denormals\n", denormals);
}

void AddThreads(Description* to, const RunOptions& options, const Team& team) {
  const char* source = "by default";
  if (options.threads != 0) source = "as asked";
  if (options.executor.parallel_for != nullptr) source = "of the executor";
  Add(to, "threads  %zu %s\n", team.threads, source);
}

void AddPlan(Description* to, const PackedBlock& block, const Plan& plan) {
  if (plan.row_parallel) {
    Add(to, "plan     row parallel: %zu workers take %zu blocks of up to %zu rows through all layers\n",
        plan.workers, plan.tasks, plan.mc);
    return;
  }
  Add(to, "plan     panel parallel: %zu workers take %zu stretches of each layer's panels of %zu columns%s\n",
      plan.workers, plan.tasks, block.gemm->b.nr, plan.panels == 2 ? ", two at once" : "");
}

void AddScratch(Description* to, const RunOptions& options, size_t bytes) {
  if (options.workspace != nullptr && options.workspace_bytes < WithAlignment(bytes)) {
    Add(to, "scratch  %zu bytes, but workspace_bytes is %zu: Run() refuses it\n", WithAlignment(bytes),
        options.workspace_bytes);
    return;
  }
  Add(to, "scratch  %.2f MB, %s\n", Megabytes(bytes),
      options.workspace != nullptr ? "in the caller's workspace" : "the library's own");
}

Description DescribeBlock(const PackedBlock* block, const char* type, size_t tokens,
                          const RunOptions& options) {
  const FloatEnvironment environment;
  Description description;
  Status status = block == nullptr ? CheckPacked(block, type) : CheckThreads(options);
  if (status.ok()) status = CheckTokens(*block, tokens);
  if (!status.ok()) {
    Add(&description, "%s\n", status.message());
    return description;
  }
  Plan plan = {};
  const Team team = TeamFor(options, [&](size_t threads) {
    plan = PlanFor(*block, tokens, threads);
    return plan.scratch_bytes;
  });
  const GemmKernel& gemm = *block->gemm;
  Add(&description, "target   %s\n", block->kernels->name);
  Add(&description, "kernel   %s %s, tile %zux%zu\n", PrecisionName(gemm.precision), gemm.name, gemm.mr,
      gemm.b.nr);
  AddWeights(&description, *block);
  Add(&description, "tokens   %zu\n", tokens);
  AddThreads(&description, options, team);
  AddPlan(&description, *block, plan);
  AddScratch(&description, options, plan.scratch_bytes);
  const char* const no_amx = WhyNoAmx(*block);
  Add(&description, "AMX      %s%s\n",
      no_amx == nullptr ? "used" : "not used: ", no_amx == nullptr ? "" : no_amx);
  if (!EnvironmentStatus().ok()) Add(&description, "note     %s\n", EnvironmentStatus().message());
  return description;
}

}  // namespace

Description Describe(const PackedFfn& ffn, size_t tokens, const RunOptions& options) noexcept {
  return DescribeBlock(PackedBlockAccess::Get(ffn), "PackedFfn", tokens, options);
}

Description Describe(const PackedLinear& linear, size_t tokens, const RunOptions& options) noexcept {
  return DescribeBlock(PackedBlockAccess::Get(linear), "PackedLinear", tokens, options);
}

}  // namespace v0_2
}  // namespace fusedffn

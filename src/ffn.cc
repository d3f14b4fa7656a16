// Compiled once. Run(): start reading here.
//
//   x -> A chunks -> fc1 tiles -> activation on the tile in L1 -> hidden, in A chunks -> fc2 tiles -> y
//
// In a gated block the panels of fc1 and up take turns, and the product is formed on up's tile in L1. A
// LayerNorm is applied on the way into A chunks, a residual is added on the way into y.
// check_call.h has what the arguments must be; plan.h how the work is divided, and walk.cc goes through it.
#include <cstdint>
#include <exception>

#include "fusedffn/fusedffn.h"
#include "src/arguments.h"
#include "src/check_call.h"
#include "src/cpu_budget.h"
#include "src/packed_ffn.h"
#include "src/plan.h"
#include "src/walk.h"
#include "src/workspace.h"

namespace fusedffn {
namespace {

// The first float of the caller's workspace that is on a cache line.
float* AlignedStart(void* workspace) {
  const uintptr_t address = reinterpret_cast<uintptr_t>(workspace);
  return reinterpret_cast<float*>((address + kCacheLine - 1) / kCacheLine * kCacheLine);
}

Plan PlanFor(const PackedFfn::Impl& ffn, size_t tokens, size_t threads) {
  return MakePlan(ffn.shape, tokens, TilingOf(ffn), L2Bytes(), threads, ffn.operands);
}

size_t BytesFor(const Plan& plan) { return plan.scratch_floats * sizeof(float) + kCacheLine - 1; }

}  // namespace

Status Run(const PackedFfn& packed, const float* x, size_t ldx, size_t tokens, float* y, size_t ldy,
           const RunOptions& options) noexcept {
  return Run(packed, x, DType::kF32, ldx, tokens, y, DType::kF32, ldy, options);
}

Status Run(const PackedFfn& packed, const void* x, DType x_dtype, size_t ldx, size_t tokens, void* y,
           DType y_dtype, size_t ldy, const RunOptions& options) noexcept {
  Status status = CheckPacked(packed);
  if (status.ok()) status = CheckThreads(options.threads);
  if (!status.ok()) return status;
  const PackedFfn::Impl& ffn = *packed.impl();
  Residual residual = options.residual;
  if (residual.stride == 0) residual.stride = ffn.shape.out;
  Call call = {ffn, x, x_dtype, ldx, y, y_dtype, ldy, tokens, options.layer_norm, residual};
  status = CheckCall(call);
  if (!status.ok() || tokens == 0) return status;

  const size_t threads = ThreadCount(options.threads);
  const Plan& plan = call.plan = PlanFor(ffn, tokens, threads);
  const int pool = PoolOf(options.threads, threads);
  try {
    if (options.workspace != nullptr) {
      if (options.workspace_bytes < BytesFor(plan)) {
        return Status(StatusCode::kInvalidArgument, "workspace_bytes is %zu; this call needs %zu",
                      options.workspace_bytes, BytesFor(plan));
      }
      call.scratch = AlignedStart(options.workspace);
      RunPlan(call, pool);
      return Status();
    }
    const Scratch scratch(plan.scratch_floats);
    if (scratch.data() == nullptr) {
      return Status(StatusCode::kOutOfMemory, "no memory for %zu bytes of scratch",
                    plan.scratch_floats * sizeof(float));
    }
    call.scratch = scratch.data();
    RunPlan(call, pool);
  } catch (const std::exception& error) {  // oneTBB could not allocate or start threads
    return Status(StatusCode::kOutOfMemory, "oneTBB: %s", error.what());
  }
  return Status();
}

size_t WorkspaceBytes(const PackedFfn& packed, size_t tokens, int threads) noexcept {
  if (packed.impl() == nullptr || !CheckThreads(threads).ok()) return 0;
  const PackedFfn::Impl& ffn = *packed.impl();
  return BytesFor(PlanFor(ffn, tokens, ThreadCount(threads)));
}

}  // namespace fusedffn

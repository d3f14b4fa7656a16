// Compiled once. Run(): start reading here.
//
//   x -> packed A -> fc1 tiles -> activation on the tile in L1 -> hidden, as the next A -> fc2 tiles -> y
//
// In a gated block the panels of fc1 and up are interleaved, and the product is formed on up's tile in L1. A
// norm is applied on the way into A, a residual is added on the way into y.
// check_call.h has what the arguments must be; plan.h how the work is divided, and execute.cc does it.
#include <cstdint>
#include <exception>

#include "fusedffn/fusedffn.h"
#include "src/arguments.h"
#include "src/check_call.h"
#include "src/cpu_budget.h"
#include "src/execute.h"
#include "src/packed_block.h"
#include "src/plan.h"
#include "src/workspace.h"

namespace fusedffn {
namespace {

// The first byte of the caller's workspace that is on a cache line.
unsigned char* AlignedStart(void* workspace) {
  return reinterpret_cast<unsigned char*>(RoundUp(reinterpret_cast<uintptr_t>(workspace), kCacheLine));
}

Plan PlanFor(const PackedBlock& block, size_t tokens, size_t threads) {
  const Sizes sizes = {block.dim, block.hidden, block.out, block.gated()};
  return MakePlan(sizes, tokens, *block.gemm, L2Bytes(), threads);
}

size_t BytesFor(const Plan& plan) { return plan.scratch_bytes + kCacheLine - 1; }

size_t BytesFor(const PackedBlock* block, size_t tokens, int threads) {
  if (block == nullptr || !CheckThreads(threads).ok()) return 0;
  return BytesFor(PlanFor(*block, tokens, ThreadCount(threads)));
}

// In the caller's workspace, or with scratch of the library's own.
Status ExecuteIn(Call call, const RunOptions& options, int pool) {
  const Plan& plan = call.plan;
  if (options.workspace != nullptr) {
    if (options.workspace_bytes < BytesFor(plan)) {
      return Status(StatusCode::kInvalidArgument, "workspace_bytes is %zu; this call needs %zu",
                    options.workspace_bytes, BytesFor(plan));
    }
    call.scratch = AlignedStart(options.workspace);
    Execute(call, pool);
    return Status();
  }
  const Scratch scratch(DivideUp(plan.scratch_bytes, sizeof(float)));
  if (scratch.data() == nullptr) {
    return Status(StatusCode::kOutOfMemory, "no memory for %zu bytes of scratch", plan.scratch_bytes);
  }
  call.scratch = reinterpret_cast<unsigned char*>(scratch.data());
  Execute(call, pool);
  return Status();
}

struct Rows2d {
  const void* x;
  DType x_dtype;
  size_t ldx;
  void* y;
  DType y_dtype;
  size_t ldy;
};

Status RunBlock(const PackedBlock* block, const char* type, const Rows2d& rows, size_t tokens,
                const RunOptions& options) {
  Status status = CheckPacked(block, type);
  if (status.ok()) status = CheckThreads(options.threads);
  if (!status.ok()) return status;
  Residual residual = options.residual;
  if (residual.stride == 0) residual.stride = block->out;
  const auto& [x, x_dtype, ldx, y, y_dtype, ldy] = rows;
  Call call = {*block, x, x_dtype, ldx, y, y_dtype, ldy, tokens, options.norm, residual};
  status = CheckCall(call);
  if (!status.ok() || tokens == 0) return status;
  const size_t threads = ThreadCount(options.threads);
  call.plan = PlanFor(*block, tokens, threads);
  try {
    return ExecuteIn(call, options, PoolOf(options.threads, threads));
  } catch (const std::exception& error) {  // oneTBB could not allocate or start threads
    return Status(StatusCode::kOutOfMemory, "oneTBB: %s", error.what());
  }
}

}  // namespace

Status Run(const PackedFfn& ffn, const float* x, size_t ldx, size_t tokens, float* y, size_t ldy,
           const RunOptions& options) noexcept {
  return Run(ffn, x, DType::kF32, ldx, tokens, y, DType::kF32, ldy, options);
}

Status Run(const PackedFfn& ffn, const void* x, DType x_dtype, size_t ldx, size_t tokens, void* y,
           DType y_dtype, size_t ldy, const RunOptions& options) noexcept {
  return RunBlock(ffn.block(), "PackedFfn", {x, x_dtype, ldx, y, y_dtype, ldy}, tokens, options);
}

size_t WorkspaceBytes(const PackedFfn& ffn, size_t tokens, int threads) noexcept {
  return BytesFor(ffn.block(), tokens, threads);
}

Status Run(const PackedLinear& linear, const float* x, size_t ldx, size_t tokens, float* y, size_t ldy,
           const RunOptions& options) noexcept {
  return Run(linear, x, DType::kF32, ldx, tokens, y, DType::kF32, ldy, options);
}

Status Run(const PackedLinear& linear, const void* x, DType x_dtype, size_t ldx, size_t tokens, void* y,
           DType y_dtype, size_t ldy, const RunOptions& options) noexcept {
  return RunBlock(linear.block(), "PackedLinear", {x, x_dtype, ldx, y, y_dtype, ldy}, tokens, options);
}

size_t WorkspaceBytes(const PackedLinear& linear, size_t tokens, int threads) noexcept {
  return BytesFor(linear.block(), tokens, threads);
}

}  // namespace fusedffn

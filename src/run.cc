// Compiled once. Run(): start reading here.
//
//   x -> packed A -> fc1 tiles -> activation on the tile in L1 -> hidden, as the next A -> fc2 tiles -> y
//
// In a gated block the panels of fc1 and up are interleaved, and the product is formed on up's tile in L1. A
// norm is applied on the way into A, a residual is added on the way into y.
// check.h has what the arguments must be; plan.h how the work is divided, and execute.cc does it.
#include <algorithm>

#include "fusedffn/fusedffn.h"
#include "src/check.h"
#include "src/execute.h"
#include "src/packed_block.h"
#include "src/plan.h"
#include "src/system/float_environment.h"
#include "src/system/parallel.h"
#include "src/system/scratch.h"

namespace fusedffn {
inline namespace v0_2 {
namespace {

// The bytes of `threads` threads; 0: the most that any number up to the default takes.
size_t BytesFor(const PackedBlock& block, size_t tokens, int threads) {
  if (threads != 0) return WithAlignment(PlanFor(block, tokens, ThreadCount(threads)).scratch_bytes);
  size_t most = 0;
  for (size_t count = ThreadCount(0); count > 0; --count) {
    most = std::max(most, PlanFor(block, tokens, count).scratch_bytes);
  }
  return WithAlignment(most);
}

size_t BytesFor(const PackedBlock* block, size_t tokens, int threads) {
  const bool can_run = block != nullptr && CheckThreads(threads).ok() && CheckTokens(*block, tokens).ok();
  return can_run ? BytesFor(*block, tokens, threads) : 0;
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
  const FloatEnvironment environment;
  Status status = CheckPacked(block, type);
  if (status.ok()) status = CheckThreads(options);
  if (!status.ok()) return status;
  Addend residual = options.residual;
  if (residual.stride == 0) residual.stride = block->out;
  const auto& [x, x_dtype, ldx, y, y_dtype, ldy] = rows;
  Call call = {*block, x, x_dtype, ldx, y, y_dtype, ldy, tokens, options.norm, residual};
  status = CheckCall(call);
  if (!status.ok() || tokens == 0) return status;
  const Team team = TeamFor(options, [&](size_t threads) {
    call.plan = PlanFor(*block, tokens, threads);
    return call.plan.scratch_bytes;
  });
  Scratch scratch;
  status = scratch.Take(call.plan.scratch_bytes, options);
  if (!status.ok()) return status;
  call.scratch = scratch.data();
  Execute(call, team);
  return status;
}

}  // namespace

Status Run(const PackedFfn& ffn, const float* x, size_t ldx, size_t tokens, float* y, size_t ldy,
           const RunOptions& options) noexcept {
  return Run(ffn, x, DType::kF32, ldx, tokens, y, DType::kF32, ldy, options);
}

Status Run(const PackedFfn& ffn, const void* x, DType x_dtype, size_t ldx, size_t tokens, void* y,
           DType y_dtype, size_t ldy, const RunOptions& options) noexcept {
  return RunBlock(PackedBlockAccess::Get(ffn), "PackedFfn", {x, x_dtype, ldx, y, y_dtype, ldy}, tokens,
                  options);
}

size_t WorkspaceBytes(const PackedFfn& ffn, size_t tokens, int threads) noexcept {
  return BytesFor(PackedBlockAccess::Get(ffn), tokens, threads);
}

Status Run(const PackedLinear& linear, const float* x, size_t ldx, size_t tokens, float* y, size_t ldy,
           const RunOptions& options) noexcept {
  return Run(linear, x, DType::kF32, ldx, tokens, y, DType::kF32, ldy, options);
}

Status Run(const PackedLinear& linear, const void* x, DType x_dtype, size_t ldx, size_t tokens, void* y,
           DType y_dtype, size_t ldy, const RunOptions& options) noexcept {
  return RunBlock(PackedBlockAccess::Get(linear), "PackedLinear", {x, x_dtype, ldx, y, y_dtype, ldy}, tokens,
                  options);
}

size_t WorkspaceBytes(const PackedLinear& linear, size_t tokens, int threads) noexcept {
  return BytesFor(PackedBlockAccess::Get(linear), tokens, threads);
}

}  // namespace v0_2
}  // namespace fusedffn

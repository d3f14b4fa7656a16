// Compiled once. Run(): start reading here.
//
//   x -> A chunks -> fc1 tiles -> activation on the tile in L1 -> hidden, in A chunks -> fc2 tiles -> y
//
// plan.h says how the work is divided; everything below is the walk through one part of it.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <new>

#include "fusedffn/fusedffn.h"
#include "kernels/kernels.h"
#include "src/cpu_budget.h"
#include "src/packed_ffn.h"
#include "src/parallel.h"
#include "src/plan.h"
#include "src/workspace.h"

namespace fusedffn {
namespace {

struct Call {
  const PackedFfn::Impl& ffn;
  const float* x;
  size_t ldx;
  float* y;
  size_t ldy;
  size_t tokens;
  Plan plan;
  float* scratch;
};

// Rows in A chunks of kKc columns, [chunk][row][kAStride]; `rows` is the distance between chunks.
struct Chunked {
  float* data;
  size_t rows;

  float* at(size_t row, size_t k) const { return data + (k / kKc * rows + row) * kAStride + k % kKc; }
};

Tiling TilingOf(const Kernels& kernels) { return {kernels.mr, kernels.nr, kernels.lanes}; }

const float* PanelChunk(const PackedLayer& layer, size_t n0, size_t k0) {
  return layer.weight + layer.layout.offset(n0, k0);
}

// What both ways to divide the work set in a block: steps [k0, k0 + k) of one layer's columns [n0, n0 + n),
// for m rows that begin at `row` of `a`. `next` is what will be read of the weights after it, or null.
GemmBlock BlockOf(const PackedLayer& layer, size_t n0, size_t n, size_t k0, size_t k, const Chunked& a,
                  size_t row, size_t m, const float* next) {
  GemmBlock block = {};
  block.m = m;
  block.n = n;
  block.k = k;
  block.a = a.at(row, 0);
  block.a_chunk = a.rows * kAStride;
  block.b = layer.weight + n0 * layer.layout.k;
  block.b_k = layer.layout.k;
  block.b_k0 = k0;
  block.bias = k0 == 0 ? layer.bias + n0 : nullptr;
  block.b_next = next;
  return block;
}

void CopyIn(const Call& call, Range rows, const Chunked& x, size_t x_row) {
  const size_t dim = call.ffn.shape.dim;
  for (size_t row = rows.begin; row < rows.end; ++row, ++x_row) {
    for (size_t k0 = 0; k0 < dim; k0 += kKc) {
      std::memcpy(x.at(x_row, k0), call.x + row * call.ldx + k0, std::min(kKc, dim - k0) * sizeof(float));
    }
  }
}

void CopyOut(const Call& call, Range rows, Range columns, const float* y) {
  for (size_t row = rows.begin; row < rows.end; ++row, y += call.plan.ldy) {
    std::memcpy(call.y + row * call.ldy + columns.begin, y + columns.begin, columns.size() * sizeof(float));
  }
}

// Both layers for one block of rows.
void FusedBlock(const Call& call, Range rows, const Chunked& x, const Chunked& hidden, float* y) {
  const auto& [fc1, fc2] = call.ffn.layers;
  const Kernels& kernels = *call.ffn.kernels;
  const size_t m = rows.size();
  CopyIn(call, rows, x, 0);
  for (size_t h0 = 0; h0 < fc1.layout.n; h0 += kKc) {
    const size_t h = std::min(kKc, fc1.layout.n - h0);
    GemmBlock first = BlockOf(fc1, h0, h, 0, fc1.layout.k, x, 0, m, PanelChunk(fc2, 0, h0));
    first.c = hidden.data;
    first.ldc = kAStride;
    first.activate = call.ffn.activate;
    kernels.gemm(first);
    const size_t h_next = h0 + kKc < fc1.layout.n ? h0 + kKc : 0;
    GemmBlock second = BlockOf(fc2, 0, fc2.layout.n, h0, h, hidden, 0, m, PanelChunk(fc1, h_next, 0));
    second.c = y;
    second.ldc = call.plan.ldy;
    kernels.gemm(second);
  }
  CopyOut(call, rows, {0, fc2.layout.n}, y);
}

void FusedPart(const Call& call, size_t part) {
  const Plan& plan = call.plan;
  float* scratch = call.scratch + part * (plan.x_floats + plan.hidden_floats + plan.y_floats);
  float* hidden = scratch + plan.x_floats;
  float* y = hidden + plan.hidden_floats;
  const Range rows = EvenRange(call.tokens, plan.parts, part);
  const size_t blocks = (rows.size() + plan.mc - 1) / plan.mc;
  for (size_t i = 0; i < blocks; ++i) {
    const Range block = EvenRange(rows.size(), blocks, i);
    FusedBlock(call, {rows.begin + block.begin, rows.begin + block.end}, {scratch, plan.mc},
               {hidden, plan.mc}, y);
  }
}

// piece(rows, n0, n, next) for every panel of one layer that `part` has a share in: some of the rows, all k.
// In memory order: few rows read each weight once. `next` is the panel that follows, or null.
template <class F>
void ForEachPiece(const Call& call, const PackedLayer& layer, size_t part, const F& piece) {
  const Kernels& kernels = *call.ffn.kernels;
  const PackedLayout& layout = layer.layout;
  const Cut begin = CutAt(layout.n, TilingOf(kernels), call.tokens, call.plan.parts, part);
  const Cut end = CutAt(layout.n, TilingOf(kernels), call.tokens, call.plan.parts, part + 1);
  for (size_t panel = begin.panel; panel <= end.panel; ++panel) {
    const Range rows = {panel == begin.panel ? begin.row : 0, panel == end.panel ? end.row : call.tokens};
    if (rows.begin == rows.end) continue;
    const size_t n0 = panel * layout.nr;
    piece(rows, n0, std::min(layout.nr, layout.n - n0),
          panel < end.panel && n0 + layout.nr < layout.n ? PanelChunk(layer, n0 + layout.nr, 0) : nullptr);
  }
}

// Floats a thread copies, at least: about 18 us on Zen 4, where another meeting of the threads takes 2.
constexpr size_t kCopyFloats = size_t{1} << 16;

void RunColumns(const Call& call, int threads) {
  const Plan& plan = call.plan;
  const PackedLayer& fc1 = call.ffn.layers[0];
  const PackedLayer& fc2 = call.ffn.layers[1];
  const Kernels& kernels = *call.ffn.kernels;
  const Chunked x = {call.scratch, call.tokens};
  const Chunked hidden = {call.scratch + plan.x_floats, call.tokens};
  float* const y = hidden.data + plan.hidden_floats;

  const size_t copies = std::clamp<size_t>(call.tokens * fc1.layout.k / kCopyFloats, 1, plan.parts);
  ParallelFor(threads, copies, [&](size_t part) {
    const Range rows = EvenRange(call.tokens, copies, part);
    CopyIn(call, rows, x, rows.begin);
  });
  ParallelFor(threads, plan.parts, [&](size_t part) {
    ForEachPiece(call, fc1, part, [&](Range rows, size_t n0, size_t n, const float* next) {
      GemmBlock block = BlockOf(fc1, n0, n, 0, fc1.layout.k, x, rows.begin, rows.size(), next);
      block.c = hidden.at(rows.begin, n0);
      block.ldc = kAStride;
      block.activate = call.ffn.activate;
      kernels.gemm(block);
    });
  });
  ParallelFor(threads, plan.parts, [&](size_t part) {
    ForEachPiece(call, fc2, part, [&](Range rows, size_t n0, size_t n, const float* next) {
      GemmBlock block = BlockOf(fc2, n0, n, 0, fc2.layout.k, hidden, rows.begin, rows.size(), next);
      float* const y0 = y + rows.begin * plan.ldy;
      block.c = y0 + n0;
      block.ldc = plan.ldy;
      kernels.gemm(block);
      CopyOut(call, rows, {n0, n0 + n}, y0);
    });
  });
}

Status CheckThreads(int threads) {
  if (threads >= kCallersArena && threads <= 65536) return Status();
  return Status(StatusCode::kInvalidArgument,
                "threads is %d; it must be 1 to 65536, 0 for the default, or kCallersArena", threads);
}

size_t ThreadCount(int threads) {
  if (threads == 0) return static_cast<size_t>(DefaultThreads());
  return static_cast<size_t>(threads == kCallersArena ? CallersArenaThreads() : threads);
}

Status CheckRows(const char* name, const void* data, size_t stride, size_t columns, size_t tokens) {
  if (stride < columns) {
    return Status(StatusCode::kInvalidArgument, "ld%s is %zu; it must be at least %zu, the columns of %s",
                  name, stride, columns, name);
  }
  if (tokens == 0) return Status();
  if (data == nullptr) return Status(StatusCode::kInvalidArgument, "%s is null", name);
  if (reinterpret_cast<uintptr_t>(data) % alignof(float) != 0) {
    return Status(StatusCode::kInvalidArgument, "%s is not aligned to %zu bytes", name, alignof(float));
  }
  if (!FitsInMemory(tokens, stride, columns, sizeof(float))) {
    return Status(StatusCode::kInvalidArgument, "%s: %zu rows of stride %zu do not fit in memory", name,
                  tokens, stride);
  }
  return Status();
}

Status CheckOverlap(const Shape& shape, const float* x, size_t ldx, size_t tokens, const float* y,
                    size_t ldy) {
  if (tokens == 0 || (x == y && ldx == ldy)) return Status();
  const uintptr_t x0 = reinterpret_cast<uintptr_t>(x), y0 = reinterpret_cast<uintptr_t>(y);
  const uintptr_t x1 = x0 + ((tokens - 1) * ldx + shape.dim) * sizeof(float);
  const uintptr_t y1 = y0 + ((tokens - 1) * ldy + shape.out) * sizeof(float);
  if (x1 <= y0 || y1 <= x0) return Status();
  return Status(StatusCode::kInvalidArgument,
                "x and y overlap; y must be apart from x, or x itself with ldx == ldy");
}

// The first float of the caller's workspace that is on a cache line.
float* AlignedStart(void* workspace) {
  const uintptr_t address = reinterpret_cast<uintptr_t>(workspace);
  return reinterpret_cast<float*>((address + kCacheLine - 1) / kCacheLine * kCacheLine);
}

Plan PlanFor(const PackedFfn::Impl& ffn, size_t tokens, size_t threads) {
  return MakePlan(ffn.shape, tokens, TilingOf(*ffn.kernels), L2Bytes(), threads);
}

size_t BytesFor(const Plan& plan) { return plan.scratch_floats * sizeof(float) + kCacheLine - 1; }

void RunPlan(const Call& call, int threads) {
  if (call.plan.fused) {
    ParallelFor(threads, call.plan.parts, [&](size_t part) { FusedPart(call, part); });
  } else {
    RunColumns(call, threads);
  }
}

}  // namespace

Status Run(const PackedFfn& packed, const float* x, size_t ldx, size_t tokens, float* y, size_t ldy,
           const RunOptions& options) noexcept {
  if (packed.impl() == nullptr) {
    return Status(StatusCode::kIncomplete, "this PackedFfn is empty: Pack() weights into it first");
  }
  const PackedFfn::Impl& ffn = *packed.impl();
  const size_t left = ffn.layers[0].rows_left + ffn.layers[1].rows_left;
  if (left != 0) return Status(StatusCode::kIncomplete, "%zu rows of the weights have not been packed", left);
  Status status = CheckThreads(options.threads);
  if (status.ok()) status = CheckRows("x", x, ldx, ffn.shape.dim, tokens);
  if (status.ok()) status = CheckRows("y", y, ldy, ffn.shape.out, tokens);
  if (status.ok()) status = CheckOverlap(ffn.shape, x, ldx, tokens, y, ldy);
  if (!status.ok() || tokens == 0) return status;

  const size_t threads = ThreadCount(options.threads);
  const Plan plan = PlanFor(ffn, tokens, threads);
  const int pool = options.threads == kCallersArena ? kCallersArena : static_cast<int>(threads);
  Call call = {ffn, x, ldx, y, ldy, tokens, plan, nullptr};
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

#include "src/execute.h"

#include <algorithm>
#include <atomic>

#include "kernels/gemm.h"
#include "kernels/kernels.h"
#include "src/system/cpu.h"
#include "src/system/parallel.h"

namespace fusedffn {
inline namespace v0_2 {
namespace {

// x, hidden and y of some rows: see Plan.
struct BlockScratch {
  PackedA x, hidden;
  float *y, *values;

  BlockScratch(const Call& call, unsigned char* memory) {
    const Plan& plan = call.plan;
    const ALayout* const a = &call.block.gemm->a;
    x = {a, memory, plan.mc, plan.x_chunk};
    hidden = {a, memory + plan.x_bytes, plan.mc, plan.hidden_chunk};
    y = reinterpret_cast<float*>(hidden.data + plan.hidden_bytes);
    values = reinterpret_cast<float*>(hidden.data + plan.hidden_bytes + plan.y_bytes);
  }
};

// One worker at its task: its scratch, see Plan, between the kernel's enter() and leave().
class Worker {
 public:
  Worker(const Call& call, size_t index)
      : gemm_(*call.block.gemm),
        kernel_(call.scratch + index * call.plan.worker_bytes()),
        gate_(kernel_ + call.plan.kernel_bytes),
        block_(gate_ + call.plan.gate_bytes) {
    if (gemm_.enter != nullptr) gemm_.enter();
  }
  ~Worker() {
    if (gemm_.leave != nullptr) gemm_.leave();
  }
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  void* kernel() const { return gemm_.scratch_fixed + gemm_.scratch_row == 0 ? nullptr : kernel_; }
  float* gate() const { return reinterpret_cast<float*>(gate_); }
  unsigned char* block() const { return block_; }  // row parallel

 private:
  const GemmKernel& gemm_;
  unsigned char *kernel_, *gate_, *block_;
};

// Some rows of an A, times some columns and some k of a pass's layer.
struct Multiplication {
  const Pass& pass;
  const PackedA& a;
  Range rows, columns, k;
  const void* next;  // what will be read of the weights after that, or null
};

// All but where the result goes. `a` begins with element k.begin.
GemmBlock BlockOf(const Call& call, const Multiplication& m, const Worker& worker) {
  GemmBlock block = {};
  block.m = m.rows.size();
  block.n = m.columns.size();
  block.k = m.k.size();
  block.a = m.a.at(m.rows.begin, 0);
  block.a_chunk = m.a.chunk;
  block.a_chunk_bytes = m.a.chunk_bytes();
  block.b = &call.block.layer(m.pass).b;
  block.n0 = m.columns.begin;
  block.k0 = m.k.begin;
  block.activate = m.pass.activate;
  block.gate = m.pass.times_gate ? worker.gate() : nullptr;
  block.ld_gate = call.plan.ld_gate;
  block.scratch = worker.kernel();
  block.b_next = m.next;
  return block;
}

Range AllK(const PackedLayer& layer) { return {0, layer.b.layout.k}; }

// All passes but the last, for some columns of hidden, of which column h0 is the first in b.hidden: of a
// block that is not gated for any, else for one panel, which is what there is room for in gate().
void RunHiddenPasses(const Call& call, const BlockScratch& b, Range columns, size_t h0, Range rows,
                     const Worker& worker, const void* next) {
  const PackedBlock& packed = call.block;
  const GemmKernel& gemm = *packed.gemm;
  for (const Pass* pass = packed.passes; pass != &packed.last_pass(); ++pass) {
    const bool last = pass + 1 == &packed.last_pass();
    const void* const then = last ? next : packed.layer(pass[1]).b.at(columns.begin, 0);
    GemmBlock block = BlockOf(call, {*pass, b.x, rows, columns, AllK(packed.layer(*pass)), then}, worker);
    if (pass->to == Pass::To::kGate) {
      block.c = worker.gate();
      block.ldc = call.plan.ld_gate;
    } else if (gemm.store_hidden != nullptr) {
      block.c = b.values + rows.begin * call.plan.ld_values + columns.begin - h0;
      block.ldc = call.plan.ld_values;
    } else {
      block.hidden = b.hidden.at(rows.begin, columns.begin - h0);
    }
    gemm.run(block);
  }
}

// Elements [k0, k0 + count) of some rows of hidden, which are one chunk of it.
void StoreHidden(const Call& call, const BlockScratch& b, Range rows, size_t k0, size_t count) {
  const float* const values = b.values + k0;
  call.block.gemm->store_hidden(values, call.plan.ld_values, rows, k0, count, b.hidden);
}

void PackX(const Call& call, Range rows, const PackedA& x, size_t x_row) {
  const ARows from = {call.x, call.x_dtype, call.ldx, call.block.dim, call.norm};
  call.block.gemm->pack_a(from, rows, x, x_row);
}

// Some rows and columns of y, whose first one is *y.
void WriteOutput(const Call& call, Range rows, Range columns, float* y) {
  const OutputRows output = {call.block.kernels->ops, call.residual, call.y, call.y_dtype, call.ldy};
  for (size_t row = rows.begin; row < rows.end; ++row, y += call.plan.ldy) output.Write(row, columns, y);
}

// All passes for one block of rows, a chunk of hidden at a time.
void RunRowsThroughHidden(const Call& call, Range rows, const BlockScratch& b, const Worker& worker) {
  const PackedBlock& packed = call.block;
  const PackedB& first = packed.layer(packed.passes[0]).b;
  const PackedB& last = packed.layer(packed.last_pass()).b;
  const Range all_rows = {0, rows.size()}, all_columns = {0, packed.out};
  for (size_t h0 = 0; h0 < packed.hidden; h0 += b.hidden.chunk) {
    const Range h = {h0, std::min(h0 + b.hidden.chunk, packed.hidden)};
    const size_t width = packed.gated() ? first.layout.b.nr : h.size();
    for (size_t n0 = h.begin; n0 < h.end; n0 += width) {
      const Range columns = {n0, std::min(n0 + width, h.end)};
      const void* next = columns.end < h.end ? first.at(columns.end, 0) : last.at(0, h.begin);
      RunHiddenPasses(call, b, columns, h.begin, all_rows, worker, next);
    }
    if (packed.gemm->store_hidden != nullptr) StoreHidden(call, b, all_rows, 0, h.size());
    const void* next = first.at(h.end < packed.hidden ? h.end : 0, 0);
    GemmBlock block = BlockOf(call, {packed.last_pass(), b.hidden, all_rows, all_columns, h, next}, worker);
    block.c = b.y;
    block.ldc = call.plan.ldy;
    packed.gemm->run(block);
  }
  WriteOutput(call, rows, all_columns, b.y);
}

// A linear's only pass for one block of rows: so many columns are written before the next ones.
void RunRowsOfLinear(const Call& call, Range rows, const BlockScratch& b, const Worker& worker) {
  const PackedBlock& packed = call.block;
  const PackedLayer& layer = packed.layer(packed.last_pass());
  for (size_t n0 = 0; n0 < packed.out; n0 += call.plan.ldy) {
    const Range columns = {n0, std::min(n0 + call.plan.ldy, packed.out)};
    const void* next = layer.b.at(columns.end < packed.out ? columns.end : 0, 0);
    GemmBlock block =
        BlockOf(call, {packed.last_pass(), b.x, {0, rows.size()}, columns, AllK(layer), next}, worker);
    block.c = b.y;
    block.ldc = call.plan.ldy;
    packed.gemm->run(block);
    WriteOutput(call, rows, columns, b.y);
  }
}

// f(task, worker) for every task of the plan. More than there are workers go to whoever is free next: of two
// CPUs one can be much slower than the other, for a while.
template <class F>
void ForEachTask(const Call& call, const Team& team, const F& f) {
  const Plan& plan = call.plan;
  std::atomic<size_t> next{0};
  ParallelFor(team, plan.workers, [&](size_t index) {
    const Worker worker(call, index);
    if (plan.tasks == plan.workers) return f(index, worker);
    for (size_t task; (task = next.fetch_add(1, std::memory_order_relaxed)) < plan.tasks;) {
      f(task, worker);
    }
  });
}

// multiply(rows, columns, next) for every panel, or pair of panels, of one layer that `task` has a share in:
// some of the rows, all k. In memory order: few rows read each weight once. `next` is what follows, or null.
// Of what the layer gives, `chunk` columns of a row lie side by side.
template <class F>
void ForEachPanel(const Call& call, const PackedB& b, size_t task, size_t chunk, const F& multiply) {
  const PanelLayout& layout = b.layout;
  const size_t nr = layout.b.nr;
  const WorkPoint begin = SplitAt(layout.n, layout.b, call.tokens, call.plan.tasks, task);
  const WorkPoint end = SplitAt(layout.n, layout.b, call.tokens, call.plan.tasks, task + 1);
  const auto panels_at = [&](size_t panel) {  // rows of pairs are few, and not cut within a panel
    const size_t last = panel + call.plan.panels, n0 = panel * nr, n1 = last * nr;
    const bool pair = last <= end.panel && n1 <= layout.n && n0 / chunk == (n1 - 1) / chunk;
    return pair ? call.plan.panels : 1;
  };
  for (size_t panel = begin.panel, panels = 1; panel <= end.panel; panel += panels) {
    panels = panels_at(panel);
    const Range rows = {panel == begin.panel ? begin.row : 0, panel == end.panel ? end.row : call.tokens};
    if (rows.begin == rows.end) continue;
    const Range columns = {panel * nr, std::min((panel + panels) * nr, layout.n)};
    const bool more = panel + panels <= end.panel && columns.end < layout.n;
    multiply(rows, columns, more ? b.at(columns.end, 0) : nullptr);
  }
}

// copy(rows) for all rows of the call, `columns` floats each, on as many threads as that is worth.
template <class F>
void CopyRows(const Call& call, const Team& team, size_t columns, const F& copy) {
  const size_t copies = CopyParts(call.tokens, columns, call.plan.workers);
  ParallelFor(team, copies, [&](size_t part) { copy(EvenRange(call.tokens, copies, part)); });
}

// All of hidden from all of x.
void RunPanelsOfHidden(const Call& call, const Team& team, const BlockScratch& b) {
  const PackedBlock& packed = call.block;
  const PackedB& first = packed.layer(packed.passes[0]).b;
  ForEachTask(call, team, [&](size_t task, const Worker& worker) {
    ForEachPanel(call, first, task, b.hidden.chunk, [&](Range rows, Range columns, const void* next) {
      RunHiddenPasses(call, b, columns, 0, rows, worker, next);
    });
  });
  if (packed.gemm->store_hidden == nullptr) return;
  CopyRows(call, team, packed.hidden, [&](Range rows) {
    for (size_t k0 = 0; k0 < packed.hidden; k0 += b.hidden.chunk) {
      StoreHidden(call, b, rows, k0, std::min(b.hidden.chunk, packed.hidden - k0));
    }
  });
}

void RunPanelParallel(const Call& call, const Team& team) {
  const PackedBlock& packed = call.block;
  const BlockScratch b(call, call.scratch + call.plan.workers * call.plan.worker_bytes());
  CopyRows(call, team, packed.dim, [&](Range rows) { PackX(call, rows, b.x, rows.begin); });
  if (packed.hidden != 0) RunPanelsOfHidden(call, team, b);
  const PackedLayer& last = packed.layer(packed.last_pass());
  const PackedA& a = packed.hidden != 0 ? b.hidden : b.x;
  ForEachTask(call, team, [&](size_t task, const Worker& worker) {
    ForEachPanel(call, last.b, task, packed.out, [&](Range rows, Range columns, const void* next) {
      GemmBlock block = BlockOf(call, {packed.last_pass(), a, rows, columns, AllK(last), next}, worker);
      block.c = b.y + rows.begin * call.plan.ldy + columns.begin;
      block.ldc = call.plan.ldy;
      packed.gemm->run(block);
      WriteOutput(call, rows, columns, block.c);
    });
  });
}

void RunRowParallel(const Call& call, const Team& team) {
  ForEachTask(call, team, [&](size_t task, const Worker& worker) {
    const Range rows = EvenRange(call.tokens, call.plan.tasks, task);
    const BlockScratch b(call, worker.block());
    PackX(call, rows, b.x, 0);
    if (call.block.hidden != 0) {
      RunRowsThroughHidden(call, rows, b, worker);
    } else {
      RunRowsOfLinear(call, rows, b, worker);
    }
  });
}

Sizes SizesOf(const PackedBlock& block) { return {block.dim, block.hidden, block.out, block.gated()}; }

}  // namespace

Plan PlanFor(const PackedBlock& block, size_t tokens, size_t threads) {
  return MakePlan(SizesOf(block), tokens, *block.gemm, L2Bytes(), threads);
}

size_t MostScratchBytes(const PackedBlock& block, size_t tokens, size_t threads) {
  return MostScratchBytes(SizesOf(block), tokens, *block.gemm, L2Bytes(), threads);
}

void OutputRows::Write(size_t row, Range columns, float* values) const {
  if (residual.data != nullptr) {
    const void* const added = ElementAt(residual.data, residual.dtype, row * residual.stride + columns.begin);
    ops.add[static_cast<size_t>(residual.dtype)](added, columns.size(), values);
  }
  void* const to = ElementAt(y, dtype, row * ld + columns.begin);
  ops.from_f32[static_cast<size_t>(dtype)](values, columns.size(), to);
}

void Execute(const Call& call, const Team& team) {
  if (call.plan.row_parallel) {
    RunRowParallel(call, team);
  } else {
    RunPanelParallel(call, team);
  }
}

}  // namespace v0_2
}  // namespace fusedffn

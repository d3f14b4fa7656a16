#include "src/plan.h"

#include <algorithm>

namespace fusedffn {
inline namespace v0_2 {
namespace {

// From this many rows a thread on, reading all weights on every thread costs less than a second meeting of
// the threads and a hidden array in L3. More threads read the weights from one shared cache, and fewer than
// 2 * kTaskRows rows each are not cut into tasks. See bench/results/tuning.md.
size_t RowParallelRows(const GemmKernel& kernel, size_t threads) {
  return threads <= 2 ? kernel.row_parallel_rows : 2 * kernel.row_parallel_rows;
}

// Rows whose arithmetic takes about as long as reading their panel from a shared cache.
constexpr size_t kRowsPerPanelRead = 12;

// More tasks than threads, so that threads whose CPU is slower for a while leave work to the others, as in
// virtual machines that share theirs; of so many rows, or rows of a panel, at least. 16 CPUs of an Emerald
// Rapids take 257 tokens 1.33 times as fast; 2 alike CPUs lose 1.025. See bench/results/tuning.md.
constexpr size_t kTasksEach = 4;
constexpr size_t kTaskRows = 64;

// Columns of a linear that a row parallel worker computes before it writes them: panel by panel, 257 rows of
// 1024 to 3072 take 1.03 times as long, and 96 to 496 columns are the same. See bench/results/tuning.md.
constexpr size_t kLinearColumns = 128;

// Of each of `workers`, which has work of so many rows.
size_t TasksEach(size_t rows, size_t workers) {
  return workers <= 2 ? 1 : std::clamp<size_t>(rows / kTaskRows, 1, kTasksEach);
}

// Rows of a block: as many as let x and y of the block fill L2, and a quarter more; a linear's y is gone
// before the next panels. For CLIP-L on Zen 4 that is 128; 44 rows take 1.04 times as long. See
// bench/results/tuning.md.
size_t BlockRows(const Sizes& sizes, const GemmKernel& kernel, size_t l2_bytes) {
  const size_t behind_x =
      sizes.hidden == 0 ? kernel.b.nr * sizeof(float) : sizes.out * sizeof(float) + kernel.a.row_bytes;
  const size_t row_bytes = sizes.dim * kernel.a.element_bytes * kernel.a.pieces + behind_x;
  const size_t rows = l2_bytes * 5 / 4 / row_bytes;
  return std::clamp(rows / kernel.mr * kernel.mr, 2 * kernel.mr, 32 * kernel.mr);
}

// More would have nothing to do.
size_t MostPanelWorkers(const Sizes& sizes, size_t tokens, const BLayout& b) {
  const size_t panels = DivideUp(std::max(sizes.hidden, sizes.out), b.nr);
  return tokens <= kRowsPerPanelRead ? panels : panels * tokens;
}

void DivideRows(const Sizes& sizes, size_t tokens, const GemmKernel& kernel, size_t l2_bytes, size_t threads,
                Plan* plan) {
  plan->workers = std::max<size_t>(1, std::min(threads, tokens));
  const size_t rows = DivideUp(tokens, plan->workers);
  const size_t blocks =
      std::max(TasksEach(rows, plan->workers), DivideUp(rows, BlockRows(sizes, kernel, l2_bytes)));
  plan->tasks = std::min(tokens, plan->workers * blocks);
  plan->mc = DivideUp(tokens, std::max<size_t>(1, plan->tasks));
}

void DividePanels(const Sizes& sizes, size_t tokens, const GemmKernel& kernel, size_t threads, Plan* plan) {
  plan->workers = std::min(threads, MostPanelWorkers(sizes, tokens, kernel.b));
  const size_t narrowest = sizes.hidden == 0 ? sizes.out : std::min(sizes.hidden, sizes.out);
  const size_t rows = DivideUp(narrowest, kernel.b.nr) * tokens / plan->workers;  // of one panel
  plan->tasks = plan->workers * (tokens <= kRowsPerPanelRead ? 1 : TasksEach(rows, plan->workers));
  plan->mc = tokens;
}

void SizeScratch(const Sizes& sizes, const GemmKernel& kernel, Plan* plan) {
  const ALayout& a = kernel.a;
  const size_t padding = 16;  // floats, so that a row is not a multiple of the L1 cache's way
  plan->x_chunk = a.chunk(sizes.dim);
  plan->x_bytes = a.bytes(plan->mc, sizes.dim, plan->x_chunk);
  plan->kernel_bytes = kernel.scratch_bytes(plan->mc);
  plan->ld_gate = plan->panels * kernel.b.nr;
  if (sizes.gated) plan->gate_bytes = plan->mc * plan->ld_gate * sizeof(float);
  if (sizes.hidden != 0) {
    plan->hidden_chunk = a.chunk(sizes.hidden);
    const size_t hidden = plan->row_parallel ? std::min(plan->hidden_chunk, sizes.hidden) : sizes.hidden;
    plan->hidden_bytes = a.bytes(plan->mc, hidden, plan->hidden_chunk);
    if (kernel.store_hidden != nullptr) {
      plan->ld_values = RoundUp(hidden, kernel.b.n_align) + padding;
      plan->values_bytes = plan->mc * plan->ld_values * sizeof(float);
    }
  }
  const bool some_panels = sizes.hidden == 0 && plan->row_parallel;
  plan->ldy =
      some_panels ? RoundUp(kLinearColumns, kernel.b.nr) : RoundUp(sizes.out, kernel.b.n_align) + padding;
  plan->y_bytes = plan->mc * plan->ldy * sizeof(float);
  plan->scratch_bytes = plan->workers * plan->worker_bytes() + (plan->row_parallel ? 0 : plan->block_bytes());
}

}  // namespace

Range EvenRange(size_t total, size_t parts, size_t index) {
  const size_t low = total / parts;
  const size_t high_parts = total % parts;  // the first ones have one more
  const size_t begin = index * low + std::min(index, high_parts);
  return {begin, begin + low + (index < high_parts)};
}

WorkPoint SplitAt(size_t n, const BLayout& b, size_t tokens, size_t tasks, size_t index) {
  const size_t vecs = DivideUp(n, b.n_align);
  const size_t panel_vecs = b.nr / b.n_align;  // all panels are that wide but the last
  if (tokens <= kRowsPerPanelRead) {
    const size_t begin = EvenRange(vecs, tasks, index).begin;
    return {begin == vecs ? DivideUp(n, b.nr) : (begin + panel_vecs / 2) / panel_vecs, 0};
  }
  const size_t begin = EvenRange(vecs * tokens, tasks, index).begin;  // in rows of one vector
  if (begin == vecs * tokens) return {DivideUp(n, b.nr), 0};
  const size_t panel = begin / (panel_vecs * tokens);
  const size_t width = std::min(panel_vecs, vecs - panel * panel_vecs);
  return {panel, (begin - panel * panel_vecs * tokens) / width};
}

Plan MakePlan(const Sizes& sizes, size_t tokens, const GemmKernel& kernel, size_t l2_bytes, size_t threads) {
  Plan plan = {};
  plan.row_parallel = tokens >= threads * RowParallelRows(kernel, threads);
  plan.panels = !plan.row_parallel && tokens <= kernel.dual_panel_rows ? 2 : 1;
  if (plan.row_parallel) {
    DivideRows(sizes, tokens, kernel, l2_bytes, threads, &plan);
  } else {
    DividePanels(sizes, tokens, kernel, threads, &plan);
  }
  SizeScratch(sizes, kernel, &plan);
  return plan;
}

// Scratch grows with rows, workers and panels. So it is at most that of the most of each.
size_t MostScratchBytes(const Sizes& sizes, size_t tokens, const GemmKernel& kernel, size_t l2_bytes,
                        size_t threads) {
  Plan rows = {}, panels = {};
  rows.row_parallel = true;
  rows.workers = std::min(threads, tokens);
  rows.mc = std::min(tokens, BlockRows(sizes, kernel, l2_bytes));
  rows.panels = 1;
  SizeScratch(sizes, kernel, &rows);
  panels.workers = threads;
  panels.mc = std::min(tokens, threads * RowParallelRows(kernel, threads));
  panels.panels = 2;
  SizeScratch(sizes, kernel, &panels);
  return std::max(rows.scratch_bytes, panels.scratch_bytes);
}

}  // namespace v0_2
}  // namespace fusedffn

// Compiled once. RunExperts().
//
//   x -> its rows by expert -> each expert on its rows, in place -> y, the sum for each token
//
// So each expert's weights are read once a call, however many tokens chose it. The experts follow each other,
// each on all threads.
#include "src/experts.h"

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <utility>

#include "fusedffn/fusedffn.h"
#include "kernels/kernels.h"
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

// Scratch: one row for each choice, those of one expert together, in order of the tokens, first of x, then of
// what the expert makes of it; a row for each thread; and that of an expert's run.
struct ExpertRows {
  static constexpr size_t kAlign = kCacheLine / sizeof(float);

  size_t stride = kAlign;
  size_t rows = 0, expert_count = 0, threads = 0;
  size_t run_bytes = 0;               // the most that an expert takes
  const PackedBlock* last = nullptr;  // that was added
  float* data = nullptr;
  float* sums = nullptr;
  uint32_t* row_of = nullptr;  // of a choice
  uint32_t* end = nullptr;     // behind an expert's last one
  unsigned char* run = nullptr;

  ExpertRows() = default;
  // Without room for any expert yet.
  ExpertRows(size_t count, size_t choices, size_t most_threads)
      : rows(choices), expert_count(count), threads(most_threads) {}

  // Makes room for any number of rows of this one. An empty one needs none.
  void Add(const PackedBlock* block) {
    if (block == nullptr || (last != nullptr && SameSizes(*block, *last))) return;
    stride = std::max(stride, RoundUp(std::max(block->dim, block->out), kAlign) + kAlign);
    run_bytes = std::max(run_bytes, MostScratchBytes(*block, rows, threads));
    last = block;
  }

  // 0: more than there can be.
  size_t bytes() const {
    if (!FitsInMemory(rows, stride + 1, stride + 1, 2 * sizeof(float))) return 0;
    return OwnBytes() + run_bytes;
  }

  void PlaceAt(unsigned char* memory) {
    data = reinterpret_cast<float*>(memory);
    sums = data + rows * stride;
    row_of = reinterpret_cast<uint32_t*>(sums + threads * stride);
    end = row_of + rows;
    run = memory + OwnBytes();
  }

  // A counting sort.
  void Assign(const ExpertCall& call) const {
    const int32_t* const ids = call.choices.ids;
    std::fill_n(end, call.experts.count, 0u);
    for (size_t i = 0; i < call.rows(); ++i) ++end[ids[i]];
    uint32_t begin = 0;
    for (size_t e = 0; e < call.experts.count; ++e) begin += std::exchange(end[e], begin);
    for (size_t i = 0; i < call.rows(); ++i) row_of[i] = end[ids[i]]++;
  }

  float* at(size_t row) const { return data + row * stride; }

  // f(expert, its rows) for each that has some.
  template <class F>
  void ForEachExpert(const F& f) const {
    size_t begin = 0;
    for (size_t e = 0; e < expert_count; ++e) {
      const Range of_expert = {begin, end[e]};
      if (of_expert.size() != 0) f(static_cast<int32_t>(e), of_expert);
      begin = of_expert.end;
    }
  }

 private:
  static bool SameSizes(const PackedBlock& a, const PackedBlock& b) {
    return a.gemm == b.gemm && a.dim == b.dim && a.hidden == b.hidden && a.out == b.out &&
           a.gated() == b.gated();
  }

  size_t OwnBytes() const {
    return RoundUp(((rows + threads) * stride + rows + expert_count) * sizeof(float), kCacheLine);
  }
};

void CopyIn(const ExpertCall& call, const ExpertRows& rows, Range choices) {
  const PackedBlock& first = call.first();
  const auto to_f32 = first.kernels->ops.to_f32[static_cast<size_t>(call.x_dtype)];
  for (size_t i = choices.begin; i < choices.end; ++i) {
    const size_t row = i / call.choices.top * call.ldx;
    to_f32(ElementAt(call.x, call.x_dtype, row), first.dim, rows.at(rows.row_of[i]));
  }
}

void RunExpert(const ExpertCall& call, const ExpertRows& rows, int32_t id, Range of_expert,
               const Team& team) {
  const PackedBlock& block = call.expert(id);
  float* const data = rows.at(of_expert.begin);
  const size_t stride = rows.stride, count = of_expert.size();
  const Plan plan = PlanFor(block, count, team.threads);
  Execute({block, data, DType::kF32, stride, data, DType::kF32, stride, count, call.norm, {}, plan, rows.run},
          team);
}

// The sums of some tokens, each in `sum` first.
void AddUp(const ExpertCall& call, const ExpertRows& rows, Range tokens, float* sum) {
  const PackedBlock& first = call.first();
  const ElementwiseFns& ops = first.kernels->ops;
  const OutputRows output = {ops, call.residual, call.y, call.y_dtype, call.ldy};
  const size_t top = call.choices.top;
  const auto& [start, dtype, stride] = call.start;
  for (size_t t = tokens.begin; t < tokens.end; ++t) {
    const bool add = start != nullptr;
    if (add) ops.to_f32[static_cast<size_t>(dtype)](ElementAt(start, dtype, t * stride), first.out, sum);
    const WeightedRows chosen = {rows.data, rows.stride, rows.row_of + t * top,
                                 call.choices.weights + t * top, top};
    ops.weighted_sum(chosen, first.out, add, sum);
    output.Write(t, {0, first.out}, sum);
  }
}

// With all checked, and rows.row_of and rows.end.
void Execute(const ExpertCall& call, const ExpertRows& rows, const Team& team) {
  const PackedBlock& first = call.first();
  const size_t in_parts = CopyParts(call.rows(), first.dim, team.threads);
  ParallelFor(team, in_parts,
              [&](size_t part) { CopyIn(call, rows, EvenRange(call.rows(), in_parts, part)); });
  rows.ForEachExpert([&](int32_t id, Range of_expert) { RunExpert(call, rows, id, of_expert, team); });
  const size_t out_parts = CopyParts(call.tokens, call.choices.top * first.out, team.threads);
  ParallelFor(team, out_parts, [&](size_t part) {
    AddUp(call, rows, EvenRange(call.tokens, out_parts, part), rows.sums + part * rows.stride);
  });
}

// For the experts that are chosen; the others may be changing.
ExpertRows RowsFor(const ExpertCall& call, size_t threads) {
  ExpertRows rows(call.experts.count, call.rows(), threads);
  uint64_t added[64] = {};  // of the first experts; any more are added for each choice
  for (size_t i = 0; i < call.rows(); ++i) {
    const auto id = static_cast<size_t>(call.choices.ids[i]);
    if (id < 64 * std::size(added)) {
      const uint64_t bit = uint64_t{1} << id % 64;
      if ((std::exchange(added[id / 64], added[id / 64] | bit) & bit) != 0) continue;
    }
    rows.Add(call.experts[id]);
  }
  return rows;
}

Status RunChecked(const ExpertCall& call, const RunOptions& options) {
  ExpertRows rows;
  const Team team = TeamFor(options, [&](size_t threads) {
    rows = RowsFor(call, threads);
    return rows.bytes();
  });
  if (rows.bytes() == 0) {
    return Status(StatusCode::kOutOfMemory, "no memory for %zu rows of %zu floats", call.rows(), rows.stride);
  }
  Scratch scratch;
  Status status = scratch.Take(rows.bytes(), options);
  if (!status.ok()) return status;
  rows.PlaceAt(scratch.data());
  rows.Assign(call);
  rows.ForEachExpert([&](int32_t id, Range) {
    if (status.ok()) status = CheckExpert(call, id);
  });
  if (status.ok()) Execute(call, rows, team);
  return status;
}

ExpertList ListOf(const PackedFfn* experts, size_t count) {
  return {experts, count, [](const void* list, size_t index) {
            return PackedBlockAccess::Get(static_cast<const PackedFfn*>(list)[index]);
          }};
}

}  // namespace

Status RunExperts(const PackedFfn* experts, size_t expert_count, const ExpertChoices& choices, const float* x,
                  size_t ldx, size_t tokens, float* y, size_t ldy, const RunOptions& options) noexcept {
  return RunExperts(experts, expert_count, choices, x, DType::kF32, ldx, tokens, y, DType::kF32, ldy,
                    options);
}

Status RunExperts(const PackedFfn* experts, size_t expert_count, const ExpertChoices& choices, const void* x,
                  DType x_dtype, size_t ldx, size_t tokens, void* y, DType y_dtype, size_t ldy,
                  const RunOptions& options) noexcept {
  return RunExperts(ListOf(experts, expert_count), choices, x, x_dtype, ldx, tokens, y, y_dtype, ldy,
                    options);
}

Status RunExperts(const ExpertList& experts, const ExpertChoices& choices, const void* x, DType x_dtype,
                  size_t ldx, size_t tokens, void* y, DType y_dtype, size_t ldy,
                  const RunOptions& options) noexcept {
  const FloatEnvironment environment;
  Status status = CheckThreads(options);
  if (!status.ok() || tokens == 0) return status;
  ExpertCall call = {experts, choices, x,   x_dtype,      ldx,           tokens,
                     y,       y_dtype, ldy, options.norm, choices.start, options.residual};
  status = CheckChoices(call);
  if (status.ok()) status = CheckExpert(call, choices.ids[0]);
  if (!status.ok()) return status;
  for (Addend* addend : {&call.start, &call.residual}) {
    if (addend->stride == 0) addend->stride = call.first().out;
  }
  status = CheckArrays(call);
  return status.ok() ? RunChecked(call, options) : status;
}

size_t ExpertsWorkspaceBytes(const PackedFfn* experts, size_t expert_count, size_t tokens, size_t top,
                             int threads) noexcept {
  return ExpertsWorkspaceBytes(ListOf(experts, expert_count), tokens, top, threads);
}

size_t ExpertsWorkspaceBytes(const ExpertList& experts, size_t tokens, size_t top, int threads) noexcept {
  const bool any = experts.list != nullptr && tokens != 0 && top != 0;
  if (!any || tokens > UINT32_MAX / top || !CheckThreads(threads).ok()) return 0;
  ExpertRows rows(experts.count, tokens * top, ThreadCount(threads));
  for (size_t e = 0; e < experts.count; ++e) rows.Add(experts[e]);
  return rows.run_bytes == 0 || rows.bytes() == 0 ? 0 : WithAlignment(rows.bytes());
}

}  // namespace v0_2
}  // namespace fusedffn

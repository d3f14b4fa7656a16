// Compiled once. RunExperts().
//
//   x -> its rows by expert -> Run() of each expert on its rows, in place -> y, the sum for each token
//
// So each expert's weights are read once a call, however many tokens chose it. The experts follow each other,
// each on all threads.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <exception>
#include <utility>

#include "fusedffn/fusedffn.h"
#include "kernels/kernels.h"
#include "src/arguments.h"
#include "src/packed_block.h"
#include "src/parallel.h"
#include "src/plan.h"
#include "src/workspace.h"

namespace fusedffn {
namespace {

struct ExpertCall {
  const PackedFfn* experts;
  size_t expert_count;
  const ExpertChoices& choices;
  const float* x;
  size_t ldx;
  size_t tokens;
  float* y;
  size_t ldy;
  bool accumulate;

  size_t rows() const { return tokens * choices.top; }
  const PackedBlock& expert(int32_t id) const { return *experts[id].block(); }
  const PackedBlock& first() const { return expert(choices.ids[0]); }
};

Status Invalid(const char* what) { return Status(StatusCode::kInvalidArgument, "%s", what); }

Status CheckChoices(const ExpertCall& call) {
  const ExpertChoices& choices = call.choices;
  constexpr size_t kMostExperts = size_t{1} << 31;  // ids are int32
  if (call.experts == nullptr) return Invalid("experts is null");
  if (call.expert_count == 0 || call.expert_count > kMostExperts) {
    return Status(StatusCode::kInvalidArgument, "expert_count is %zu; it must be 1 to %zu", call.expert_count,
                  kMostExperts);
  }
  if (choices.ids == nullptr) return Invalid("choices.ids is null");
  if (choices.weights == nullptr) return Invalid("choices.weights is null");
  if (choices.top == 0 || choices.top > UINT32_MAX / call.tokens) {
    return Status(StatusCode::kInvalidArgument, "choices.top is %zu; for %zu tokens it must be 1 to %zu",
                  choices.top, call.tokens, UINT32_MAX / call.tokens);
  }
  for (size_t i = 0; i < call.rows(); ++i) {
    const int32_t id = choices.ids[i];
    if (id >= 0 && static_cast<size_t>(id) < call.expert_count) continue;
    return Status(StatusCode::kInvalidArgument, "choices.ids[%zu][%zu] is %d; it must be 0 to %zu",
                  i / choices.top, i % choices.top, id, call.expert_count - 1);
  }
  return Status();
}

// Whether an expert that is chosen can run, and together with the first one.
Status CheckExpert(const ExpertCall& call, int32_t id) {
  const Status status = CheckPacked(call.experts[id].block(), "PackedFfn");
  if (!status.ok()) return Status(status.code(), "experts[%d]: %s", id, status.message());
  const PackedBlock &first = call.first(), &expert = call.expert(id);
  if (expert.kernels == first.kernels && expert.dim == first.dim && expert.out == first.out) return Status();
  return Status(
      StatusCode::kInvalidArgument,
      "experts[%d] has dim %zu and out %zu on %s, experts[%d] %zu and %zu on %s; they must be alike",
      call.choices.ids[0], first.dim, first.out, first.kernels->name, id, expert.dim, expert.out,
      expert.kernels->name);
}

Status CheckArrays(const ExpertCall& call) {
  const PackedBlock& first = call.first();
  const Status status = CheckRows({"x", "ldx", call.x, DType::kF32, call.ldx, first.dim, call.tokens});
  if (!status.ok()) return status;
  return CheckRows({"y", "ldy", call.y, DType::kF32, call.ldy, first.out, call.tokens});
}

// One row for each choice, those of one expert together, in order of the tokens: first of x, then of what the
// expert makes of it.
struct ExpertRows {
  static constexpr size_t kAlign = kCacheLine / sizeof(float);

  size_t stride;
  float* data = nullptr;
  uint32_t* row_of = nullptr;  // of a choice
  uint32_t* end = nullptr;     // behind an expert's last one

  explicit ExpertRows(const PackedBlock& first)
      : stride(RoundUp(std::max(first.dim, first.out), kAlign) + kAlign) {}

  // 0: more than there can be.
  size_t floats(const ExpertCall& call) const {
    if (!FitsInMemory(call.rows(), stride + 1, stride + 1, sizeof(float))) return 0;
    return call.rows() * (stride + 1) + call.expert_count;
  }

  void PlaceAt(float* memory, const ExpertCall& call) {
    data = memory;
    row_of = reinterpret_cast<uint32_t*>(data + call.rows() * stride);
    end = row_of + call.rows();
  }

  // A counting sort.
  void Assign(const ExpertCall& call) {
    const int32_t* const ids = call.choices.ids;
    std::fill_n(end, call.expert_count, 0u);
    for (size_t i = 0; i < call.rows(); ++i) ++end[ids[i]];
    uint32_t begin = 0;
    for (size_t e = 0; e < call.expert_count; ++e) begin += std::exchange(end[e], begin);
    for (size_t i = 0; i < call.rows(); ++i) row_of[i] = end[ids[i]]++;
  }

  float* at(size_t row) const { return data + row * stride; }

  // f(expert, its rows) for each that has some, until one does not return ok.
  template <class F>
  Status ForEachExpert(const ExpertCall& call, const F& f) const {
    size_t begin = 0;
    for (size_t e = 0; e < call.expert_count; ++e) {
      const Range of_expert = {begin, end[e]};
      if (of_expert.size() == 0) continue;
      const Status status = f(static_cast<int32_t>(e), of_expert);
      if (!status.ok()) return status;
      begin = of_expert.end;
    }
    return Status();
  }
};

void CopyIn(const ExpertCall& call, const ExpertRows& rows, Range choices) {
  const size_t dim = call.first().dim;
  for (size_t i = choices.begin; i < choices.end; ++i) {
    std::memcpy(rows.at(rows.row_of[i]), call.x + i / call.choices.top * call.ldx, dim * sizeof(float));
  }
}

Status RunEach(const ExpertCall& call, const ExpertRows& rows, int threads) {
  RunOptions options;
  options.threads = threads;
  return rows.ForEachExpert(call, [&](int32_t id, Range of_expert) {
    float* const data = rows.at(of_expert.begin);
    return Run(call.experts[id], data, rows.stride, of_expert.size(), data, rows.stride, options);
  });
}

void AddUp(const ExpertCall& call, const ExpertRows& rows, Range tokens) {
  const PackedBlock& first = call.first();
  const size_t top = call.choices.top;
  for (size_t t = tokens.begin; t < tokens.end; ++t) {
    const WeightedRows chosen = {rows.data, rows.stride, rows.row_of + t * top,
                                 call.choices.weights + t * top, top};
    first.kernels->ops.weighted_sum(chosen, first.out, call.accumulate, call.y + t * call.ldy);
  }
}

Status RunChecked(const ExpertCall& call, int threads) {
  const PackedBlock& first = call.first();
  ExpertRows rows(first);
  const size_t floats = rows.floats(call);
  const Scratch scratch(floats);
  if (floats == 0 || scratch.data() == nullptr) {
    return Status(StatusCode::kOutOfMemory, "no memory for %zu rows of %zu floats", call.rows(), rows.stride);
  }
  rows.PlaceAt(scratch.data(), call);
  rows.Assign(call);
  Status status = rows.ForEachExpert(call, [&](int32_t id, Range) { return CheckExpert(call, id); });
  if (!status.ok()) return status;
  const size_t count = ThreadCount(threads);
  const int pool = PoolOf(threads, count);
  const size_t in_parts = CopyParts(call.rows(), first.dim, count);
  ParallelFor(pool, in_parts,
              [&](size_t part) { CopyIn(call, rows, EvenRange(call.rows(), in_parts, part)); });
  status = RunEach(call, rows, pool);
  if (!status.ok()) return status;
  const size_t out_parts = CopyParts(call.tokens, call.choices.top * first.out, count);
  ParallelFor(pool, out_parts,
              [&](size_t part) { AddUp(call, rows, EvenRange(call.tokens, out_parts, part)); });
  return Status();
}

}  // namespace

Status RunExperts(const PackedFfn* experts, size_t expert_count, const ExpertChoices& choices, const float* x,
                  size_t ldx, size_t tokens, float* y, size_t ldy, const ExpertOptions& options) noexcept {
  Status status = CheckThreads(options.threads);
  if (!status.ok() || tokens == 0) return status;
  const ExpertCall call = {experts, expert_count, choices, x, ldx, tokens, y, ldy, options.accumulate};
  status = CheckChoices(call);
  if (status.ok()) status = CheckExpert(call, choices.ids[0]);
  if (status.ok()) status = CheckArrays(call);
  if (!status.ok()) return status;
  try {
    return RunChecked(call, options.threads);
  } catch (const std::exception& error) {  // oneTBB could not allocate or start threads
    return Status(StatusCode::kOutOfMemory, "oneTBB: %s", error.what());
  }
}

}  // namespace fusedffn

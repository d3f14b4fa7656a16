// Compiled once. What the arguments of all calls must be.
#ifndef FUSEDFFN_SRC_CHECK_H_
#define FUSEDFFN_SRC_CHECK_H_

#include <cstddef>
#include <cstdint>

#include "fusedffn/fusedffn.h"
#include "kernels/gemm.h"
#include "src/execute.h"
#include "src/experts.h"
#include "src/packed_block.h"

namespace fusedffn {
inline namespace v0_2 {

// One array of a call: x, y, a residual, or one row with a norm's weight or bias.
struct Rows {
  const char *name, *stride_name;
  const void* data;
  DType dtype;
  size_t stride, columns, rows;

  uintptr_t begin() const { return reinterpret_cast<uintptr_t>(data); }
  uintptr_t end() const { return begin() + ((rows - 1) * stride + columns) * BytesOf(dtype); }
};

Status CheckRows(const Rows& rows) noexcept;
bool Overlap(const Rows& a, const Rows& b) noexcept;

Status CheckDType(DType dtype) noexcept;

// Whether an int8 group may be of so many columns.
Status CheckInt8Group(const char* name, size_t group) noexcept;

// Of `rows` rows of a matrix called `name`.
Status CheckStride(const char* name, size_t rows, size_t stride, size_t cols, size_t element_bytes) noexcept;

// Whether `rows` rows of `columns` elements, `stride` apart, can lie in memory at all. All but rows >= 1.
bool FitsInMemory(size_t rows, size_t stride, size_t columns, size_t element_bytes);

// Whether all weights are there. `type` is the class whose block this is.
Status CheckPacked(const PackedBlock* block, const char* type) noexcept;

inline constexpr int kMostThreads = 65536;

// `threads` as in RunOptions; and the same, or the executor, of options.
Status CheckThreads(int threads) noexcept;
Status CheckThreads(const RunOptions& options) noexcept;

// Whether so many rows of x and y can lie in memory at all, in the smallest of types. If not, no Run() gets
// as far as a plan, whose sizes stay far from overflow therefore.
Status CheckTokens(const PackedBlock& block, size_t tokens) noexcept;

// Of what is created.
Status CheckShape(const Shape& shape) noexcept;
Status CheckLinearSizes(size_t in, size_t out) noexcept;
Status CheckActivation(Activation activation) noexcept;
Status CheckPackOptions(const PackOptions& options) noexcept;  // all but the target

// Whether a block, null for an empty one, has that layer; and the layer those rows.
Status CheckLayer(const PackedBlock* block, Layer layer) noexcept;
Status CheckWeightRows(const PackedLayer& layer, size_t first_row, size_t rows, const BRows& from) noexcept;

// Whether all of a weight, called `name`, can be packed; and those of a block.
Status CheckLinear(const char* name, const Linear& linear, size_t rows, size_t cols) noexcept;
Status CheckWeights(const Weights& weights) noexcept;

// Of QuantizeRows().
Status CheckQuantize(const void* weight, DType dtype, size_t rows, size_t cols, size_t stride,
                     const int8_t* q, const float* scales, size_t group) noexcept;

// All of `call` but its plan and scratch.
Status CheckCall(const Call& call) noexcept;

// A norm, or null, of rows of `dim` elements.
Status CheckNorm(const Norm* norm, size_t dim, const Rows& y) noexcept;

// Rows of a call, or null data, that are added to y, and may be y itself.
Status CheckAddend(const Rows& addend, const Rows& y) noexcept;

// Of RunExperts(), in this order: what is chosen, of any tokens; an expert that is chosen, by itself and
// together with that of the first choice; and the arrays, with that one's sizes.
Status CheckChoices(const ExpertCall& call) noexcept;
Status CheckExpert(const ExpertCall& call, int32_t id) noexcept;
Status CheckArrays(const ExpertCall& call) noexcept;

}  // namespace v0_2
}  // namespace fusedffn

#endif  // FUSEDFFN_SRC_CHECK_H_

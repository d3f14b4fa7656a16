// Compiled once. One call of RunExperts().
#ifndef FUSEDFFN_SRC_EXPERTS_H_
#define FUSEDFFN_SRC_EXPERTS_H_

#include <cstddef>
#include <cstdint>

#include "fusedffn/fusedffn.h"
#include "src/packed_block.h"

namespace fusedffn {
inline namespace v0_2 {

// Experts, wherever they are: the C++ interface has an array of them, the C interface one of pointers to
// them.
struct ExpertList {
  const void* list;  // or null
  size_t count;
  const PackedBlock* (*at)(const void* list, size_t index);  // null for an empty one

  const PackedBlock* operator[](size_t index) const { return at(list, index); }
};

struct ExpertCall {
  ExpertList experts;
  const ExpertChoices& choices;
  const void* x;
  DType x_dtype;
  size_t ldx;
  size_t tokens;
  void* y;
  DType y_dtype;
  size_t ldy;
  const Norm* norm;        // or null
  Addend start, residual;  // with their strides

  size_t rows() const { return tokens * choices.top; }
  const PackedBlock& expert(int32_t id) const { return *experts[id]; }
  const PackedBlock& first() const { return expert(choices.ids[0]); }
};

// The public ones, whose arguments these are.
Status RunExperts(const ExpertList& experts, const ExpertChoices& choices, const void* x, DType x_dtype,
                  size_t ldx, size_t tokens, void* y, DType y_dtype, size_t ldy,
                  const RunOptions& options) noexcept;
size_t ExpertsWorkspaceBytes(const ExpertList& experts, size_t tokens, size_t top, int threads) noexcept;

}  // namespace v0_2
}  // namespace fusedffn

#endif  // FUSEDFFN_SRC_EXPERTS_H_

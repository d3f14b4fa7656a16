// Compiled once. One call of RunExperts().
#ifndef FUSEDFFN_SRC_EXPERTS_H_
#define FUSEDFFN_SRC_EXPERTS_H_

#include <cstddef>
#include <cstdint>

#include "fusedffn/fusedffn.h"
#include "src/packed_block.h"

namespace fusedffn {
inline namespace v0_2 {

struct ExpertCall {
  const PackedFfn* experts;
  size_t expert_count;
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
  const PackedBlock& expert(int32_t id) const { return *PackedBlockAccess::Get(experts[id]); }
  const PackedBlock& first() const { return expert(choices.ids[0]); }
};

}  // namespace v0_2
}  // namespace fusedffn

#endif  // FUSEDFFN_SRC_EXPERTS_H_

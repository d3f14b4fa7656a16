// Compiled once per target. The sum of a token's experts.
#if defined(FUSEDFFN_KERNELS_WEIGHTED_SUM_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef FUSEDFFN_KERNELS_WEIGHTED_SUM_INL_H_
#undef FUSEDFFN_KERNELS_WEIGHTED_SUM_INL_H_
#else
#define FUSEDFFN_KERNELS_WEIGHTED_SUM_INL_H_
#endif

#include <cstddef>

#include "hwy/highway.h"
#include "kernels/kernels.h"
#include "kernels/mma-inl.h"

HWY_BEFORE_NAMESPACE();
namespace fusedffn {
inline namespace v0_2 {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

inline void WeightedSum(const WeightedRows& in, size_t columns, bool add, float* y) {
  const D d;
  const size_t lanes = hn::Lanes(d);
  const auto chain = [&](V sum, const auto& load) HWY_ATTR {
    for (size_t j = 0; j < in.count; ++j) {
      sum = hn::MulAdd(load(in.rows + in.row[j] * in.stride), hn::Set(d, in.weight[j]), sum);
    }
    return sum;
  };
  size_t i = 0;
  for (; i + lanes <= columns; i += lanes) {
    const V start = add ? hn::LoadU(d, y + i) : hn::Zero(d);
    hn::StoreU(chain(start, [&](const float* row) HWY_ATTR { return hn::LoadU(d, row + i); }), d, y + i);
  }
  const size_t rest = columns - i;
  if (rest == 0) return;
  const V start = add ? hn::LoadN(d, y + i, rest) : hn::Zero(d);
  const V sum = chain(start, [&](const float* row) HWY_ATTR { return hn::LoadN(d, row + i, rest); });
  hn::StoreN(sum, d, y + i, rest);
}

}  // namespace HWY_NAMESPACE
}  // namespace v0_2
}  // namespace fusedffn
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard

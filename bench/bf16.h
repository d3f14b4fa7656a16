// Blocks and arrays in bf16; none of them has NaNs.
#ifndef FUSEDFFN_BENCH_BF16_H_
#define FUSEDFFN_BENCH_BF16_H_

#include <algorithm>
#include <cstdint>

#include "bench/workload.h"
#include "kernels/dtype_traits.h"

namespace fusedffn::bench {

inline Buffer<uint16_t> ToBf16(const float* values, size_t count) {
  Buffer<uint16_t> rounded(count);
  std::transform(values, values + count, rounded.data(), RoundNumberToBF16);
  return rounded;
}

// The block of a bf16 checkpoint: no library has to round its weights.
inline Block InBf16(Block block) {
  for (Floats* values : {&block.w1, &block.b1, &block.w2, &block.b2, &block.up}) {
    std::transform(values->data(), values->data() + values->size(), values->data(),
                   [](float value) { return BF16::Widen(RoundNumberToBF16(value)); });
  }
  return block;
}

}  // namespace fusedffn::bench

#endif  // FUSEDFFN_BENCH_BF16_H_

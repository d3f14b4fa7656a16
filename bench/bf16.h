// bf16 in memory: the upper half of a float.
#ifndef FUSEDFFN_BENCH_BF16_H_
#define FUSEDFFN_BENCH_BF16_H_

#include <cstdint>
#include <cstring>

#include "bench/workload.h"

namespace fusedffn {

// To the nearest, ties to even; not for NaN.
inline uint16_t ToBf16(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  return static_cast<uint16_t>((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

inline float FromBf16(uint16_t value) {
  const uint32_t bits = uint32_t{value} << 16;
  float widened;
  std::memcpy(&widened, &bits, sizeof(widened));
  return widened;
}

inline Buffer<uint16_t> ToBf16(const float* values, size_t count) {
  Buffer<uint16_t> rounded(count);
  std::transform(values, values + count, rounded.data(), [](float value) { return ToBf16(value); });
  return rounded;
}

// The block of a bf16 checkpoint: no library has to round its weights.
inline Block InBf16(Block block) {
  for (Floats* values : {&block.w1, &block.b1, &block.w2, &block.b2, &block.up}) {
    std::transform(values->data(), values->data() + values->size(), values->data(),
                   [](float value) { return FromBf16(ToBf16(value)); });
  }
  return block;
}

}  // namespace fusedffn

#endif  // FUSEDFFN_BENCH_BF16_H_

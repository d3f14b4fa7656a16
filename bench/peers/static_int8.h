// int8 with scales that are known before the first call, as after a calibration: weights s8, symmetric, a
// scale for each output channel; activations u8, one scale and zero point for x and one for the hidden array.
#ifndef FUSEDFFN_BENCH_PEERS_STATIC_INT8_H_
#define FUSEDFFN_BENCH_PEERS_STATIC_INT8_H_

#include <cmath>
#include <cstdint>
#include <vector>

#include "bench/workload.h"

namespace fusedffn::bench {

// value = scale * (stored - zero)
struct U8Format {
  float scale = 1.0f;
  int zero = 0;

  uint8_t Quantize(float value) const {
    const float stored = std::nearbyint(value / scale) + static_cast<float>(zero);
    return static_cast<uint8_t>(std::min(std::max(stored, 0.0f), 255.0f));
  }
};

struct U8Formats {
  U8Format x, hidden;
};

// For the ranges in a run of other tokens than those that are measured, whose rare outliers are cut.
U8Formats Calibrate(const Block& block);

struct S8Weights {
  Buffer<int8_t> values;      // [out, in]
  std::vector<float> scales;  // [out]

  S8Weights(const Floats& weights, size_t out, size_t in);
};

Buffer<uint8_t> Quantize(const U8Format& format, const float* values, size_t count);

// Of a layer whose input is u8: value[n] = scale[n] * sum[n] + offset[n], where sum is of stored u8 times s8.
struct Dequantizer {
  std::vector<float> scale, offset;

  Dequantizer(const S8Weights& weights, const Floats& bias, const U8Format& input);
};

}  // namespace fusedffn::bench

#endif  // FUSEDFFN_BENCH_PEERS_STATIC_INT8_H_

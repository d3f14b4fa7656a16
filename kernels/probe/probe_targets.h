// Compiled once. Filled in by probe.cc, once per target.
#ifndef FUSEDFFN_KERNELS_PROBE_PROBE_TARGETS_H_
#define FUSEDFFN_KERNELS_PROBE_PROBE_TARGETS_H_

#include <cstddef>
#include <cstdint>

#include "kernels/kernels.h"

namespace fusedffn {

// Returns the operations (2 for a multiply and an add) of `iterations` rounds. `*sink` keeps the work from
// being dropped.
using ArithmeticFn = double (*)(size_t iterations, float* sink);

// By fusedffn::Precision; null where the target lacks the instruction.
struct ArithmeticFns {
  ArithmeticFn in_registers[kPrecisionCount];
  ArithmeticFn of_tile[kPrecisionCount];
};

// kAmx: with AMX, where it multiplies in that precision.
template <int64_t kTarget, bool kAmx>
struct ArithmeticOf {
  static constexpr ArithmeticFns value = {};
};

}  // namespace fusedffn

#endif  // FUSEDFFN_KERNELS_PROBE_PROBE_TARGETS_H_

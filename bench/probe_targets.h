// Compiled once. Filled in by probe.cc, once per target.
#ifndef FUSEDFFN_BENCH_PROBE_TARGETS_H_
#define FUSEDFFN_BENCH_PROBE_TARGETS_H_

#include <cstddef>
#include <cstdint>

namespace fusedffn {

// Returns the operations (2 for a multiply and an add) of `iterations` rounds. `*sink` keeps the work from
// being dropped.
using ArithmeticFn = double (*)(size_t iterations, float* sink);

struct ArithmeticFns {
  ArithmeticFn multiply_add, dot_bf16, dot_u8s8;
};

template <int64_t kTarget>
struct ArithmeticOf {
  static constexpr ArithmeticFns value = {};
};

}  // namespace fusedffn

#endif  // FUSEDFFN_BENCH_PROBE_TARGETS_H_

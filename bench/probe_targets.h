// Compiled once. Filled in by probe.cc, once per target.
#ifndef FUSEDFFN_BENCH_PROBE_TARGETS_H_
#define FUSEDFFN_BENCH_PROBE_TARGETS_H_

#include <cstddef>
#include <cstdint>

namespace fusedffn {

using MultiplyAddFn = double (*)(size_t iterations, float* sink);

template <int64_t kTarget>
struct MultiplyAddOf {
  static constexpr MultiplyAddFn value = nullptr;
};

}  // namespace fusedffn

#endif  // FUSEDFFN_BENCH_PROBE_TARGETS_H_

// Compiled once, no SIMD. Which precision is the fastest, as far as that was measured.
#ifndef FUSEDFFN_SRC_FASTEST_PRECISION_H_
#define FUSEDFFN_SRC_FASTEST_PRECISION_H_

#include <cstddef>

#include "fusedffn/fusedffn.h"

namespace fusedffn {
inline namespace v0_2 {

enum class CpuVendor { kAmd, kIntel, kOther };

struct CpuKind {
  CpuVendor vendor;
  const char* target;
  bool bf16_dot;  // this build has kBF16Dot for the target
  bool bf16x3;  // the same for kBF16x3, and AMX was not refused to this process; every target has all others
};

// What FastestPrecision() says there.
PrecisionChoice ChoosePrecision(Accuracy accuracy, DType weights, const CpuKind& cpu, size_t tokens) noexcept;

}  // namespace v0_2
}  // namespace fusedffn

#endif  // FUSEDFFN_SRC_FASTEST_PRECISION_H_

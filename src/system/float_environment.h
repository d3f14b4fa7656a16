// Compiled once. The floating-point environment that every bit of a result is computed in.
#ifndef FUSEDFFN_SRC_SYSTEM_FLOAT_ENVIRONMENT_H_
#define FUSEDFFN_SRC_SYSTEM_FLOAT_ENVIRONMENT_H_

#include <cstdint>

#include "fusedffn/fusedffn.h"

#if defined(__x86_64__)
#include <immintrin.h>
#elif !defined(__aarch64__)
#include <cfenv>
#endif

namespace fusedffn {
inline namespace v0_2 {

// While it lives, this thread rounds to nearest, has no exception unmasked, and keeps denormals unless they
// are to be flushed: then they count as zero, read or written. Afterwards it has what it had, its exception
// flags as well. Two reads and writes of a register: some 10 ns.
class FloatEnvironment {
 public:
#if defined(__x86_64__)
  explicit FloatEnvironment(bool flush_denormals = false) : saved_(_mm_getcsr()) {
    constexpr uint32_t kMasks = 0x1F80, kFlush = 0x8040;  // FTZ and DAZ
    _mm_setcsr(flush_denormals ? kMasks | kFlush : kMasks);
  }
  ~FloatEnvironment() { _mm_setcsr(saved_); }

 private:
  const uint32_t saved_;  // MXCSR
#elif defined(__aarch64__)
  explicit FloatEnvironment(bool flush_denormals = false) {
    constexpr uint64_t kFlush = uint64_t{1} << 24;  // FZ
    asm volatile("mrs %0, fpcr\n\tmrs %1, fpsr" : "=r"(control_), "=r"(status_));
    asm volatile("msr fpcr, %0" : : "r"(flush_denormals ? kFlush : 0) : "memory");
  }
  ~FloatEnvironment() {
    asm volatile("msr fpcr, %0\n\tmsr fpsr, %1" : : "r"(control_), "r"(status_) : "memory");
  }

 private:
  uint64_t control_, status_;
#else  // no way to flush is known
  explicit FloatEnvironment(bool /*flush_denormals*/ = false) {
    std::fegetenv(&saved_);
    std::fesetenv(FE_DFL_ENV);
  }
  ~FloatEnvironment() { std::fesetenv(&saved_); }

 private:
  std::fenv_t saved_;
#endif

 public:
  FloatEnvironment(const FloatEnvironment&) = delete;
  FloatEnvironment& operator=(const FloatEnvironment&) = delete;
};

}  // namespace v0_2
}  // namespace fusedffn

#endif  // FUSEDFFN_SRC_SYSTEM_FLOAT_ENVIRONMENT_H_

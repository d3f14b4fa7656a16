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

// While it lives, this thread rounds to nearest, keeps denormals and has no exception unmasked. Then it has
// what it had, its exception flags as well. Two reads and writes of a register: some 10 ns.
class DefaultFloatEnvironment {
 public:
#if defined(__x86_64__)
  DefaultFloatEnvironment() : saved_(_mm_getcsr()) { _mm_setcsr(0x1F80); }
  ~DefaultFloatEnvironment() { _mm_setcsr(saved_); }

 private:
  const uint32_t saved_;  // MXCSR
#elif defined(__aarch64__)
  DefaultFloatEnvironment() {
    asm volatile("mrs %0, fpcr\n\tmrs %1, fpsr" : "=r"(control_), "=r"(status_));
    asm volatile("msr fpcr, %0" : : "r"(uint64_t{0}) : "memory");
  }
  ~DefaultFloatEnvironment() {
    asm volatile("msr fpcr, %0\n\tmsr fpsr, %1" : : "r"(control_), "r"(status_) : "memory");
  }

 private:
  uint64_t control_, status_;
#else
  DefaultFloatEnvironment() {
    std::fegetenv(&saved_);
    std::fesetenv(FE_DFL_ENV);
  }
  ~DefaultFloatEnvironment() { std::fesetenv(&saved_); }

 private:
  std::fenv_t saved_;
#endif

 public:
  DefaultFloatEnvironment(const DefaultFloatEnvironment&) = delete;
  DefaultFloatEnvironment& operator=(const DefaultFloatEnvironment&) = delete;
};

}  // namespace v0_2
}  // namespace fusedffn

#endif  // FUSEDFFN_SRC_SYSTEM_FLOAT_ENVIRONMENT_H_

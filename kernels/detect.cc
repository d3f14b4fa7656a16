#include "kernels/detect.h"

#include <atomic>

#include "hwy/detect_targets.h"

#if HWY_ARCH_X86
#include <cpuid.h>
#elif HWY_ARCH_ARM_A64 && defined(__linux__)
#include <sys/auxv.h>
#endif

namespace fusedffn {
inline namespace v0_2 {
namespace {

#if HWY_ARCH_X86

struct Registers {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
};

// Zeros if the CPU has no such leaf.
Registers Cpuid(unsigned leaf, unsigned subleaf) {
  Registers r;
  if (__get_cpuid_count(leaf, subleaf, &r.eax, &r.ebx, &r.ecx, &r.edx) == 0) return {};
  return r;
}

template <class... Bit>
bool HasBits(unsigned value, Bit... bit) {
  return (... && (value >> bit & 1));
}

// XCR0: which registers the operating system saves.
unsigned SavedRegisters(const Registers& leaf1) {
  if (!HasBits(leaf1.ecx, 26, 27)) return 0;  // XSAVE, OSXSAVE
  unsigned low = 0, high = 0;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return low;
}

// Each has all that Highway lets the compiler use for it (HWY_TARGET_STR in its set_macros-inl.h), and all of
// the one before.
int64_t Detect() {
  const Registers leaf1 = Cpuid(1, 0), leaf7 = Cpuid(7, 0), leaf7_1 = Cpuid(7, 1);
  const unsigned saved = SavedRegisters(leaf1);
  const bool amd = __builtin_cpu_is("amd") != 0;
  int64_t targets = HWY_SSE2;
  // SSE3, SSSE3.
  if (!HasBits(leaf1.ecx, 0, 9)) return targets;
  targets |= HWY_SSSE3;
  // PCLMULQDQ, SSE4.1, SSE4.2, AES.
  if (!HasBits(leaf1.ecx, 1, 19, 20, 25)) return targets;
  targets |= HWY_SSE4;
  // FMA, AVX, F16C | BMI, AVX2, BMI2 | LZCNT | XMM, YMM.
  if (!HasBits(leaf1.ecx, 12, 28, 29) || !HasBits(leaf7.ebx, 3, 5, 8) ||
      !HasBits(Cpuid(0x80000001, 0).ecx, 5) || !HasBits(saved, 1, 2)) {
    return targets;
  }
  targets |= HWY_AVX2;
  // AVX512F, DQ, CD, BW, VL | masks, and both parts of ZMM.
  if (!HasBits(leaf7.ebx, 16, 17, 28, 30, 31) || !HasBits(saved, 5, 6, 7)) return targets;
  targets |= HWY_AVX3;
  // VBMI, VBMI2, GFNI, VAES, VPCLMULQDQ, VNNI, BITALG, VPOPCNTDQ.
  if (!HasBits(leaf7.ecx, 1, 6, 8, 9, 10, 11, 12, 14)) return targets;
  targets |= HWY_AVX3_DL;
  // AVX512_BF16.
  if (!HasBits(leaf7_1.eax, 5)) return targets;
  if (amd) targets |= HWY_AVX3_ZEN4;
  // AVX512_FP16.
  return HasBits(leaf7.edx, 23) ? targets | HWY_AVX3_SPR : targets;
}

#elif HWY_ARCH_ARM_A64 && defined(__linux__)

int64_t Detect() {
  const unsigned long caps = getauxval(AT_HWCAP);
  int64_t targets = HWY_NEON_WITHOUT_AES;
  if ((caps & HWCAP_AES) == 0) return targets;
  targets |= HWY_NEON;
#if defined(HWCAP2_BF16)
  constexpr unsigned long kHalfAndDot = HWCAP_ASIMDHP | HWCAP_ASIMDDP;
  const bool bf16 = (caps & kHalfAndDot) == kHalfAndDot && (getauxval(AT_HWCAP2) & HWCAP2_BF16) != 0;
  if (bf16) targets |= HWY_NEON_BF16;
#endif
  return targets;
}

#else

int64_t Detect() { return 0; }

#endif

std::atomic<int64_t> hidden{0};

}  // namespace

int64_t DetectedTargets() {
  static const int64_t targets = Detect() | HWY_ENABLED_BASELINE;
  return targets & ~hidden;
}

void HideTargets(int64_t targets) { hidden |= targets; }

}  // namespace v0_2
}  // namespace fusedffn

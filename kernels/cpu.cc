#include "kernels/cpu.h"

#if defined(__x86_64__) && defined(__linux__)

#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace fusedffn {
inline namespace v0_2 {
namespace {

constexpr unsigned kBf16 = 1u << 22, kTile = 1u << 24, kInt8 = 1u << 25;  // CPUID leaf 7, EDX

bool CpuHasAmx() {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) == 0) return false;
  return (edx & (kBf16 | kTile | kInt8)) == (kBf16 | kTile | kInt8);
}

// Fails where the kernel, or the host of a virtual machine, does not save the registers. From Linux's
// Documentation/arch/x86/xstate.rst; glibc has no names for them.
bool LinuxLetsUs() {
  constexpr long kRequestPermission = 0x1023, kTileData = 18;
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

}  // namespace

bool IsAmdCpu() { return __builtin_cpu_is("amd") != 0; }
bool IsIntelCpu() { return __builtin_cpu_is("intel") != 0; }

bool MayUseAmx() { return AmxIsMissing() == nullptr; }

const char* AmxIsMissing() {
  static const char* const reason = [] {
    if (!CpuHasAmx()) return "this CPU does not have it";
    return LinuxLetsUs() ? nullptr : "Linux does not let this process use it (5.16 or later is needed)";
  }();
  return reason;
}

}  // namespace v0_2
}  // namespace fusedffn

#else

namespace fusedffn {
inline namespace v0_2 {

bool IsAmdCpu() { return false; }
bool IsIntelCpu() { return false; }
bool MayUseAmx() { return false; }
const char* AmxIsMissing() { return "it is x86-64's, on Linux"; }

}  // namespace v0_2
}  // namespace fusedffn

#endif

#include "kernels/cpu.h"

#if defined(__x86_64__) && defined(__linux__)

#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>

namespace fusedffn {
inline namespace v0_2 {
namespace {

constexpr unsigned kBf16 = 1u << 22, kTile = 1u << 24, kInt8 = 1u << 25;  // CPUID leaf 7, EDX

bool CpuHasAmx() {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) == 0) return false;
  return (edx & (kBf16 | kTile | kInt8)) == (kBf16 | kTile | kInt8);
}

// From Linux's Documentation/arch/x86/xstate.rst; glibc has no names for them.
constexpr long kGetSupported = 0x1021, kRequestPermission = 0x1023, kTileData = 18;

// Not where the kernel, or the host of a virtual machine, does not save the registers.
bool LinuxKnowsAmx() {
  uint64_t features = 0;
  return syscall(SYS_arch_prctl, kGetSupported, &features) == 0 && (features >> kTileData & 1) != 0;
}

const char* RefusalOf(int error) {
  return error == ENOSPC
             ? "a thread's sigaltstack() is too small for AMX: it must be sysconf(_SC_MINSIGSTKSZ) at least"
             : "Linux refuses AMX to this process, by a seccomp filter for example";
}

std::atomic<const char*> refusal{nullptr};

}  // namespace

bool IsAmdCpu() { return __builtin_cpu_is("amd") != 0; }
bool IsIntelCpu() { return __builtin_cpu_is("intel") != 0; }

const char* AmxIsMissing() {
  static const char* const reason = [] {
    if (!CpuHasAmx()) return "not supported by this CPU, which has no AMX";
    return LinuxKnowsAmx() ? nullptr : "not supported by this Linux: AMX needs 5.16 or later";
  }();
  return reason;
}

const char* AskForAmx() {
  static std::atomic<bool> granted{false};
  if (granted) return nullptr;
  granted = syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
  const int error = errno;
  refusal = granted ? nullptr : RefusalOf(error);
  return refusal;
}

const char* AmxRefusal() { return refusal; }

}  // namespace v0_2
}  // namespace fusedffn

#else

namespace fusedffn {
inline namespace v0_2 {

bool IsAmdCpu() { return false; }
bool IsIntelCpu() { return false; }
const char* AmxIsMissing() { return "x86-64's, on Linux"; }
const char* AskForAmx() { return AmxIsMissing(); }
const char* AmxRefusal() { return nullptr; }

}  // namespace v0_2
}  // namespace fusedffn

#endif

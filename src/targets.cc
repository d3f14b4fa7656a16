#include "src/targets.h"

#include <strings.h>

#include <cstdio>
#include <cstring>

#include "src/environment.h"

namespace fusedffn {
inline namespace v0_2 {

TargetNames::TargetNames(bool supported_only) noexcept {
  const KernelList& all = AllKernels();
  for (const Kernels* kernels = all.kernels; kernels != all.kernels + all.count; ++kernels) {
    if (supported_only && !kernels->supported()) continue;
    const size_t length = std::strlen(text);
    std::snprintf(text + length, sizeof(text) - length, " %s", kernels->name);
  }
}

const char* WhyMissing(const char* name) noexcept {
  const bool older = strcasecmp(name, "SSSE3") == 0 || strcasecmp(name, "SSE4") == 0;
  return older ? "left out, since SSE2 is almost as fast" : "unknown, or not compiled in";
}

Status FindKernels(const char* name, const Kernels** kernels) noexcept {
  const char* reason = WhyMissing(name == nullptr ? "" : name);
  const size_t first = name == nullptr ? TheEnvironment().first_kernels : 0;
  for (size_t i = first; i < AllKernels().count; ++i) {
    const Kernels& candidate = AllKernels().kernels[i];
    const bool wanted = name == nullptr || strcasecmp(name, candidate.name) == 0;
    if (wanted && candidate.supported()) {
      *kernels = &candidate;
      return Status();
    }
    if (wanted) reason = candidate.why_missing();
  }
  return Status(StatusCode::kUnsupportedTarget, "target '%.40s' is %s; these run here:%s",
                name != nullptr ? name : AllKernels().kernels[first].name, reason, TargetNames(true).text);
}

const Target* Targets(size_t* count) noexcept {
  struct List {
    size_t count = AllKernels().count;
    Target targets[kMaxTargets];
    List() {
      const Kernels* chosen = nullptr;
      const bool none = !FindKernels(nullptr, &chosen).ok();
      for (size_t i = 0; i < count; ++i) {
        const Kernels& kernels = AllKernels().kernels[i];
        targets[i] = {kernels.name, kernels.supported(), !none && &kernels == chosen};
      }
    }
  };
  static const List list;
  if (count != nullptr) *count = list.count;
  return list.targets;
}

}  // namespace v0_2
}  // namespace fusedffn

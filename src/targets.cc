#include "src/targets.h"

#include <strings.h>

#include <cstdio>
#include <cstring>

namespace fusedffn {
namespace {

// " AVX3 AVX2 ...", those that run here.
struct SupportedNames {
  char text[160] = "";
  SupportedNames() {
    const KernelList& all = AllKernels();
    for (const Kernels* kernels = all.kernels; kernels != all.kernels + all.count; ++kernels) {
      const size_t length = std::strlen(text);
      if (kernels->supported()) {
        std::snprintf(text + length, sizeof(text) - length, " %s", kernels->name);
      }
    }
  }
};

}  // namespace

Status FindKernels(const char* name, const Kernels** kernels) noexcept {
  const char* reason = "unknown, or not compiled in";
  for (size_t i = 0; i < AllKernels().count; ++i) {
    const Kernels& candidate = AllKernels().kernels[i];
    const bool wanted = name == nullptr || strcasecmp(name, candidate.name) == 0;
    if (wanted && candidate.supported()) {
      *kernels = &candidate;
      return Status();
    }
    if (wanted) reason = "not supported by this CPU";
  }
  return Status(StatusCode::kUnsupportedTarget, "target '%.40s' is %s; these run here:%s", name ? name : "",
                reason, SupportedNames().text);
}

bool BF16DotIsFaster(const char* target) noexcept {
  const Kernels* kernels = nullptr;
  if (!FindKernels(target, &kernels).ok()) return false;
  const GemmKernel* const gemm = kernels->Gemm(Precision::kBF16Dot);
  return gemm != nullptr && gemm->beats_fp32 != nullptr && gemm->beats_fp32();
}

const Target* Targets(size_t* count) noexcept {
  struct List {
    size_t count = AllKernels().count;
    Target targets[kMaxTargets];
    List() {
      for (size_t i = 0; i < count; ++i) {
        const Kernels& kernels = AllKernels().kernels[i];
        const GemmKernel& gemm = *kernels.Gemm(Precision::kF32);
        targets[i] = {kernels.name, kernels.supported(), gemm.mr, gemm.b.nr};
      }
    }
  };
  static const List list;
  if (count != nullptr) *count = list.count;
  return list.targets;
}

}  // namespace fusedffn

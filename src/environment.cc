#include "src/environment.h"

#include <strings.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "kernels/kernels.h"
#include "src/check.h"
#include "src/system/cpu.h"
#include "src/targets.h"

namespace fusedffn {
inline namespace v0_2 {
namespace {

// A number of threads, or in OpenMP's list the first one, with spaces around it or not; else 0.
int ParseThreads(const char* text, bool list) {
  text += std::strspn(text, " \t");
  if (std::isdigit(static_cast<unsigned char>(*text)) == 0) return 0;  // strtol() takes signs as well
  char* end = nullptr;
  errno = 0;
  const long value = std::strtol(text, &end, 10);
  end += std::strspn(end, " \t");
  const bool whole = *end == '\0' || (list && *end == ',');
  return whole && errno == 0 && value <= kMostThreads ? static_cast<int>(value) : 0;
}

Status FindCap(const char* target, size_t* first) {
  for (size_t i = 0; i < AllKernels().count; ++i) {
    if (strcasecmp(target, AllKernels().kernels[i].name) != 0) continue;
    *first = i;
    return Status();
  }
  return Status(StatusCode::kUnsupportedTarget,
                "FUSEDFFN_TARGET is '%.40s', which is %s, and is ignored; known are:%s", target,
                WhyMissing(target), TargetNames(false).text);
}

}  // namespace

Environment ReadEnvironment(const char* target, const char* threads, const char* openmp_threads) noexcept {
  Environment environment;
  if (openmp_threads != nullptr) environment.openmp_threads = ParseThreads(openmp_threads, true);
  if (threads != nullptr && *threads != '\0') {
    environment.threads = ParseThreads(threads, false);
    if (environment.threads == 0) {
      environment.status =
          Status(StatusCode::kInvalidArgument, "FUSEDFFN_THREADS is '%.40s', and ignored; it must be 1 to %d",
                 threads, kMostThreads);
    }
  }
  if (target != nullptr && *target != '\0') {
    const Status status = FindCap(target, &environment.first_kernels);
    if (!status.ok()) environment.status = status;
  }
  return environment;
}

const Environment& TheEnvironment() noexcept {
  static const Environment environment = ReadEnvironment(
      std::getenv("FUSEDFFN_TARGET"), std::getenv("FUSEDFFN_THREADS"), std::getenv("OMP_NUM_THREADS"));
  return environment;
}

int DefaultThreads() noexcept {
  const Environment& environment = TheEnvironment();
  int threads = AffinityCpus();
  for (const int most : {CgroupThreads(), environment.threads, environment.openmp_threads}) {
    if (most > 0) threads = std::min(threads, most);
  }
  return threads;
}

Status EnvironmentStatus() noexcept { return TheEnvironment().status; }

}  // namespace v0_2
}  // namespace fusedffn

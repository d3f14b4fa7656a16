#include "src/system/cpu.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "src/system/float_environment.h"

namespace fusedffn {
inline namespace v0_2 {
namespace {

// quota / period from one cgroup folder, version 2 then 1; 0 if there is none.
double QuotaIn(const std::string& folder) {
  double quota = 0, period = 0;
  std::string word;
  if (std::ifstream v2(folder + "/cpu.max"); v2 >> word >> period) {
    return word == "max" || period <= 0 ? 0 : std::strtod(word.c_str(), nullptr) / period;
  }
  if (std::ifstream v1(folder + "/cpu.cfs_quota_us"); v1 >> quota) {
    std::ifstream(folder + "/cpu.cfs_period_us") >> period;
  }
  return quota > 0 && period > 0 ? quota / period : 0;
}

// The smallest quota of `path` below `mount` and of its parents.
double SmallestQuota(const std::string& mount, std::string path) {
  double smallest = 0;
  while (true) {
    const double quota = QuotaIn(mount + path);
    if (quota > 0 && (smallest == 0 || quota < smallest)) smallest = quota;
    const size_t slash = path.find_last_of('/');
    if (slash == std::string::npos) return smallest;
    path.resize(slash);
  }
}

}  // namespace

int AffinityCpus() {
#if defined(__linux__)
  cpu_set_t usual;  // on the stack, since Run() asks and may not allocate
  if (sched_getaffinity(0, sizeof(usual), &usual) == 0) return std::max(1, CPU_COUNT(&usual));
  // The kernel refuses a mask smaller than its own: there are more than 1,024 CPUs.
  for (int cpus = 2048; cpus <= (1 << 20); cpus *= 2) {
    cpu_set_t* set = CPU_ALLOC(cpus);
    if (set == nullptr) break;
    const size_t bytes = CPU_ALLOC_SIZE(cpus);
    const int count = sched_getaffinity(0, bytes, set) == 0 ? CPU_COUNT_S(bytes, set) : 0;
    CPU_FREE(set);
    if (count > 0) return count;
  }
#endif
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

double CgroupQuotaCpus() {
  // Lines "id:controllers:path"; version 2 has an empty list of controllers.
  double smallest = 0;
  std::ifstream cgroups("/proc/self/cgroup");
  for (std::string line; std::getline(cgroups, line);) {
    const size_t first = line.find(':');
    const size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
    const std::string path = line.substr(second + 1);
    double quota = 0;
    if (controllers == ",,") quota = SmallestQuota("/sys/fs/cgroup", path);
    if (controllers.find(",cpu,") != std::string::npos) quota = SmallestQuota("/sys/fs/cgroup/cpu", path);
    if (quota > 0 && (smallest == 0 || quota < smallest)) smallest = quota;
  }
  return smallest;
}

int CgroupThreads() noexcept {
  static const int threads = [] {
    const FloatEnvironment environment;
    try {
      const double quota = CgroupQuotaCpus();
      return quota > 0 ? std::max(1, static_cast<int>(std::min(std::ceil(quota), 65536.0))) : 0;
    } catch (...) {  // out of memory while reading text files
      return 1;
    }
  }();
  return threads;
}

size_t L2Bytes() {
#if defined(_SC_LEVEL2_CACHE_SIZE)
  // Once: it ends in CPUID, which takes tens of microseconds in a virtual machine.
  static const long bytes = sysconf(_SC_LEVEL2_CACHE_SIZE);
  if (bytes > 0) return static_cast<size_t>(bytes);
#endif
  return size_t{1} << 20;
}

}  // namespace v0_2
}  // namespace fusedffn

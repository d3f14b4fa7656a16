#include "tools/fusedffn/machine.h"

#include <fmt/format.h>
#include <sys/utsname.h>

#include <fstream>

namespace fusedffn::program {
namespace {

std::string FirstLine(const std::string& path) {
  std::string line;
  std::ifstream file(path);
  std::getline(file, line);
  return line;
}

}  // namespace

std::string CpuModel() {
  std::ifstream cpuinfo("/proc/cpuinfo");
  for (std::string line; std::getline(cpuinfo, line);) {
    const size_t colon = line.find(": ");
    if (line.compare(0, 10, "model name") == 0 && colon != std::string::npos) return line.substr(colon + 2);
  }
  // Arm kernels give no name there.
  utsname name;
  return uname(&name) == 0 ? name.machine : "unknown";
}

std::vector<std::string> Caches() {
  std::vector<std::string> caches;
  while (true) {
    const std::string folder = fmt::format("/sys/devices/system/cpu/cpu0/cache/index{}/", caches.size());
    const std::string level = FirstLine(folder + "level");
    if (level.empty()) return caches;
    caches.push_back(
        fmt::format("L{} {}, {}, of CPU{} {}", level, FirstLine(folder + "type"), FirstLine(folder + "size"),
                    FirstLine(folder + "shared_cpu_list").find_first_of(",-") == std::string::npos ? "" : "s",
                    FirstLine(folder + "shared_cpu_list")));
  }
}

}  // namespace fusedffn::program

#include "tools/fusedffn/machine.h"

#include <fmt/format.h>
#include <sys/utsname.h>

#include <cstdlib>
#include <fstream>

namespace fusedffn::program {
namespace {

// What stands behind `start`, and what may separate them, in the first line of a file that begins so; or "".
std::string LineAfter(const std::string& path, const std::string& start) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (line.compare(0, start.size(), start) != 0) continue;
    const size_t text = line.find_first_not_of(": \t", start.size());
    return text == std::string::npos ? "" : line.substr(text);
  }
  return "";
}

std::string FirstLine(const std::string& path) {
  std::string line;
  std::ifstream file(path);
  std::getline(file, line);
  return line;
}

}  // namespace

std::string CpuModel() {
  if (std::string model = LineAfter("/proc/cpuinfo", "model name"); !model.empty()) return model;
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

uint64_t PeakMemory() {
  return 1024 * std::strtoull(LineAfter("/proc/self/status", "VmHWM").c_str(), nullptr, 10);
}

}  // namespace fusedffn::program

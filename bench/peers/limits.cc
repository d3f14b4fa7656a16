// What this machine can do at most, measured in turn with the peers:
//
//   $ peer_limits
//   {"commit": ..., "compiler": ..., "targets": ["AVX3", "AVX2", ...]}       those that run here, best first
//   probe AVX3 2 bf16 0.2                                                    on 2 threads, 0.2 s a probe
//   {"flops": ..., "bytes_per_s": ...}                                       bf16: fp32's way or its own
#include <algorithm>
#include <iostream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "bench/commit.h"
#include "fusedffn/fusedffn.h"
#include "kernels/probe/probe.h"

namespace fusedffn::bench {
namespace {

using Json = nlohmann::ordered_json;

Json Hello() {
  size_t count = 0;
  const Target* targets = Targets(&count);
  Json names = Json::array();
  for (size_t i = 0; i < count; ++i) {
    if (targets[i].supported) names.push_back(targets[i].name);
  }
  return {{"commit", kCommit}, {"compiler", FUSEDFFN_COMPILER}, {"targets", names}};
}

// Operations a second by the fastest way to compute in `dtype`; 0 for an unknown one.
double PeakOf(const std::string& dtype, const char* target, int threads, double seconds) {
  if (dtype == "int8") return ProbePeak(target, Precision::kInt8, threads, seconds);
  const double fma = ProbePeak(target, Precision::kF32, threads, seconds);
  if (dtype == "f32") return fma;
  if (dtype != "bf16" && dtype != "bf16-dot") return 0;
  return std::max(fma, ProbePeak(target, Precision::kBF16Dot, threads, seconds));
}

Json Answer(const std::string& line, const Json& targets) {
  std::istringstream words(line);
  std::string command, target, dtype;
  int threads = 0;
  double seconds = 0;
  words >> command >> target >> threads >> dtype >> seconds;
  const bool known = std::find(targets.begin(), targets.end(), target) != targets.end();
  const double peak = words && command == "probe" && known && threads > 0
                          ? PeakOf(dtype, target.c_str(), threads, seconds)
                          : 0;
  if (peak == 0) {
    return {{"error", "unknown line '" + line + "': accepted is probe TARGET THREADS DTYPE SECONDS"}};
  }
  return {{"flops", peak}, {"bytes_per_s", ProbeReadBandwidth(threads, seconds)}};
}

}  // namespace
}  // namespace fusedffn::bench

int main() {
  const fusedffn::bench::Json hello = fusedffn::bench::Hello();
  std::cout << hello.dump() << std::endl;
  for (std::string line; std::getline(std::cin, line);) {
    std::cout << fusedffn::bench::Answer(line, hello["targets"]).dump() << std::endl;
  }
}

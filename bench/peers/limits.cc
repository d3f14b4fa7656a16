// What this machine can do at most, measured in turn with the peers:
//
//   $ peer_limits
//   {"commit": ..., "compiler": ..., "targets": ["AVX3", "AVX2", ...]}       those that run here, best first
//   probe AVX3 2 bf16 0.2                                                    on 2 threads, 0.2 s a probe
//   {"flops": ..., "tile_flops": ..., "bytes_per_s": ...}                    bf16: fp32's way or its own
#include <algorithm>
#include <iostream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

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

// The ways to compute in `dtype`; none for an unknown one.
std::vector<Precision> WaysOf(const std::string& dtype) {
  if (dtype == "f32") return {Precision::kF32};
  if (dtype == "int8") return {Precision::kInt8};
  if (dtype == "bf16-x3") return {Precision::kBF16x3};
  if (dtype == "bf16" || dtype == "bf16-dot") return {Precision::kF32, Precision::kBF16Dot};
  return {};
}

Json Answer(const std::string& line, const Json& targets) {
  std::istringstream words(line);
  std::string command, target, dtype;
  int threads = 0;
  double seconds = 0;
  words >> command >> target >> threads >> dtype >> seconds;
  const bool known = std::find(targets.begin(), targets.end(), target) != targets.end();
  const std::vector<Precision> ways = WaysOf(dtype);
  if (!words || command != "probe" || !known || threads <= 0 || ways.empty()) {
    return {{"error", "unknown line '" + line + "': accepted is probe TARGET THREADS DTYPE SECONDS"}};
  }
  double peak = 0, tile = 0;  // of the fastest way
  for (const Precision way : ways) {
    peak = std::max(peak, ProbePeak(target.c_str(), way, threads, seconds));
    tile = std::max(tile, ProbeTile(target.c_str(), way, threads, seconds));
  }
  return {{"flops", peak}, {"tile_flops", tile}, {"bytes_per_s", ProbeReadBandwidth(threads, seconds)}};
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

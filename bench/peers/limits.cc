// What this machine can do at most, measured in turn with the peers:
//
//   $ peer_limits
//   {"commit": ..., "compiler": ..., "targets": ["AVX3", "AVX2", ...]}       those that run here, best first
//   probe AVX3 2 0.2                                                         on 2 threads, 0.2 s a probe
//   {"flops": ..., "bytes_per_s": ...}
#include <algorithm>
#include <iostream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "bench/commit.h"
#include "bench/probe.h"
#include "fusedffn/fusedffn.h"

namespace fusedffn {
namespace {

using Json = nlohmann::ordered_json;

Json Hello() {
  size_t count = 0;
  const Target* targets = Targets(&count);
  Json names = Json::array();
  for (size_t i = 0; i < count; ++i) {
    if (targets[i].supported) names.push_back(targets[i].name);
  }
  return {{"commit", kFusedffnCommit}, {"compiler", FUSEDFFN_COMPILER}, {"targets", names}};
}

Json Answer(const std::string& line, const Json& targets) {
  std::istringstream words(line);
  std::string command, target;
  int threads = 0;
  double seconds = 0;
  words >> command >> target >> threads >> seconds;
  const bool known = std::find(targets.begin(), targets.end(), target) != targets.end();
  if (!words || command != "probe" || !known || threads < 1) {
    return {{"error", "unknown line '" + line + "': accepted is probe TARGET THREADS SECONDS"}};
  }
  return {{"flops", ProbeFmaPeak(target.c_str(), threads, seconds)},
          {"bytes_per_s", ProbeReadBandwidth(threads, seconds)}};
}

}  // namespace
}  // namespace fusedffn

int main() {
  const fusedffn::Json hello = fusedffn::Hello();
  std::cout << hello.dump() << std::endl;
  for (std::string line; std::getline(std::cin, line);) {
    std::cout << fusedffn::Answer(line, hello["targets"]).dump() << std::endl;
  }
}

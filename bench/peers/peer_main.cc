// The process around one peer. It speaks lines, so that a driver can let several processes take turns:
//
//   $ peer_mkl --threads=2 --dtype=f32 --variant=packed
//   {"version": ..., "config": ..., "threads": 2, "dtype": "f32"}      or {"error": ...} and exit code 1
//   run 257 warm 0.5                                   257 tokens, the same layer again and again
//   {"best_ms": ..., "median_ms": ..., "runs": ..., "relative_error": ...}      or {"error": ...}
//   run 1 cold 0.5                                     kColdLayers layers in turn
//   ...
//
// until its input ends. The first `run` of a token count checks the result before it times anything.
#include <chrono>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>
#include <stdexcept>

#include "bench/bf16.h"
#include "bench/peers/peer.h"

namespace fusedffn {
namespace {

using Json = nlohmann::ordered_json;

PeerOptions ParseArguments(int argc, char** argv) {
  PeerOptions options;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument.rfind("--threads=", 0) == 0) {
      options.threads = std::atoi(argument.c_str() + 10);
    } else if (argument.rfind("--dtype=", 0) == 0) {
      options.dtype = argument.substr(8);
    } else if (argument.rfind("--variant=", 0) == 0) {
      options.variant = argument.substr(10);
    } else {
      throw std::runtime_error("unknown argument " + argument +
                               ": accepted are --threads=N, --dtype=NAME, --variant=NAME");
    }
  }
  if (options.threads < 1) throw std::runtime_error("--threads=N needs a number from 1");
  return options;
}

Block MakeBlock(const std::string& dtype) {
  Block block = RandomBlock(kClipL, 1);
  return dtype == "f32" || dtype == "int8" ? std::move(block) : InBf16(std::move(block));
}

double MostRelativeError(const std::string& dtype) {
  if (dtype == "f32") return kMaxRelativeError;
  return dtype == "int8" ? kMaxRelativeErrorInt8 : kMaxRelativeErrorBf16;
}

class PeerProcess {
 public:
  explicit PeerProcess(const PeerOptions& options)
      : options_(options), block_(MakeBlock(options.dtype)), peer_(MakePeer(options)) {
    AddLayer();
  }

  Json Hello() const {
    return {{"version", peer_->Version()},
            {"config", peer_->Config()},
            {"threads", options_.threads},
            {"dtype", options_.dtype}};
  }

  Json Answer(const std::string& line) {
    std::istringstream words(line);
    std::string command, mode;
    size_t tokens = 0;
    double seconds = 0;
    words >> command >> tokens >> mode >> seconds;
    if (!words || command != "run" || tokens == 0 || (mode != "warm" && mode != "cold")) {
      throw std::runtime_error("unknown line '" + line + "': accepted is run TOKENS warm|cold SECONDS");
    }
    while (mode == "cold" && layers_ < kColdLayers) AddLayer();
    if (tokens * kClipL.dim != x_.size()) {
      x_ = RandomTokens(kClipL, tokens, 11);
      y_ = Floats(tokens * kClipL.out);
    }
    peer_->Prepare(x_.data(), tokens);
    const double error = Check(tokens);
    Json answer = Time(tokens, mode == "cold" ? kColdLayers : 1, seconds);
    answer["relative_error"] = error;
    return answer;
  }

 private:
  void AddLayer() {
    peer_->AddLayer(block_);
    ++layers_;
  }

  double Check(size_t tokens) {
    const auto [entry, is_new] = errors_.try_emplace(tokens, 0.0);
    if (!is_new) return entry->second;
    std::fill_n(y_.data(), y_.size(), NAN);
    peer_->Run(0, x_.data(), tokens, y_.data());
    entry->second = RelativeError(block_, x_.data(), tokens, y_.data());
    const double most = MostRelativeError(options_.dtype);
    if (entry->second <= most) return entry->second;
    std::ostringstream message;
    message << "wrong result: relative error " << entry->second << ", accepted is up to " << most;
    errors_.erase(entry);
    throw std::runtime_error(message.str());
  }

  Json Time(size_t tokens, size_t layers, double seconds) {
    using Clock = std::chrono::steady_clock;
    constexpr size_t kFewest = 3;
    std::vector<double> ms;
    const auto begin = Clock::now();
    const auto since = [](Clock::time_point start) {
      return std::chrono::duration<double>(Clock::now() - start).count();
    };
    peer_->Run(0, x_.data(), tokens, y_.data());  // wakes threads and fills caches
    for (size_t i = 1; ms.size() < kFewest || since(begin) < seconds; ++i) {
      const auto start = Clock::now();
      peer_->Run(i % layers, x_.data(), tokens, y_.data());
      ms.push_back(1e3 * since(start));
    }
    std::sort(ms.begin(), ms.end());
    return {{"best_ms", ms.front()}, {"median_ms", ms[ms.size() / 2]}, {"runs", ms.size()}};
  }

  PeerOptions options_;
  const Block block_;  // before peer_, which points into it
  std::unique_ptr<Peer> peer_;
  size_t layers_ = 0;
  Floats x_, y_;
  std::map<size_t, double> errors_;  // by token count
};

void PrintLine(const Json& json) { std::cout << json.dump() << std::endl; }

int Main(int argc, char** argv) {
  std::unique_ptr<PeerProcess> process;
  try {
    process = std::make_unique<PeerProcess>(ParseArguments(argc, argv));
    PrintLine(process->Hello());
  } catch (const std::exception& e) {
    PrintLine({{"error", e.what()}});
    return 1;
  }
  for (std::string line; std::getline(std::cin, line);) {
    try {
      PrintLine(process->Answer(line));
    } catch (const std::exception& e) {
      PrintLine({{"error", e.what()}});
    }
  }
  return 0;
}

}  // namespace
}  // namespace fusedffn

int main(int argc, char** argv) { return fusedffn::Main(argc, argv); }

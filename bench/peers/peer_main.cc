// The process around one peer. It speaks lines, so that a driver can let several processes take turns:
//
//   $ peer_mkl --dim=1024 --hidden=4096 --activation=quick_gelu --threads=2 --dtype=f32 --variant=packed
//   {"version": ..., "config": ..., "threads": 2, "dtype": "f32"}      or {"error": ...} and exit code 1
//   run 257 warm 0.5                                   257 tokens, the same layer again and again
//   {"best_ms": ..., "median_ms": ..., "runs": ..., "relative_error": ...}      or {"error": ...}
//   run 1 cold 0.5                                     --cold-layers layers in turn
//   ...
//
// until its input ends. The first `run` of a token count checks the result before it times anything. With
// --gated the block has a gate, and no biases. peer_blocks.py has the blocks that are compared.
#include <chrono>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>
#include <stdexcept>

#include "bench/bf16.h"
#include "bench/peers/peer.h"

namespace fusedffn::bench {
namespace {

using Json = nlohmann::ordered_json;

struct Arguments {
  PeerOptions peer;
  size_t cold_layers = kColdLayers;
};

size_t ParseNumber(const std::string& name, const std::string& value) {
  constexpr long kMost = 1 << 20;
  const long number = std::atol(value.c_str());
  if (number < 1 || number > kMost) throw std::runtime_error(name + "N needs a number from 1 to 1048576");
  return static_cast<size_t>(number);
}

Activation ParseActivation(const std::string& name) {
  std::string names;
  for (const auto& [known, activation] : {std::pair("quick_gelu", Activation::kQuickGelu),
                                          {"gelu", Activation::kGelu},
                                          {"gelu_tanh", Activation::kGeluTanh},
                                          {"silu", Activation::kSilu}}) {
    if (name == known) return activation;
    names += std::string(" ") + known;
  }
  throw std::runtime_error("unknown activation '" + name + "': accepted are" + names);
}

Arguments ParseArguments(int argc, char** argv) {
  Arguments arguments;
  PeerOptions& peer = arguments.peer;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    const size_t end = argument.find('=') + 1;  // 0 if there is none
    const std::string name = end == 0 ? argument : argument.substr(0, end), value = argument.substr(end);
    if (name == "--dim=") {
      peer.shape.dim = peer.shape.out = ParseNumber(name, value);
    } else if (name == "--hidden=") {
      peer.shape.hidden = ParseNumber(name, value);
    } else if (name == "--activation=") {
      peer.activation = ParseActivation(value);
    } else if (name == "--gated") {
      peer.shape.gated = true;
    } else if (name == "--cold-layers=") {
      arguments.cold_layers = ParseNumber(name, value);
    } else if (name == "--threads=") {
      peer.threads = static_cast<int>(ParseNumber(name, value));
    } else if (name == "--dtype=") {
      peer.dtype = value;
    } else if (name == "--variant=") {
      peer.variant = value;
    } else {
      throw std::runtime_error(
          "unknown argument " + argument +
          ": accepted are --dim=N, --hidden=N, --activation=NAME, --gated, --cold-layers=N, "
          "--threads=N, --dtype=NAME, --variant=NAME");
    }
  }
  if (peer.shape.dim == 0 || peer.shape.hidden == 0) throw std::runtime_error("needs --dim=N and --hidden=N");
  return arguments;
}

// "int8", or "int8-128".
bool IsInt8(const PeerOptions& options) { return options.dtype.rfind("int8", 0) == 0; }

Block MakeBlock(const PeerOptions& options) {
  Block block = RandomBlock(options.shape, 1);
  block.activation = options.activation;
  return options.dtype == "f32" || IsInt8(options) ? std::move(block) : InBf16(std::move(block));
}

double MostRelativeError(const PeerOptions& options) {
  if (options.dtype == "f32") return kMaxRelativeError;
  if (!IsInt8(options)) return kMaxRelativeErrorBf16;
  return options.shape.gated ? kMaxRelativeErrorInt8Gated : kMaxRelativeErrorInt8;
}

class PeerProcess {
 public:
  explicit PeerProcess(const Arguments& arguments)
      : options_(arguments.peer),
        cold_layers_(arguments.cold_layers),
        block_(MakeBlock(options_)),
        peer_(MakePeer(options_)) {
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
    while (mode == "cold" && layers_ < cold_layers_) AddLayer();
    const Shape& shape = options_.shape;
    if (tokens * shape.dim != x_.size()) {
      x_ = RandomTokens(shape, tokens, 11);
      y_ = Floats(tokens * shape.out);
    }
    peer_->Prepare(x_.data(), tokens);
    const double error = Check(tokens);
    Json answer = Time(tokens, mode == "cold" ? cold_layers_ : 1, seconds);
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
    const double most = MostRelativeError(options_);
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
  size_t cold_layers_;
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
}  // namespace fusedffn::bench

int main(int argc, char** argv) { return fusedffn::bench::Main(argc, argv); }

// How blocks are run: the options that run and tower have in common, and what follows from them.
#ifndef FUSEDFFN_TOOLS_FUSEDFFN_RUN_OPTIONS_H_
#define FUSEDFFN_TOOLS_FUSEDFFN_RUN_OPTIONS_H_

#include <CLI/App.hpp>
#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "fusedffn/fusedffn.h"
#include "src/models/block.h"
#include "src/models/block_config.h"
#include "src/models/checkpoint.h"

namespace fusedffn::program {

struct Settings {
  std::string activation;  // "": the checkpoint says it
  std::string isa;         // "": the best
  std::string dtype = "f32";
  std::optional<size_t> int8_group;  // none: 1152, or what quantized weights have
  int threads = DefaultThreads();
  size_t repeat = 1;
  bool flush_denormals = false;
};

void AddSettings(CLI::App* command, Settings* settings);

// Throws UsageError for a dtype that the instruction set has not got, or that has no use for --int8-group, so
// before any file is touched. The target's name is that of `settings`. With --dtype auto the precision is
// still to be chosen.
PackOptions PackOptionsOf(const Settings& settings);

RunOptions RunOptionsOf(const Settings& settings);

// Says how many weights of what has been packed are denormal, if any are.
void WarnOfDenormals(size_t count);

// With --dtype auto, the precision for these blocks, one or more, and so many tokens: prints a line that says
// which one, and why. Throws UsageError for an --int8-group that is not that of these weights.
void ChoosePrecision(const Settings& settings, const std::vector<io::Block>& blocks, size_t tokens,
                     PackOptions* options);

// What the names of blocks of one model, one or more, and a config.json beside the checkpoint, say of the
// first. Throws io::Error if one of them is another function than is computed here.
io::BlockActivation KnownOf(const io::Checkpoint& weights, const std::vector<io::Block>& blocks);

// The one that was given, with a warning if another is known; else the known one. Throws UsageError if there
// is neither.
Activation ChooseActivation(const Settings& settings, const io::Block& block,
                            const io::BlockActivation& known);

// FLOP/s that the CPUs reach at most on these settings, of multiply-adds alone and of a tile in the L1 cache.
struct Ceilings {
  double peak, tile;
};

// Measured now.
Ceilings CeilingsOf(const Settings& settings, const PackedFfn& ffn);

// "432.1 GFLOP/s, 91.4 % of peak, 93.0 % of its tile"
std::string RateText(double flops, const Ceilings& ceilings);

}  // namespace fusedffn::program

#endif  // FUSEDFFN_TOOLS_FUSEDFFN_RUN_OPTIONS_H_

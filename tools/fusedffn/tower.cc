// fusedffn tower: the blocks of all layers of a model, one after the other, applied to an array.
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <numeric>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "fusedffn/fusedffn.h"
#include "src/files/error.h"
#include "src/models/block_loader.h"
#include "src/models/layer_stack.h"
#include "tools/fusedffn/arguments.h"
#include "tools/fusedffn/block_workload.h"
#include "tools/fusedffn/commands.h"
#include "tools/fusedffn/io_options.h"
#include "tools/fusedffn/machine.h"
#include "tools/fusedffn/messages.h"
#include "tools/fusedffn/norm_residual_options.h"
#include "tools/fusedffn/prefix_ranges.h"
#include "tools/fusedffn/progress_bar.h"
#include "tools/fusedffn/run_options.h"
#include "tools/fusedffn/timing.h"
#include "tools/fusedffn/units.h"

namespace fusedffn::program {
namespace {

struct Arguments {
  Files files;
  std::optional<std::string> family;  // none: the only one
  std::string layers;                 // "": all
  bool verbose = false;
  Surroundings surroundings;
  Settings settings;
};

struct Loaded {
  std::vector<PackedFfn> layers;
  Norms norms;
  bool residual = false;
  uint64_t file_bytes = 0, packed_bytes = 0;
  double seconds = 0;
};

Loaded Load(const std::vector<io::Block>& blocks, Activation activation, const PackOptions& options) {
  Loaded loaded;
  for (const io::Block& block : blocks) loaded.file_bytes += io::FileBytes(block);
  ProgressBar bar("loading", loaded.file_bytes);
  for (const io::Block& block : blocks) {
    loaded.layers.push_back(
        io::LoadBlock(block, activation, options, [&](uint64_t bytes) { bar.Add(bytes); }));
    loaded.packed_bytes += loaded.layers.back().packed_bytes();
  }
  loaded.seconds = bar.seconds();
  size_t denormals = 0;
  for (const PackedFfn& layer : loaded.layers) denormals += layer.denormals();
  WarnOfDenormals(denormals);
  return loaded;
}

// From x through all layers, once: milliseconds of each. y is worked on in place.
std::vector<double> RunOnce(const Loaded& loaded, const io::Array& x, size_t tokens, RunOptions options,
                            io::Array* y) {
  y->values = x.values;
  if (loaded.residual) options.residual.data = y->values.data();
  std::vector<double> times;
  for (size_t i = 0; i < loaded.layers.size(); ++i) {
    const PackedFfn& layer = loaded.layers[i];
    const size_t dim = layer.shape().dim;
    Norm norm;
    if (!loaded.norms.blocks.empty()) {
      norm = loaded.norms.blocks[i].view();
      options.norm = &norm;
    }
    times.push_back(Milliseconds([&] {
      const Status status =
          fusedffn::Run(layer, y->values.data(), dim, tokens, y->values.data(), dim, options);
      if (!status.ok()) throw std::runtime_error(status.message());
    }));
  }
  return times;
}

struct Times {
  std::vector<double> layers;  // milliseconds of each in the best pass
  Spread passes;
};

Times TimePasses(const Loaded& loaded, const io::Array& x, size_t tokens, const Settings& settings,
                 io::Array* y) {
  const auto run = [&] { return RunOnce(loaded, x, tokens, RunOptionsOf(settings), y); };
  if (settings.repeat > 1) run();  // starts the threads and allocates the scratch memory
  std::vector<double> best, totals;
  for (size_t i = 0; i < settings.repeat; ++i) {
    std::vector<double> times = run();
    totals.push_back(std::accumulate(times.begin(), times.end(), 0.0));
    if (totals.back() <= *std::min_element(totals.begin(), totals.end())) best = std::move(times);
  }
  return {best, SpreadOf(totals)};
}

void PrintNorms(const Norms& norms) {
  const io::FamilyNorm& norm = norms.of;
  const std::string factor = norm.weight_offset == 0 ? "" : fmt::format(" ({} + weight)", norm.weight_offset);
  fmt::print("    behind {} {}{}, eps {}\n", norm.kind == NormKind::kRmsNorm ? "RMSNorm" : "LayerNorm",
             io::Quoted(norm.name), factor, norms.eps);
  if (!norm.behind.empty()) {
    fmt::print("    {}, behind each block of the model, is left out\n", io::Quoted(norm.behind));
  }
}

void PrintTower(const io::Tower& tower, const std::vector<io::Block>& blocks, Activation activation,
                const Loaded& loaded) {
  std::vector<std::string_view> prefixes;
  for (const io::Block& block : blocks) prefixes.push_back(block.prefix);
  for (const std::string& prefix : CollapsePrefixes(prefixes)) fmt::print("{}\n", io::Quoted(prefix));
  const io::Block& first = blocks[0];
  const std::string families = io::NamesOf(first.families);
  fmt::print("    {}: {} of {}, {}, {}\n", families.empty() ? "of no known family" : families,
             Counted(blocks.size(), "layer"), io::ShapeText(first.shape), io::DTypes(first),
             ActivationName(activation));
  if (blocks.size() < tower.layers.size()) {
    fmt::print("    of {} in the checkpoint\n", Counted(tower.layers.size(), "layer"));
  }
  if (!loaded.norms.blocks.empty()) PrintNorms(loaded.norms);
  if (loaded.residual) fmt::print("    x added to each block's y\n");
  fmt::print("    {} bytes of the checkpoint, {} bytes packed, loaded in {:.3f} s\n",
             Grouped(loaded.file_bytes), Grouped(loaded.packed_bytes), loaded.seconds);
}

// `ceilings`: of as many threads.
void PrintTimes(const Times& times, const std::vector<io::Block>& blocks, bool verbose, uint64_t flop,
                const Ceilings& ceilings) {
  if (verbose) {
    for (size_t i = 0; i < blocks.size(); ++i) {
      fmt::print("    {}: {:.3f} ms\n", io::Quoted(blocks[i].prefix), times.layers[i]);
    }
  }
  const Spread layer = SpreadOf(times.layers);
  const double flops = static_cast<double>(flop) / times.passes.min * 1e3;
  fmt::print("    a layer: min {:.3f} ms, median {:.3f} ms, max {:.3f} ms\n", layer.min, layer.median,
             layer.max);
  fmt::print("    total: best {:.3f} ms, median {:.3f} ms, {} FLOP, {}\n", times.passes.min,
             times.passes.median, Grouped(flop), RateText(flops, ceilings));
}

void RunTower(const Arguments& arguments) {
  const auto& [files, family, layers, verbose, surroundings, settings] = arguments;
  PackOptions options = PackOptionsOf(settings);
  const io::Checkpoint weights(files.weights, files.ignored);
  CheckOutput(files, weights);
  const io::Tower tower = io::FindTower(weights, family);
  const std::vector<io::Block> blocks =
      io::LayersOf(weights, tower, layers.empty() ? io::LayerRange() : LayerRangeOf(layers));
  const io::BlockActivation known = KnownOf(weights, blocks);
  const Activation activation = ChooseActivation(settings, blocks[0], known);
  const io::Array x = io::ReadArray(files.input);
  const size_t tokens = TokensOf(files.input, x, blocks[0].shape.dim);
  Norms norms = LoadNorms(surroundings, known, weights, blocks);
  ChoosePrecision(settings, blocks, tokens, &options);
  Loaded loaded = Load(blocks, activation, options);
  loaded.norms = std::move(norms);
  loaded.residual = surroundings.residual;
  io::Array y = x;
  const Times times = TimePasses(loaded, x, tokens, settings, &y);
  const uint64_t peak_memory = PeakMemory();  // before the next line allocates
  if (!files.output.empty()) {
    io::WriteArray(files.output, y);
    OutputIsWritten();
  }
  const Ceilings ceilings = CeilingsOf(settings, loaded.layers[0]);

  PrintTower(tower, blocks, activation, loaded);
  fmt::print("{}, {}, {}, {}\n", io::DimsText(x.shape), loaded.layers[0].target(),
             PrecisionName(loaded.layers[0].precision()),
             Counted(static_cast<uint64_t>(settings.threads), "thread"));
  PrintTimes(times, blocks, verbose, MatmulFlop(blocks[0], tokens, blocks.size()), ceilings);
  fmt::print("    peak memory {} bytes\n", Grouped(peak_memory));
}

void AddChoice(CLI::App* command, Arguments* arguments) {
  command
      ->add_option("--family", arguments->family,
                   "Whose blocks: a family's name as 'fusedffn inspect PATH' tells it, or\n"
                   "their prefix with N for the layer; default the only one with more than\n"
                   "one block")
      ->type_name("NAME");
  command
      ->add_option("--layers", arguments->layers,
                   "Of these layers: N, the first N, or A..B, by their numbers; default all")
      ->type_name("N|A..B")
      ->check(CheckLayers);
}

}  // namespace

void AddTower(CLI::App* app, Action* chosen) {
  CLI::App* command = app->add_subcommand("tower", "Apply the blocks of all layers, one after the other");
  command->footer(
      "As 'fusedffn run', for every layer of a model: y of each block is x of the next,\n"
      "so out must be dim. With --norm and --residual it is the MLP half of a\n"
      "transformer's layers, y = x + block(norm(x)); nothing else of the model is\n"
      "computed, no attention. All layers' weights are kept in memory, packed.\n"
      "\n"
      "Prints the layers; milliseconds of a layer in the best pass; of all layers in the\n"
      "best pass and the median one; operations, GFLOP/s, and how much that is of the\n"
      "cores' peak in that dtype, and of what one tile of it reaches whose operands lie\n"
      "in the L1 cache; and the most memory that the process has held. The operations\n"
      "are those of 'fusedffn info --layers'. With --dtype auto the first line says\n"
      "which dtype that is, and why.\n"
      "\n"
      "Examples:\n"
      "  fusedffn tower --weights clip_l.safetensors --input x.npy --repeat 10\n"
      "  fusedffn tower --weights DeepSeek-OCR --family 'DeepSeek-OCR CLIP-L' \\\n"
      "      --layers 0..11 --input x.npy --output y.npy --verbose\n"
      "  fusedffn tower ... --norm --residual\n");
  const auto arguments = std::make_shared<Arguments>();
  AddWeights(command, &arguments->files.weights);
  AddIgnored(command, &arguments->files.ignored);
  AddChoice(command, arguments.get());
  AddInput(command, &arguments->files.input);
  AddOutput(command, &arguments->files.output);
  AddSurroundings(command, &arguments->surroundings);
  AddSettings(command, &arguments->settings);
  command->add_flag("--verbose", arguments->verbose, "Print each layer's milliseconds, too");
  command->callback([=] { *chosen = [=] { RunTower(*arguments); }; });
}

}  // namespace fusedffn::program

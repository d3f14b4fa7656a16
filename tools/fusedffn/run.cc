// fusedffn run: one block of a checkpoint applied to an array.
#include <fmt/format.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "fusedffn/fusedffn.h"
#include "src/models/block_loader.h"
#include "src/models/checkpoint_blocks.h"
#include "tools/fusedffn/block_workload.h"
#include "tools/fusedffn/commands.h"
#include "tools/fusedffn/io_options.h"
#include "tools/fusedffn/messages.h"
#include "tools/fusedffn/run_options.h"
#include "tools/fusedffn/timing.h"
#include "tools/fusedffn/units.h"

namespace fusedffn::program {
namespace {

struct Arguments {
  Files files;
  std::string layer;
  Settings settings;
};

// Milliseconds of each call.
std::vector<double> TimeRuns(const PackedFfn& ffn, const io::Array& x, size_t tokens,
                             const Settings& settings, io::Array* y) {
  const Shape shape = ffn.shape();
  const auto run = [&] {
    const Status status = fusedffn::Run(ffn, x.values.data(), shape.dim, tokens, y->values.data(), shape.out,
                                        RunOptionsOf(settings));
    if (!status.ok()) throw std::runtime_error(status.message());
  };
  if (settings.repeat > 1) run();  // starts the threads and allocates the scratch memory
  std::vector<double> times;
  for (size_t i = 0; i < settings.repeat; ++i) times.push_back(Milliseconds(run));
  return times;
}

// `ceilings`: of as many threads.
void PrintSummary(const io::Block& block, const PackedFfn& ffn, Activation activation, const io::Array& x,
                  size_t tokens, int threads, const Spread& ms, const Ceilings& ceilings) {
  const double flops = static_cast<double>(MatmulFlop(block, tokens, 1)) / ms.min * 1e3;
  fmt::print("{} -> {}{} -> {}, {}, {}, {}, {}, best {:.3f} ms, median {:.3f} ms, {}\n",
             io::DimsText(x.shape), block.shape.hidden, block.shape.gated ? " gated" : "", block.shape.out,
             ActivationName(activation), ffn.target(), PrecisionName(ffn.precision()),
             Counted(static_cast<uint64_t>(threads), "thread"), ms.min, ms.median, RateText(flops, ceilings));
}

void Run(const Arguments& arguments) {
  const auto& [files, layer, settings] = arguments;
  PackOptions options = PackOptionsOf(settings);
  const io::Checkpoint weights(files.weights, files.ignored);
  CheckOutput(files, weights);
  const io::Block block = io::FindBlock(weights, layer);
  const Activation activation = ChooseActivation(settings, block, KnownOf(weights, {block}));
  const io::Array x = io::ReadArray(files.input);
  const size_t tokens = TokensOf(files.input, x, block.shape.dim);
  ChoosePrecision(settings, {block}, tokens, &options);
  const PackedFfn ffn = io::LoadBlock(block, activation, options);
  WarnOfDenormals(ffn.denormals());
  io::Array y = MakeOutput(files.output, x, tokens, block.shape.out);
  const Spread ms = SpreadOf(TimeRuns(ffn, x, tokens, settings, &y));
  io::WriteArray(files.output, y);
  OutputIsWritten();
  const Ceilings ceilings = CeilingsOf(settings, ffn);
  PrintSummary(block, ffn, activation, x, tokens, settings.threads, ms, ceilings);
}

}  // namespace

void AddRun(CLI::App* app, Action* chosen) {
  CLI::App* command = app->add_subcommand("run", "Apply one block of a checkpoint: y = fc2(act(fc1(x)))");
  command->footer(
      "X is [tokens, dim] or [batch, seq, dim] in float32; Y has the same shape but\n"
      "for the last dimension. Both are .npy (little-endian, C order) or .safetensors\n"
      "(one F32 tensor; Y's is named y). Weights and biases are F32, BF16 or F16; a\n"
      "missing bias is zero. The bits of Y do not depend on the number of threads.\n"
      "\n"
      "A block with gate_proj, up_proj and down_proj, or w1, w3 and w2, is gated:\n"
      "y = down(act(gate(x)) * up(x)).\n"
      "\n"
      "The activation is a matter of the model. Where neither the block's names nor a\n"
      "config.json beside the checkpoint say which one it is, it must be given.\n"
      "\n"
      "Prints one line: shape, activation, instruction set, dtype, threads, milliseconds\n"
      "of the best call and of the median one, GFLOP/s of the best, and how much that is\n"
      "of the cores' peak in that dtype, and of what one tile of it reaches whose\n"
      "operands lie in the L1 cache; both are measured right afterwards. With --dtype\n"
      "auto the line before says which dtype that is, and why.\n"
      "\n"
      "Examples:\n"
      "  fusedffn run --weights clip_l.safetensors \\\n"
      "      --layer model.vision_model.transformer.layers.0.mlp \\\n"
      "      --input x.npy --output y.npy\n"
      "  fusedffn run ... --threads 1 --isa avx2 --repeat 100\n");
  const auto arguments = std::make_shared<Arguments>();
  AddWeights(command, &arguments->files.weights);
  AddIgnored(command, &arguments->files.ignored);
  command
      ->add_option("--layer", arguments->layer,
                   "The block's prefix, before .fc1.weight or .gate_proj.weight;\n"
                   "'fusedffn inspect PATH' lists them")
      ->required()
      ->type_name("PREFIX");
  AddInput(command, &arguments->files.input);
  AddOutput(command, &arguments->files.output)->required();
  AddSettings(command, &arguments->settings);
  command->callback([=] { *chosen = [=] { Run(*arguments); }; });
}

}  // namespace fusedffn::program

// fusedffn run: one block of a checkpoint applied to an array.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "bench/probe.h"
#include "fusedffn/fusedffn.h"
#include "src/io/array_file.h"
#include "src/io/atomic_file.h"
#include "src/io/block_activation.h"
#include "src/io/block_loader.h"
#include "src/io/checkpoint_blocks.h"
#include "src/io/error.h"
#include "tools/fusedffn/arguments.h"
#include "tools/fusedffn/commands.h"

namespace fusedffn::program {
namespace {

struct Arguments {
  std::string weights, layer, input, output;
  std::string activation;  // "": the checkpoint says it
  std::string isa;         // "": the best
  std::string dtype = "f32";
  int threads = DefaultThreads();
  size_t repeat = 1;
};

void RequireOtherFile(const std::string& output, const char* option, const std::string& path) {
  std::error_code error;  // set if either does not exist, and then they are not the same
  if (std::filesystem::equivalent(output, path, error)) {
    throw UsageError(fmt::format("--output {} is the file of {}; it must be another one", output, option));
  }
}

// How many rows of `dim` an input holds.
size_t Tokens(const std::string& path, const io::Array& x, size_t dim) {
  const size_t rank = x.shape.size();
  if ((rank != 2 && rank != 3) || x.shape.back() != dim) {
    throw io::Error(path,
                    fmt::format("shape {} is not accepted; this block takes [tokens, {}] or [batch, seq, {}]",
                                io::DimsText(x.shape), dim, dim));
  }
  return x.values.size() / dim;
}

io::Array MakeOutput(const std::string& path, const io::Array& x, size_t tokens, size_t out) {
  io::Array y;
  y.shape = x.shape;
  y.shape.back() = out;
  if (!io::CheckedMultiply(tokens, out)) {
    throw io::Error(path, fmt::format("{} tokens of {} are too many for memory", tokens, out));
  }
  y.values.resize(tokens * out);
  return y;
}

// Milliseconds of each call, in ascending order.
std::vector<double> TimeRuns(const PackedFfn& ffn, const io::Array& x, size_t tokens,
                             const Arguments& arguments, io::Array* y) {
  const auto run = [&] {
    RunOptions options;
    options.threads = arguments.threads;
    const auto start = std::chrono::steady_clock::now();
    const Status status = fusedffn::Run(ffn, x.values.data(), ffn.shape().dim, tokens, y->values.data(),
                                        ffn.shape().out, options);
    if (!status.ok()) throw std::runtime_error(status.message());
    return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
  };
  if (arguments.repeat > 1) run();  // starts the threads and allocates the scratch memory
  std::vector<double> times;
  for (size_t i = 0; i < arguments.repeat; ++i) times.push_back(run());
  std::sort(times.begin(), times.end());
  return times;
}

// `peak`: FLOP/s of as many threads.
void PrintSummary(const PackedFfn& ffn, Activation activation, const io::Array& x, size_t tokens, int threads,
                  const std::vector<double>& times, double peak) {
  const Shape shape = ffn.shape();
  const double best = times.front();
  const double median = (times[(times.size() - 1) / 2] + times[times.size() / 2]) / 2;
  const double flop = 2.0 * static_cast<double>(tokens) * static_cast<double>(shape.hidden) *
                      static_cast<double>(shape.dim + shape.out);
  const double flops = tokens == 0 ? 0 : flop / best * 1e3;
  fmt::print(
      "{} -> {} -> {}, {}, {}, {}, {} thread{}, best {:.3f} ms, median {:.3f} ms, {:.1f} GFLOP/s, {:.1f} % "
      "of "
      "peak\n",
      io::DimsText(x.shape), shape.hidden, shape.out, ActivationName(activation), ffn.target(),
      PrecisionName(ffn.precision()), threads, threads == 1 ? "" : "s", best, median, flops / 1e9,
      100 * flops / peak);
}

// Refuses a dtype that the instruction set has not got, before any file is touched.
PackOptions OptionsOf(const Arguments& arguments) {
  PackOptions options;
  options.target = arguments.isa.empty() ? nullptr : arguments.isa.c_str();
  options.precision = PrecisionNamed(arguments.dtype);
  PackedFfn smallest;
  const Status status = PackedFfn::Create({1, 1, 1}, Activation::kQuickGelu, options, &smallest);
  if (!status.ok()) throw UsageError(fmt::format("--dtype {}: {}", arguments.dtype, status.message()));
  return options;
}

Activation ChooseActivation(const Arguments& arguments, const io::Checkpoint& weights,
                            const io::Block& block) {
  const io::BlockActivation found =
      io::ActivationOf(block, io::ReadModelConfig(weights.Beside("config.json")));
  if (arguments.activation.empty()) {
    if (found.activation) return *found.activation;
    throw UsageError(fmt::format("the activation of block {} is not known: {}; give --activation",
                                 io::Quoted(block.prefix), found.reason));
  }
  const Activation given = ActivationNamed(arguments.activation);
  if (found.activation && *found.activation != given) {
    fmt::print(stderr, "fusedffn: warning: --activation {}, but the block has {}: {}\n", arguments.activation,
               ActivationName(*found.activation), found.reason);
  }
  return given;
}

void Run(const Arguments& arguments) {
  const PackOptions options = OptionsOf(arguments);
  RequireOtherFile(arguments.output, "--input", arguments.input);
  io::CheckWritable(arguments.output);
  const io::Checkpoint weights(arguments.weights);
  for (const std::string& file : weights.Files()) RequireOtherFile(arguments.output, "--weights", file);

  const io::Block block = io::FindBlock(weights, arguments.layer);
  io::CheckLoadable(block);
  const Activation activation = ChooseActivation(arguments, weights, block);
  const io::Array x = io::ReadArray(arguments.input);
  const size_t tokens = Tokens(arguments.input, x, block.shape.dim);
  const PackedFfn ffn = io::LoadBlock(block, activation, options);
  io::Array y = MakeOutput(arguments.output, x, tokens, block.shape.out);
  const std::vector<double> times = TimeRuns(ffn, x, tokens, arguments, &y);
  // More threads than CPUs have no higher peak.
  const double peak = ProbePeak(ffn.target(), ffn.precision(), std::min(arguments.threads, DefaultThreads()));
  io::WriteArray(arguments.output, y);
  PrintSummary(ffn, activation, x, tokens, arguments.threads, times, peak);
}

void AddFiles(CLI::App* command, Arguments* arguments) {
  command
      ->add_option("--weights", arguments->weights,
                   "Checkpoint: a .safetensors file, a model.safetensors.index.json\n"
                   "(its shards beside it), or a folder with such an index or model.safetensors")
      ->required()
      ->type_name("PATH");
  command
      ->add_option("--layer", arguments->layer,
                   "The block's prefix, before .fc1.weight; 'fusedffn inspect PATH' lists them")
      ->required()
      ->type_name("PREFIX");
  command->add_option("--input", arguments->input, "X, a .npy or .safetensors file")
      ->required()
      ->type_name("FILE")
      ->check(CheckArrayName);
  command
      ->add_option("--output", arguments->output,
                   "Y, likewise; replaced if it exists, once it has been written whole")
      ->required()
      ->type_name("FILE")
      ->check(CheckArrayName);
}

void AddSettings(CLI::App* command, Arguments* arguments) {
  command
      ->add_option(
          "--activation", arguments->activation,
          fmt::format("{};\ndefault: what the block's names or a config.json beside the checkpoint say",
                      fmt::join(ActivationNames(), ", ")))
      ->type_name("NAME")
      ->check(OneOf(ActivationNames()));
  command
      ->add_option("--threads", arguments->threads,
                   fmt::format("1 or more; default {}, the CPUs that this process may use", DefaultThreads()))
      ->type_name("N")
      ->check(WholeNumber(4096));
  command
      ->add_option(
          "--isa", arguments->isa,
          fmt::format("Instruction set, in any case; default the best.\nHere: {}", SupportedTargets()))
      ->type_name("NAME")
      ->check(CheckTarget);
  command
      ->add_option("--dtype", arguments->dtype,
                   "How weights are kept: f32 (default), bf16 (half the memory; the same\n"
                   "bits as f32 if the checkpoint is bf16), bf16-dot (x and hidden values\n"
                   "rounded to bf16 as well; needs a CPU with bf16 instructions) or int8 (a\n"
                   "quarter of the memory, the fastest, and off by about 1 %)")
      ->type_name("NAME")
      ->check(OneOf(PrecisionNames()));
  command
      ->add_option("--repeat", arguments->repeat,
                   "Timed calls, default 1. With 2 or more, an untimed one comes first")
      ->type_name("N")
      ->check(WholeNumber(1000000));
}

}  // namespace

void AddRun(CLI::App* app) {
  CLI::App* command = app->add_subcommand("run", "Apply one block of a checkpoint: y = fc2(act(fc1(x)))");
  command->footer(
      "X is [tokens, dim] or [batch, seq, dim] in float32; Y has the same shape but\n"
      "for the last dimension. Both are .npy (little-endian, C order) or .safetensors\n"
      "(one F32 tensor; Y's is named y). Weights and biases are F32, BF16 or F16; a\n"
      "missing bias is zero. The bits of Y do not depend on the number of threads.\n"
      "\n"
      "The activation is a matter of the model. Where neither the block's names nor a\n"
      "config.json beside the checkpoint say which one it is, it must be given.\n"
      "\n"
      "Prints one line: shape, activation, instruction set, dtype, threads, milliseconds\n"
      "of the best call and of the median one, GFLOP/s of the best, and how much that is\n"
      "of the cores' peak in that dtype, which is measured right afterwards.\n"
      "\n"
      "Examples:\n"
      "  fusedffn run --weights clip_l.safetensors \\\n"
      "      --layer model.vision_model.transformer.layers.0.mlp \\\n"
      "      --input x.npy --output y.npy\n"
      "  fusedffn run ... --threads 1 --isa avx2 --repeat 100\n");
  const auto arguments = std::make_shared<Arguments>();
  AddFiles(command, arguments.get());
  AddSettings(command, arguments.get());
  command->callback([arguments] { Run(*arguments); });
}

}  // namespace fusedffn::program

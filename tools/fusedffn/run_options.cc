#include "tools/fusedffn/run_options.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <new>
#include <optional>
#include <tuple>
#include <utility>

#include "kernels/probe/probe.h"
#include "src/check.h"
#include "src/files/error.h"
#include "src/names.h"
#include "tools/fusedffn/arguments.h"
#include "tools/fusedffn/messages.h"
#include "tools/fusedffn/units.h"

namespace fusedffn::program {
namespace {

constexpr std::pair<const char*, Accuracy> kAutomatic[] = {{"auto", Accuracy::kF32Like},
                                                           {"auto:f32", Accuracy::kF32Like},
                                                           {"auto:bf16", Accuracy::kBF16Like},
                                                           {"auto:int8", Accuracy::kInt8Like}};

std::vector<std::string> DTypeNames() {
  std::vector<std::string> names = PrecisionNames();
  for (const auto& [name, accuracy] : kAutomatic) names.push_back(name);
  return names;
}

// Nothing if a precision was given.
std::optional<Accuracy> AccuracyOf(const std::string& dtype) {
  for (const auto& [name, accuracy] : kAutomatic) {
    if (dtype == name) return accuracy;
  }
  return std::nullopt;
}

// A group that was given and would not be used is an error.
void CheckGroup(const Settings& settings, Precision precision, const std::vector<io::Block>& blocks) {
  if (!settings.int8_group) return;
  const size_t group = *settings.int8_group;
  if (precision != Precision::kInt8) {
    throw UsageError(
        fmt::format("--int8-group {} is of int8, and the weights are kept as {}; leave it out, "
                    "or give --dtype int8",
                    group, PrecisionName(precision)));
  }
  for (const io::Block& block : blocks) {
    const size_t wanted = io::Int8GroupOf(block);
    if (wanted == 0 || wanted == group) continue;
    throw UsageError(
        fmt::format("--int8-group {}, but the weights of block {} are quantized already, in "
                    "groups of {}; leave it out",
                    group, io::Quoted(block.prefix), wanted));
  }
}

// The fastest precision for these blocks, and why, for people to read.
std::pair<Precision, std::string> FastestFor(Accuracy accuracy, const char* target,
                                             const std::vector<io::Block>& blocks, size_t tokens) {
  if (std::any_of(blocks.begin(), blocks.end(), io::IsQuantized)) {
    return {Precision::kInt8, "the checkpoint's weights are quantized"};
  }
  const PrecisionChoice choice = FastestPrecision(accuracy, io::WeightsDType(blocks), target, tokens);
  return {
      choice.precision,
      fmt::format("for {} {}", Counted(tokens, "token"),
                  choice.measured ? "the fastest measured on this kind of CPU"
                                  : "nothing was measured on this kind of CPU, and it changes no weight")};
}

}  // namespace

void AddSettings(CLI::App* command, Settings* settings) {
  command
      ->add_option(
          "--activation", settings->activation,
          fmt::format("{};\ndefault: what the block's names or a config.json beside the checkpoint say",
                      fmt::join(ActivationNames(), ", ")))
      ->type_name("NAME")
      ->check(OneOf(ActivationNames()));
  command
      ->add_option("--threads", settings->threads,
                   fmt::format("1 to {}; default {}, the CPUs that this process may use", kMostThreads,
                               DefaultThreads()))
      ->type_name("N")
      ->check(WholeNumber(kMostThreads));
  command
      ->add_option(
          "--isa", settings->isa,
          fmt::format("Instruction set, in any case; default the best.\nHere: {}", SupportedTargets()))
      ->type_name("NAME")
      ->check(CheckTarget);
  command
      ->add_option("--dtype", settings->dtype,
                   "How weights are kept: f32 (default), bf16 (half the memory; the same\n"
                   "bits as f32 if the checkpoint is bf16), bf16-dot (x and hidden values\n"
                   "rounded to bf16 as well; needs a CPU with bf16 instructions), bf16-x3\n"
                   "(bf16's memory and f32's accuracy by AMX, which it needs) or int8 (a\n"
                   "quarter of the memory, the fastest, and off by 1 to 2 %). Or auto:f32,\n"
                   "auto:bf16 or auto:int8: the fastest that is about as accurate, as far as\n"
                   "it was measured on this kind of CPU; plain auto is auto:f32")
      ->type_name("NAME")
      ->check(OneOf(DTypeNames()));
  command
      ->add_option("--int8-group", settings->int8_group,
                   "With int8, inputs that have a scale in common: 1152 (default), or 128,\n"
                   "which is more exact and slower; quantized weights say it themselves")
      ->type_name("N")
      ->check(OneOf(Int8GroupNames()));
  command
      ->add_option("--repeat", settings->repeat,
                   "Timed calls, default 1. With 2 or more, an untimed one comes first")
      ->type_name("N")
      ->check(WholeNumber(1000000));
  command->add_flag("--flush-denormals", settings->flush_denormals,
                    "Numbers below 2^-126 count as zero: on some CPUs faster, where there are any");
}

PackOptions PackOptionsOf(const Settings& settings) {
  PackOptions options;
  options.target = settings.isa.empty() ? nullptr : settings.isa.c_str();
  options.threads = settings.threads;
  options.int8_group = settings.int8_group.value_or(kInt8GroupSize);
  options.flush_denormals = settings.flush_denormals;
  if (const std::optional<Precision> precision = PrecisionNamed(settings.dtype)) {
    options.precision = *precision;
    CheckGroup(settings, *precision, {});
  }
  PackedFfn smallest;
  const Status status = PackedFfn::Create({1, 1, 1}, Activation::kQuickGelu, options, &smallest);
  if (status.code() == StatusCode::kOutOfMemory) throw std::bad_alloc();
  if (!status.ok()) throw UsageError(fmt::format("--dtype {}: {}", settings.dtype, status.message()));
  return options;
}

RunOptions RunOptionsOf(const Settings& settings) {
  RunOptions options;
  options.threads = settings.threads;
  options.flush_denormals = settings.flush_denormals;
  return options;
}

void WarnOfDenormals(size_t count) {
  if (count == 0) return;
  Warn(fmt::format("{} denormal, which some CPUs are slow with; --flush-denormals makes zeros of them",
                   count == 1 ? "1 weight is" : fmt::format("{} weights are", count)));
}

void ChoosePrecision(const Settings& settings, const std::vector<io::Block>& blocks, size_t tokens,
                     PackOptions* options) {
  std::string why;
  const std::optional<Accuracy> accuracy = AccuracyOf(settings.dtype);
  if (accuracy) std::tie(options->precision, why) = FastestFor(*accuracy, options->target, blocks, tokens);
  CheckGroup(settings, options->precision, blocks);
  if (accuracy) fmt::print("dtype {} -> {}: {}\n", settings.dtype, PrecisionName(options->precision), why);
}

io::BlockActivation KnownOf(const io::Checkpoint& weights, const std::vector<io::Block>& blocks) {
  const io::ModelConfig config = io::ReadModelConfig(weights.Beside("config.json"));
  for (const io::Block& block : blocks) {
    const std::string problem = io::CheckConfig(block, config);
    if (problem.empty()) continue;
    throw io::Error(weights.path(), fmt::format("block {}: {}", io::Quoted(block.prefix), problem));
  }
  return io::ActivationOf(blocks[0], config);
}

Activation ChooseActivation(const Settings& settings, const io::Block& block,
                            const io::BlockActivation& known) {
  if (settings.activation.empty()) {
    if (known.activation) return *known.activation;
    throw UsageError(fmt::format("the activation of block {} is not known: {}; give --activation",
                                 io::Quoted(block.prefix), known.reason));
  }
  const Activation given = ActivationNamed(settings.activation).value();
  if (known.activation && *known.activation != given) {
    Warn(fmt::format("--activation {}, but the block has {}: {}", settings.activation,
                     ActivationName(*known.activation), known.reason));
  }
  return given;
}

Ceilings CeilingsOf(const Settings& settings, const PackedFfn& ffn) {
  // More threads than CPUs have no higher peak.
  const int threads = std::min(settings.threads, DefaultThreads());
  return {ProbePeak(ffn.target(), ffn.precision(), threads, 0.1),
          ProbeTile(ffn.target(), ffn.precision(), threads, 0.1)};
}

std::string RateText(double flops, const Ceilings& ceilings) {
  return fmt::format("{:.1f} GFLOP/s, {:.1f} % of peak, {:.1f} % of its tile", flops / 1e9,
                     100 * flops / ceilings.peak, 100 * flops / ceilings.tile);
}

}  // namespace fusedffn::program

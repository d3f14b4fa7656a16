// fusedffn info: this machine as the library sees it, and what a block costs.
#include <fmt/format.h>
#include <unistd.h>

#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>

#include "fusedffn/fusedffn.h"
#include "kernels/probe/probe.h"
#include "src/system/cpu.h"
#include "tools/fusedffn/accounting.h"
#include "tools/fusedffn/arguments.h"
#include "tools/fusedffn/commands.h"
#include "tools/fusedffn/machine.h"
#include "tools/fusedffn/units.h"

namespace fusedffn::program {
namespace {

struct Arguments {
  Workload workload;
  uint64_t out = 0;  // 0: dim
  std::string dtype = "bf16";
};

const Target& DefaultTarget() {
  size_t count = 0;
  const Target* targets = Targets(&count);
  for (size_t i = 0; i < count; ++i) {
    if (targets[i].is_default) return targets[i];
  }
  throw std::runtime_error("this build has no code for this CPU");
}

// "6x16": of fp32's kernel, as the library describes it; "" where the target does not run.
std::string TileOn(const char* target) {
  PackOptions options;
  options.target = target;
  PackedFfn ffn;
  if (!PackedFfn::Create({1, 1, 1}, Activation::kQuickGelu, options, &ffn).ok()) return "";
  const std::string text = Describe(ffn, 1).text, label = "tile ";
  const size_t at = text.find(label);
  if (at == std::string::npos) return "";
  return text.substr(at + label.size(), text.find('\n', at) - at - label.size());
}

// Why int8, which takes whatever there is on a target, cannot be run on it; "" if it can. Of messages of the
// forms "target 'T' is REASON; these run here: ..." and "target T with int8: REASON" that is the reason.
std::string RefusalOn(const std::string& target) {
  PackOptions options;
  options.target = target.c_str();
  options.precision = Precision::kInt8;
  PackedFfn ffn;
  const Status status = PackedFfn::Create({1, 1, 1}, Activation::kQuickGelu, options, &ffn);
  if (status.ok()) return "";
  const std::string message = status.message();
  const size_t is = message.find(" is "), colon = message.find(": ");
  const size_t begin = is < colon ? is + 4 : colon + 2;
  return message.substr(begin, message.find(';') - begin);
}

// "label  text", the label on the first line only.
class Section {
 public:
  explicit Section(const char* label) : label_(label) {}

  template <class... Values>
  void Line(fmt::format_string<Values...> format, Values&&... values) {
    fmt::print("{:<12} {}\n", label_, fmt::format(format, std::forward<Values>(values)...));
    label_ = "";
  }

 private:
  const char* label_;
};

void PrintTargets() {
  Section section("targets");
  size_t count = 0;
  const Target* targets = Targets(&count);
  for (size_t i = 0; i < count; ++i) {
    const Target& target = targets[i];
    std::string remark = target.is_default ? "the default" : "supported";
    const std::string refusal = RefusalOn(target.name);
    if (!target.supported) remark = refusal;
    if (target.supported && !refusal.empty())
      remark += ", but not for int8, bf16-dot and bf16-x3: " + refusal;
    section.Line("{:<10} {:<11} {}", target.name, target.supported ? "tile " + TileOn(target.name) : "",
                 remark);
  }
}

void PrintMachine() {
  Section("CPU").Line("{}", CpuModel());
  PrintTargets();
  Section caches("caches");
  for (const std::string& cache : Caches()) caches.Line("{}", cache);
  const double quota = CgroupQuotaCpus();
  Section("threads").Line("{} by default: affinity allows {} of {} CPUs online, cgroup quota {}",
                          DefaultThreads(), AffinityCpus(), sysconf(_SC_NPROCESSORS_ONLN),
                          quota > 0 ? fmt::format("{:.2f}", quota) : "none");
}

// Of ProbePeak() or ProbeTile().
void PrintArithmetic(const char* label, decltype(ProbePeak)* probe) {
  constexpr double kSeconds = 0.1;
  Section section(label);
  const char* target = DefaultTarget().name;
  const int threads = DefaultThreads();
  section.Line("{:.1f} GFLOP/s on 1 thread, {}", probe(target, Precision::kF32, 1, kSeconds) / 1e9, target);
  if (threads == 1) return;
  section.Line("{:.1f} GFLOP/s on {} threads", probe(target, Precision::kF32, threads, kSeconds) / 1e9,
               threads);
}

void PrintProbes() {
  PrintArithmetic("FMA peak", ProbePeak);
  PrintArithmetic("tile in L1", ProbeTile);
  Section bandwidth("reading");
  const int threads = DefaultThreads();
  bandwidth.Line("{:.1f} GB/s from memory on 1 thread", ProbeReadBandwidth(1) / 1e9);
  if (threads > 1) bandwidth.Line("{:.1f} GB/s on {} threads", ProbeReadBandwidth(threads) / 1e9, threads);
}

void PrintCounts(const char* name, uint64_t block, uint64_t all, std::string (*scaled)(uint64_t)) {
  fmt::print("  {:<18}{:>16}  {:>12}{:>20}  {:>12}\n", name, Grouped(block), scaled(block), Grouped(all),
             scaled(all));
}

void PrintParameters(const char* name, uint64_t block, uint64_t block_bytes, uint64_t all,
                     uint64_t all_bytes) {
  fmt::print("  {:<18}{:>16}  {:>12}{:>20}  {:>12}\n", name, Grouped(block), Bytes(block_bytes), Grouped(all),
             Bytes(all_bytes));
}

void PrintBytes(const std::string& name, uint64_t bytes) {
  fmt::print("  {:<40}{:>16}  {:>12}\n", name, Grouped(bytes), Bytes(bytes));
}

// What the library itself would hold and do: asked of a real handle, whose weights are never filled in.
void PrintCall(const Workload& workload, uint64_t tokens) {
  const int threads = DefaultThreads();
  fmt::print("\n  bytes that this library allocates, beside the caller's x and y in fp32\n");
  PackedFfn ffn;
  const Shape shape = {workload.dim, workload.hidden, workload.out, workload.gated};
  const Status status = PackedFfn::Create(shape, Activation::kQuickGelu, {}, &ffn);
  if (!status.ok()) {
    fmt::print("  not known: {}\n", status.message());
    return;
  }
  PrintBytes("packed weights and biases, fp32, a block", ffn.packed_bytes());
  PrintBytes("scratch of a call on " + Counted(static_cast<uint64_t>(threads), "thread"),
             WorkspaceBytes(ffn, tokens, threads));
  fmt::print("\n  a call in fp32 here\n");
  std::istringstream lines(Describe(ffn, tokens).text);
  for (std::string line; std::getline(lines, line);) fmt::print("  {}\n", line);
}

void PrintAccounting(const Arguments& arguments) {
  const Workload& workload = arguments.workload;
  const Accounting a = Account(workload);
  const Counts &block = a.block, &all = a.all_layers;
  const bool gated = workload.gated;
  fmt::print("\naccounting of dim {}, hidden {}, out {}{}, batch {} x seq {} = {} tokens, {}\n\n",
             workload.dim, workload.hidden, workload.out, gated ? ", gated" : "", workload.batch,
             workload.seq, a.tokens, arguments.dtype);
  fmt::print("  {:<18}{:>16}  {:>12}{:>20}\n", "", "a block", "", fmt::format("{} layers", workload.layers));
  PrintParameters("weights", block.weights, block.weight_bytes, all.weights, all.weight_bytes);
  PrintParameters("biases", block.biases, block.bias_bytes, all.biases, all.bias_bytes);
  PrintCounts(gated ? "fc1 + up FLOP" : "fc1 FLOP", block.fc1_flop, all.fc1_flop, Flops);
  PrintCounts("activation FLOP", block.activation_flop, all.activation_flop, Flops);
  PrintCounts("fc2 FLOP", block.fc2_flop, all.fc2_flop, Flops);
  PrintCounts(gated ? "fc1 + up + fc2" : "fc1 + fc2", block.matmul_flop, all.matmul_flop, Flops);
  fmt::print("\n  activation bytes of an unfused block, {}\n", arguments.dtype);
  PrintBytes("input", a.input_bytes);
  PrintBytes(gated ? "fc1 output, and as many of up's" : "fc1 output", a.hidden_bytes);
  PrintBytes("output", a.output_bytes);
  PrintBytes("peak", a.unfused_peak_bytes);
  PrintCall(workload, a.tokens);
  if (gated) return;
  fmt::print("\n  each part cut to two decimals, as often quoted: {}\n", QuotedFigures(a, workload.layers));
}

void Info(Arguments arguments) {
  Workload& workload = arguments.workload;
  workload.out = arguments.out == 0 ? workload.dim : arguments.out;
  workload.element_bytes = arguments.dtype == "f32" ? 4 : 2;
  try {
    Account(workload);
  } catch (const std::overflow_error& error) {
    throw UsageError(error.what());  // before anything has been printed
  }
  PrintMachine();
  PrintProbes();
  PrintAccounting(arguments);
}

}  // namespace

void AddInfo(CLI::App* app, Action* chosen) {
  CLI::App* command = app->add_subcommand("info", "Show this machine's limits, and what a block costs");
  command->footer(
      "Measures the peak of the floating-point units, how much of it a tile reaches\n"
      "whose operands lie in the L1 cache, and the speed of reading from memory, which\n"
      "takes about two seconds. The defaults are one image through DeepSeek-OCR's\n"
      "CLIP-L tower.\n"
      "\n"
      "Example:\n"
      "  fusedffn info --dim 1024 --hidden 4096 --batch 8 --seq 257 --layers 24\n");
  const auto arguments = std::make_shared<Arguments>();
  Workload& workload = arguments->workload;
  const auto number = [&](const char* name, uint64_t* value, const char* text) {
    command->add_option(name, *value, text)->type_name("N")->check(WholeNumber(UINT64_MAX));
  };
  number("--dim", &workload.dim, "Columns of x, default 1024");
  number("--hidden", &workload.hidden, "Columns between fc1 and fc2, default 4096");
  number("--out", &arguments->out, "Columns of y, default dim");
  number("--batch", &workload.batch, "Sequences, default 1");
  number("--seq", &workload.seq, "Tokens of each, default 257");
  number("--layers", &workload.layers, "Blocks, default 24");
  command->add_flag("--gated", workload.gated, "With a third layer, up, of fc1's size");
  command->add_option("--dtype", arguments->dtype, "Of weights and activations: f32, bf16 (default) or f16")
      ->type_name("NAME")
      ->check(OneOf({"f32", "bf16", "f16"}));
  command->callback([=] { *chosen = [=] { Info(*arguments); }; });
}

}  // namespace fusedffn::program

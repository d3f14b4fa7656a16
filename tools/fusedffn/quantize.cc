// fusedffn quantize: a copy of a checkpoint whose blocks' weights are in 8 bits.
#include <fmt/format.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "src/files/atomic_file.h"
#include "src/files/error.h"
#include "src/models/checkpoint_blocks.h"
#include "src/models/layer_stack.h"
#include "src/models/quantize_checkpoint.h"
#include "tools/fusedffn/arguments.h"
#include "tools/fusedffn/commands.h"
#include "tools/fusedffn/io_options.h"
#include "tools/fusedffn/messages.h"
#include "tools/fusedffn/prefix_ranges.h"
#include "tools/fusedffn/progress_bar.h"
#include "tools/fusedffn/units.h"

namespace fusedffn::program {
namespace {

struct Arguments {
  std::string weights, output;
  std::vector<std::string> ignored;          // tensors
  std::optional<std::string> layer, family;  // neither: all blocks
  bool blocks_only = false;
  size_t group = kInt8GroupSize;
};

// What a block is copied for instead of being quantized, or "".
std::string ReasonToCopy(const io::BlockListing& listing) {
  if (!listing.problem.empty()) return "not usable: " + listing.problem;
  return io::IsQuantized(listing.block) ? "quantized already" : "";
}

// Those of a family, or all. If all are meant, others are no error, and `copied` tells of them; but those
// that cannot be read might be among those that are meant.
std::vector<io::Block> BlocksOf(const io::Checkpoint& checkpoint, const std::optional<std::string>& family,
                                std::string* copied) {
  std::vector<io::Block> blocks;
  for (const io::BlockPlace& place : io::BlockPlaces(checkpoint)) {
    const io::BlockListing listing = io::ListBlock(checkpoint, place);
    if (family && !io::IsCalled(listing.block, *family)) continue;
    const std::string reason = ReasonToCopy(listing);
    if (reason.empty()) {
      blocks.push_back(listing.block);
      continue;
    }
    const std::string what = fmt::format("{}: {}", io::Quoted(listing.block.prefix), reason);
    if (family || listing.unreadable) throw io::Error(checkpoint.path(), what);
    *copied += what + "\n";
  }
  return blocks;
}

std::vector<io::Block> ChosenBlocks(const io::Checkpoint& checkpoint, const Arguments& arguments,
                                    std::string* copied) {
  if (arguments.layer) {
    const io::Block block = io::FindBlock(checkpoint, *arguments.layer);
    if (!io::IsQuantized(block)) return {block};
    throw io::Error(checkpoint.path(), fmt::format("{}: quantized already", io::Quoted(block.prefix)));
  }
  const std::vector<io::Block> blocks = BlocksOf(checkpoint, arguments.family, copied);
  if (!blocks.empty()) return blocks;
  throw io::Error(
      checkpoint.path(),
      fmt::format("there is no block to quantize{}; {}'fusedffn inspect {}' lists all",
                  arguments.family ? fmt::format(" that is called {}", io::Quoted(*arguments.family)) : "",
                  copied->empty() ? "" : copied->substr(0, copied->find('\n')) + "; ", arguments.weights));
}

void PrintReport(const std::vector<io::Block>& blocks, const io::QuantizePlan& plan,
                 const io::QuantizeReport& report, const std::string& output, double seconds) {
  std::vector<std::vector<std::string_view>> alike;  // prefixes that differ by their numbers only
  for (const io::Block& block : blocks) {
    if (alike.empty() || WithoutNumbers(alike.back()[0]) != WithoutNumbers(block.prefix))
      alike.emplace_back();
    alike.back().push_back(block.prefix);
  }
  for (const std::vector<std::string_view>& prefixes : alike) {
    for (const std::string& prefix : CollapsePrefixes(prefixes)) fmt::print("{}\n", io::Quoted(prefix));
  }
  fmt::print("    {}, {}: {} bytes -> {} bytes with scales\n", Counted(blocks.size(), "block"),
             Counted(report.weights, "weight"), Grouped(report.bytes_before), Grouped(report.bytes_after));
  fmt::print("    relative L2 error of the weights {:.2e}\n", report.RelativeError());
  if (report.not_finite != 0) {
    fmt::print("    {} of {} have a NaN or infinity, and give NaN\n", Grouped(report.not_finite),
               Counted(report.groups, "group"));
  }
  fmt::print("    {} copied, {} bytes\n", Counted(report.copied, "other tensor"),
             Grouped(report.copied_bytes));
  fmt::print("{}: {} bytes of tensors -> a file of {} bytes, in {:.1f} s\n", io::OneLine(output),
             Grouped(plan.bytes()), Grouped(report.file_bytes), seconds);
}

void Quantize(const Arguments& arguments) {
  const io::Checkpoint checkpoint(arguments.weights, arguments.ignored);
  for (const std::string& file : checkpoint.Files()) RequireOtherFile(arguments.output, "--weights", file);
  io::CheckWritable(arguments.output);
  std::string copied;
  const std::vector<io::Block> blocks = ChosenBlocks(checkpoint, arguments, &copied);
  const io::QuantizePlan plan =
      io::PlanQuantized(checkpoint, blocks, !arguments.blocks_only, arguments.group);
  io::QuantizeReport report;
  double seconds = 0;
  {
    ProgressBar bar("quantizing", plan.bytes());
    report = io::WriteQuantized(plan, arguments.output, [&](uint64_t bytes) { bar.Add(bytes); });
    seconds = bar.seconds();
  }
  OutputIsWritten();
  PrintReport(blocks, plan, report, arguments.output, seconds);
  fmt::print("{}", copied);
}

}  // namespace

void AddQuantize(CLI::App* app, Action* chosen) {
  CLI::App* command = app->add_subcommand("quantize", "Copy a checkpoint with its blocks' weights in 8 bits");
  command->footer(
      "Does once what 'fusedffn run --dtype int8' does with each weight when it loads\n"
      "it: from the copy it gives the same bits, and reads a half or a quarter of the\n"
      "bytes. In the copy PREFIX.fc1.weight is I8, and PREFIX.fc1.weight_scale [out,\n"
      "ceil(in / GROUP)] in F32 has what to multiply it with, for each output and each\n"
      "group of inputs. Such blocks run with --dtype int8 only.\n"
      "\n"
      "Biases and all tensors of no block are copied as they are, so that the copy can\n"
      "take the place of the checkpoint. It is one file, even if that was in shards.\n"
      "Nothing beside the checkpoint is copied: where a config.json says the activation,\n"
      "copy that as well. Memory holds a few rows at a time.\n"
      "\n"
      "Prints the blocks; bytes of their weights before and after; how far the weights\n"
      "are off, as relative L2 error; what else was copied; and the size of the file.\n"
      "\n"
      "Examples:\n"
      "  fusedffn quantize --weights clip_l.safetensors --output clip_l_int8.safetensors\n"
      "  fusedffn quantize --weights DeepSeek-OCR --family 'DeepSeek-OCR CLIP-L' \\\n"
      "      --blocks-only --output clip_l_int8.safetensors\n");
  const auto arguments = std::make_shared<Arguments>();
  AddWeights(command, &arguments->weights);
  AddIgnored(command, &arguments->ignored);
  command
      ->add_option("--output", arguments->output,
                   "The copy, a .safetensors file; replaced if it exists, once it has been\nwritten whole")
      ->required()
      ->type_name("FILE")
      ->check(CheckCheckpointName);
  CLI::Option* const layer =
      command->add_option("--layer", arguments->layer, "Only the block at this prefix")->type_name("PREFIX");
  command
      ->add_option("--family", arguments->family,
                   "Only the blocks of the family of this name, or at prefixes like this\n"
                   "with N for the layer; default all blocks of the checkpoint")
      ->type_name("NAME")
      ->excludes(layer);
  command->add_flag("--blocks-only", arguments->blocks_only,
                    "Leave out what does not belong to these blocks");
  command
      ->add_option("--group", arguments->group,
                   "Inputs that have a scale in common: 1152 (default), or 128, which is more\n"
                   "exact and slower")
      ->type_name("N")
      ->check(OneOf(Int8GroupNames()));
  command->callback([=] { *chosen = [=] { Quantize(*arguments); }; });
}

}  // namespace fusedffn::program

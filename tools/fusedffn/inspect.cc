// fusedffn inspect: the blocks that a checkpoint holds, those which differ by their numbers only as one.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "src/files/error.h"
#include "src/models/block_config.h"
#include "src/models/checkpoint_blocks.h"
#include "tools/fusedffn/accounting.h"
#include "tools/fusedffn/arguments.h"
#include "tools/fusedffn/block_workload.h"
#include "tools/fusedffn/commands.h"
#include "tools/fusedffn/io_options.h"
#include "tools/fusedffn/prefix_ranges.h"
#include "tools/fusedffn/units.h"

namespace fusedffn::program {
namespace {

struct Arguments {
  std::string path;
  uint64_t tokens = 0;  // 0: operations are not asked for
};

struct Total {
  uint64_t blocks = 0, bytes = 0, flop = 0;
};

// Blocks that are alike.
struct Group {
  io::Block block;  // one of them
  io::BlockActivation activation;
  std::vector<std::string_view> prefixes;  // of the listings
  Total total;
};

// Which layers have a bias: all, none, or these.
std::string BiasText(const io::Block& block) {
  const std::pair<const std::string&, const io::BlockLayer&> layers[] = {
      {block.layout->gate, block.gate}, {block.layout->up, block.up}, {block.layout->down, block.down}};
  std::vector<std::string> with, without;
  for (const auto& [name, layer] : layers) {
    if (layer.weight) (layer.bias ? with : without).push_back(name);
  }
  if (with.empty()) return "no biases";
  return without.empty() ? "biases" : fmt::format("bias of {}", fmt::join(with, " and "));
}

// What a group's blocks have in common.
std::string Describe(const io::Block& block) {
  const std::string families = io::NamesOf(block.families);
  return fmt::format("{}: {}, {}, {}{}", families.empty() ? "of no known family" : families,
                     io::ShapeText(block.shape), io::DTypes(block), BiasText(block),
                     block.layout->transposed ? ", transposed" : "");
}

std::vector<Group> GroupBlocks(const io::Checkpoint& checkpoint,
                               const std::vector<io::BlockListing>& listings) {
  const io::ModelConfig config = io::ReadModelConfig(checkpoint.Beside("config.json"));
  std::vector<Group> groups;
  std::map<std::string, size_t> index_of;
  for (const auto& [block, problem, unreadable] : listings) {
    if (!problem.empty()) continue;
    const std::string key = WithoutNumbers(block.prefix) + '\n' + Describe(block);
    const auto [index, is_new] = index_of.emplace(key, groups.size());
    if (is_new) {
      groups.push_back({block, io::ActivationOf(block, config), {}, {}});
      groups.back().block.families = groups.back().activation.families;
    }
    groups[index->second].prefixes.push_back(block.prefix);
  }
  return groups;
}

std::string TotalText(const Total& total, const char* kind, uint64_t tokens) {
  return fmt::format("{} {}block{}, {} bytes{}", total.blocks, kind, total.blocks == 1 ? "" : "s",
                     Grouped(total.bytes), tokens == 0 ? "" : ", " + Flops(total.flop));
}

void PrintGroup(const Group& group, uint64_t tokens) {
  for (const std::string& prefix : CollapsePrefixes(group.prefixes)) fmt::print("{}\n", io::Quoted(prefix));
  fmt::print("    {}\n    {}\n", Describe(group.block), TotalText(group.total, "", tokens));
  const io::BlockActivation& known = group.activation;
  if (known.activation) {
    fmt::print("    {}: {}\n", ActivationName(*known.activation), known.reason);
  } else {
    fmt::print("    activation not known, give --activation: {}\n", known.reason);
  }
  if (io::IsQuantized(group.block)) fmt::print("    quantized: give --dtype int8\n");
}

void Add(const Total& more, Total* total) {
  total->blocks += more.blocks;
  total->bytes += more.bytes;
  total->flop = Sum(total->flop, more.flop);
}

// Before anything is printed, since figures may be too large.
Total AddUp(uint64_t tokens, std::vector<Group>* groups) {
  Total usable;
  try {
    for (Group& group : *groups) {
      const uint64_t blocks = group.prefixes.size();
      group.total = {blocks, blocks * io::FileBytes(group.block), MatmulFlop(group.block, tokens, blocks)};
      Add(group.total, &usable);
    }
  } catch (const std::overflow_error& error) {
    throw UsageError(error.what());
  }
  return usable;
}

void Inspect(const Arguments& arguments) {
  const io::Checkpoint checkpoint(arguments.path);
  const std::vector<io::BlockListing> listings = io::ListBlocks(checkpoint);
  const uint64_t tokens = arguments.tokens;
  std::vector<Group> groups = GroupBlocks(checkpoint, listings);
  const Total usable = AddUp(tokens, &groups);
  for (const Group& group : groups) PrintGroup(group, tokens);
  for (const auto& [block, problem, unreadable] : listings) {
    if (!problem.empty()) fmt::print("{}\n    not usable: {}\n", io::Quoted(block.prefix), problem);
  }
  if (listings.empty()) fmt::print("no blocks: {}\n", io::NoBlocks());
  fmt::print("{}{}, among {} tensors\n", TotalText(usable, "usable ", tokens),
             tokens == 0 ? "" : fmt::format(", for {} token{} each", Grouped(tokens), tokens == 1 ? "" : "s"),
             checkpoint.TensorCount());
}

}  // namespace

void AddInspect(CLI::App* app, Action* chosen) {
  CLI::App* command = app->add_subcommand("inspect", "List the feed-forward blocks of a checkpoint");
  command->footer(
      "A block is PREFIX.fc1.weight [hidden, dim] and PREFIX.fc2.weight [out, hidden],\n"
      "with or without PREFIX.fc1.bias [hidden] and PREFIX.fc2.bias [out], in F32,\n"
      "BF16 or F16, or has others of the names that known models have; a gated one has\n"
      "three layers, gate_proj, up_proj and down_proj, or w1, w3 and w2. Its prefix,\n"
      "without the quotes and with one of the numbers in {}, is what 'fusedffn run\n"
      "--layer' takes; '' stands for plain fc1.weight and so on. Told are its family,\n"
      "sizes, activation, and the bytes of all such blocks in the file.\n"
      "\n"
      "Examples:\n"
      "  fusedffn inspect clip_l.safetensors\n"
      "  fusedffn inspect DeepSeek-OCR --tokens 257\n");
  const auto arguments = std::make_shared<Arguments>();
  command->add_option("PATH", arguments->path, kCheckpointHelp)->required()->type_name("");
  command
      ->add_option("--tokens", arguments->tokens,
                   "Tell the operations, too, with so many tokens through each block")
      ->type_name("N")
      ->check(WholeNumber(UINT64_MAX));
  command->callback([=] { *chosen = [=] { Inspect(*arguments); }; });
}

}  // namespace fusedffn::program

// fusedffn inspect: the blocks that a checkpoint holds, those which differ by their numbers only as one.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <map>
#include <memory>
#include <memory_resource>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "src/files/error.h"
#include "src/files/text.h"
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
  std::vector<std::string> ignored;  // tensors
  uint64_t tokens = 0;               // 0: operations are not asked for
};

struct Total {
  uint64_t blocks = 0, bytes = 0, flop = 0;
};

// Blocks that are alike.
struct Group {
  io::BlockPlace first;
  std::vector<std::string_view> prefixes;
  Total total;
};

// Of what is listed only this is kept: there may be a million blocks.
struct Listing {
  std::vector<Group> groups;
  std::vector<std::pair<std::string_view, std::string_view>> unusable;  // prefixes, and their problems
  Total usable;
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

void Add(const Total& more, Total* total) {
  total->blocks += more.blocks;
  total->bytes += more.bytes;
  total->flop = Sum(total->flop, more.flop);
}

// Problems are kept in `memory`.
Listing List(const io::Checkpoint& checkpoint, const io::ModelConfig& config, uint64_t tokens,
             std::pmr::memory_resource* memory) {
  Listing listing;
  std::map<std::string, size_t> index_of;
  for (const io::BlockPlace& place : io::BlockPlaces(checkpoint)) {
    auto [block, problem, unreadable] = io::ListBlock(checkpoint, place);
    if (problem.empty()) problem = io::CheckConfig(block, config);
    if (!problem.empty()) {
      listing.unusable.emplace_back(place.prefix, io::Kept(problem, memory));
      continue;
    }
    std::vector<Group>& groups = listing.groups;
    const std::string key = WithoutNumbers(place.prefix) + '\n' + Describe(block);
    const auto [index, is_new] = index_of.emplace(key, groups.size());
    if (is_new) groups.push_back({place, {}, {}});
    Group& group = groups[index->second];
    group.prefixes.push_back(place.prefix);
    const Total more = {1, io::FileBytes(block), MatmulFlop(block, tokens, 1)};
    Add(more, &group.total);
    Add(more, &listing.usable);
  }
  return listing;
}

// Before anything is printed, since figures may be too large.
Listing ListOrRefuse(const io::Checkpoint& checkpoint, const io::ModelConfig& config, uint64_t tokens,
                     std::pmr::memory_resource* memory) {
  try {
    return List(checkpoint, config, tokens, memory);
  } catch (const std::overflow_error& error) {
    throw UsageError(error.what());
  }
}

std::string TotalText(const Total& total, const char* kind, uint64_t tokens) {
  return fmt::format("{} {}block{}, {} bytes{}", total.blocks, kind, total.blocks == 1 ? "" : "s",
                     Grouped(total.bytes), tokens == 0 ? "" : ", " + Flops(total.flop));
}

void PrintGroup(const io::Checkpoint& checkpoint, const io::ModelConfig& config, const Group& group,
                uint64_t tokens) {
  io::Block block = io::ListBlock(checkpoint, group.first).block;
  const io::BlockActivation known = io::ActivationOf(block, config);
  block.families = known.families;
  for (const std::string& prefix : CollapsePrefixes(group.prefixes)) fmt::print("{}\n", io::Quoted(prefix));
  fmt::print("    {}\n    {}\n", Describe(block), TotalText(group.total, "", tokens));
  if (known.activation) {
    fmt::print("    {}: {}\n", ActivationName(*known.activation), known.reason);
  } else {
    fmt::print("    activation not known, give --activation: {}\n", known.reason);
  }
  if (io::IsQuantized(block)) fmt::print("    quantized: give --dtype int8\n");
}

void Inspect(const Arguments& arguments) {
  const io::Checkpoint checkpoint(arguments.path, arguments.ignored);
  const uint64_t tokens = arguments.tokens;
  std::pmr::monotonic_buffer_resource memory;
  const io::ModelConfig config = io::ReadModelConfig(checkpoint.Beside("config.json"));
  const auto [groups, unusable, usable] = ListOrRefuse(checkpoint, config, tokens, &memory);
  for (const Group& group : groups) PrintGroup(checkpoint, config, group, tokens);
  for (const auto& [prefix, problem] : unusable) {
    fmt::print("{}\n    not usable: {}\n", io::Quoted(prefix), problem);
  }
  if (groups.empty() && unusable.empty()) fmt::print("no blocks: {}\n", io::NoBlocks());
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
      "sizes, activation, and the bytes of all such blocks in the file. A block with\n"
      "more tensors than its layers', or that a config.json makes another function, is\n"
      "told of as not usable, with the reason.\n"
      "\n"
      "Examples:\n"
      "  fusedffn inspect clip_l.safetensors\n"
      "  fusedffn inspect DeepSeek-OCR --tokens 257\n");
  const auto arguments = std::make_shared<Arguments>();
  command->add_option("PATH", arguments->path, kCheckpointHelp)->required()->type_name("");
  AddIgnored(command, &arguments->ignored);
  command
      ->add_option("--tokens", arguments->tokens,
                   "Tell the operations, too, with so many tokens through each block")
      ->type_name("N")
      ->check(WholeNumber(UINT64_MAX));
  command->callback([=] { *chosen = [=] { Inspect(*arguments); }; });
}

}  // namespace fusedffn::program

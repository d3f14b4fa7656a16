// fusedffn inspect: the blocks that a checkpoint holds.
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "src/io/checkpoint_blocks.h"
#include "src/io/error.h"
#include "tools/fusedffn/commands.h"
#include "tools/fusedffn/units.h"

namespace fusedffn::program {
namespace {

const char* BiasText(const io::Block& block) {
  if (block.up.bias && block.down.bias) return "both";
  if (block.up.bias) return "fc1 only";
  return block.down.bias ? "fc2 only" : "none";
}

void Inspect(const std::string& path) {
  const io::Checkpoint checkpoint(path);
  const std::vector<io::BlockListing> listings = io::ListBlocks(checkpoint);
  size_t width = 6;
  for (const auto& [block, problem] : listings) width = std::max(width, io::Quoted(block.prefix).size());
  if (!listings.empty()) {
    fmt::print("{:<{}}  {:>7} {:>7} {:>7}  {:<9} {:<9} {:>15}\n", "prefix", width, "dim", "hidden", "out",
               "dtype", "bias", "bytes");
  }
  uint64_t bytes = 0;
  size_t usable = 0;
  for (const auto& [block, problem] : listings) {
    fmt::print("{:<{}}  ", io::Quoted(block.prefix), width);
    if (!problem.empty()) {
      fmt::print("not usable: {}\n", problem);
      continue;
    }
    fmt::print("{:>7} {:>7} {:>7}  {:<9} {:<9} {:>15}\n", block.shape.dim, block.shape.hidden,
               block.shape.out, io::DTypes(block), BiasText(block), Grouped(io::FileBytes(block)));
    bytes += io::FileBytes(block);
    ++usable;
  }
  fmt::print("{} usable block{} of {} bytes, among {} tensors\n", usable, usable == 1 ? "" : "s",
             Grouped(bytes), checkpoint.TensorCount());
}

}  // namespace

void AddInspect(CLI::App* app) {
  CLI::App* command = app->add_subcommand("inspect", "List the feed-forward blocks of a checkpoint");
  command->footer(
      "A block is PREFIX.fc1.weight [hidden, dim] and PREFIX.fc2.weight [out, hidden],\n"
      "with or without PREFIX.fc1.bias [hidden] and PREFIX.fc2.bias [out], in F32,\n"
      "BF16 or F16. Its prefix, without the quotes, is what 'fusedffn run --layer'\n"
      "takes; '' stands for plain fc1.weight and so on.\n"
      "\n"
      "Example:\n"
      "  fusedffn inspect clip_l.safetensors\n");
  const auto path = std::make_shared<std::string>();
  command
      ->add_option("PATH", *path,
                   "Checkpoint: a .safetensors file, a model.safetensors.index.json, or a folder\n"
                   "with model.safetensors or such an index")
      ->required()
      ->type_name("");
  command->callback([path] { Inspect(*path); });
}

}  // namespace fusedffn::program

#include "src/io/checkpoint_blocks.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <set>
#include <string_view>

#include "src/io/error.h"

namespace fusedffn::io {
namespace {

constexpr Layer kLayers[] = {Layer::kFc1, Layer::kFc2};
constexpr const char* kWeightNames[] = {"fc1.weight", "fc2.weight"};
constexpr const char* kBiasNames[] = {"fc1.bias", "fc2.bias"};

std::string Join(const std::string& prefix, const char* name) {
  return prefix.empty() ? name : prefix + "." + name;
}

std::array<StoredTensor, 4> TensorsOf(const Block& block) {
  return {block.weight[0], block.bias[0], block.weight[1], block.bias[1]};
}

// What is wrong with one tensor of a block, or "".
std::string CheckTensor(const Tensor& tensor, size_t rank) {
  const bool empty = std::find(tensor.shape.begin(), tensor.shape.end(), 0) != tensor.shape.end();
  if (tensor.shape.size() != rank || empty) {
    return fmt::format("{} has shape {}; it must have {} dimension{} of at least 1", Quoted(tensor.name),
                       DimsText(tensor.shape), rank, rank == 1 ? "" : "s");
  }
  if (!UsableDType(tensor)) {
    return fmt::format("{} is of dtype {}; accepted are F32, BF16 and F16", Quoted(tensor.name),
                       Quoted(tensor.dtype));
  }
  return "";
}

// Fills in `block` from its prefix. Returns what is wrong with it, or "".
std::string Resolve(const Checkpoint& checkpoint, Block* block) {
  for (size_t i = 0; i < 2; ++i) {
    const std::string name = Join(block->prefix, kWeightNames[i]);
    block->weight[i] = checkpoint.Find(name);
    if (!block->weight[i]) return fmt::format("there is no tensor {}", Quoted(name));
    if (std::string problem = CheckTensor(*block->weight[i], 2); !problem.empty()) return problem;
  }
  const Tensor& fc1 = *block->weight[0];
  const Tensor& fc2 = *block->weight[1];
  block->shape = {fc1.shape[1], fc1.shape[0], fc2.shape[0]};
  if (fc2.shape[1] != fc1.shape[0]) {
    return fmt::format("{} {} and {} {} do not fit; they must be [hidden, dim] and [out, hidden]",
                       Quoted(fc1.name), DimsText(fc1.shape), Quoted(fc2.name), DimsText(fc2.shape));
  }
  for (size_t i = 0; i < 2; ++i) {
    block->bias[i] = checkpoint.Find(Join(block->prefix, kBiasNames[i]));
    if (!block->bias[i]) continue;
    if (std::string problem = CheckTensor(*block->bias[i], 1); !problem.empty()) return problem;
    if (block->bias[i]->shape[0] != block->weight[i]->shape[0]) {
      return fmt::format("{} has shape {}; beside {} {} it must be [{}]", Quoted(block->bias[i]->name),
                         DimsText(block->bias[i]->shape), Quoted(block->weight[i]->name),
                         DimsText(block->weight[i]->shape), block->weight[i]->shape[0]);
    }
  }
  return "";
}

// Like text, but runs of digits by their value.
bool NaturalLess(std::string_view a, std::string_view b) {
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  const auto take_number = [&](std::string_view* text) {
    while (text->size() > 1 && (*text)[0] == '0' && is_digit((*text)[1])) text->remove_prefix(1);
    const size_t digits = std::find_if_not(text->begin(), text->end(), is_digit) - text->begin();
    const std::string_view number = text->substr(0, digits);
    text->remove_prefix(digits);
    return std::pair(digits, number);
  };
  while (!a.empty() && !b.empty()) {
    if (is_digit(a[0]) && is_digit(b[0])) {
      const auto number_a = take_number(&a), number_b = take_number(&b);
      if (number_a != number_b) return number_a < number_b;
    } else {
      if (a[0] != b[0]) return a[0] < b[0];
      a.remove_prefix(1);
      b.remove_prefix(1);
    }
  }
  return a.size() < b.size();
}

std::vector<std::string> Prefixes(const Checkpoint& checkpoint) {
  std::set<std::string> prefixes;
  for (const std::string& tensor : checkpoint.Names()) {
    for (const std::string_view name : kWeightNames) {
      if (tensor == name) prefixes.insert("");
      if (tensor.size() <= name.size() + 1) continue;
      const size_t dot = tensor.size() - name.size() - 1;
      if (tensor.compare(dot + 1, name.size(), name) == 0 && tensor[dot] == '.') {
        prefixes.insert(tensor.substr(0, dot));
      }
    }
  }
  std::vector<std::string> ordered(prefixes.begin(), prefixes.end());
  std::stable_sort(ordered.begin(), ordered.end(), NaturalLess);
  return ordered;
}

// Names a block that the file does have.
std::string Suggestion(const Checkpoint& checkpoint) {
  const std::vector<std::string> prefixes = Prefixes(checkpoint);
  if (prefixes.empty()) return "the file has no PREFIX.fc1.weight at all";
  return fmt::format("the file has {} block{}, the first of which is {}", prefixes.size(),
                     prefixes.size() == 1 ? "" : "s", Quoted(prefixes[0]));
}

void Check(const Status& status, const Checkpoint& checkpoint, const Block& block) {
  if (!status.ok())
    throw Error(checkpoint.path(), fmt::format("block {}: {}", Quoted(block.prefix), status.message()));
}

void LoadLayer(const Checkpoint& checkpoint, const Block& block, size_t i, PackedFfn* ffn) {
  constexpr uint64_t kChunkBytes = 1 << 20;
  const Tensor& weight = *block.weight[i];
  const DType dtype = *UsableDType(weight);
  const uint64_t rows = weight.shape[0], cols = weight.shape[1];
  const uint64_t row_bytes = (weight.end - weight.begin) / rows;
  const uint64_t chunk_rows = std::clamp<uint64_t>(kChunkBytes / row_bytes, 1, rows);
  std::vector<char> chunk(chunk_rows * row_bytes);
  for (uint64_t row = 0; row < rows; row += chunk_rows) {
    const uint64_t count = std::min(chunk_rows, rows - row);
    block.weight[i].file->Read(weight, row * row_bytes, count * row_bytes, chunk.data());
    Check(ffn->PackRows(kLayers[i], row, count, chunk.data(), dtype, cols), checkpoint, block);
  }
  if (block.bias[i]) {
    const Tensor& bias = *block.bias[i];
    chunk.resize(bias.end - bias.begin);
    block.bias[i].file->Read(bias, 0, chunk.size(), chunk.data());
    Check(ffn->PackBias(kLayers[i], chunk.data(), *UsableDType(bias)), checkpoint, block);
  }
}

}  // namespace

uint64_t FileBytes(const Block& block) {
  uint64_t bytes = 0;
  for (const StoredTensor& tensor : TensorsOf(block)) bytes += tensor ? tensor->end - tensor->begin : 0;
  return bytes;
}

std::string DTypes(const Block& block) {
  std::set<std::string> dtypes;
  for (const StoredTensor& tensor : TensorsOf(block)) {
    if (tensor) dtypes.insert(tensor->dtype);
  }
  return fmt::format("{}", fmt::join(dtypes, "+"));
}

std::vector<BlockListing> ListBlocks(const Checkpoint& checkpoint) {
  std::vector<BlockListing> listings;
  for (const std::string& prefix : Prefixes(checkpoint)) {
    BlockListing& listing = listings.emplace_back();
    listing.block.prefix = prefix;
    try {
      listing.problem = Resolve(checkpoint, &listing.block);
    } catch (const Error& error) {  // a shard that is missing or damaged; others may be fine
      listing.problem = error.what();
    }
  }
  return listings;
}

Block FindBlock(const Checkpoint& checkpoint, const std::string& prefix) {
  Block block;
  block.prefix = prefix;
  const std::string problem = Resolve(checkpoint, &block);
  if (problem.empty()) return block;
  if (!block.weight[0]) throw Error(checkpoint.path(), problem + "; " + Suggestion(checkpoint));
  throw Error(checkpoint.path(), problem);
}

PackedFfn LoadBlock(const Checkpoint& checkpoint, const Block& block, Activation activation,
                    const PackOptions& options) {
  PackedFfn ffn;
  Check(PackedFfn::Create(block.shape, activation, options, &ffn), checkpoint, block);
  for (size_t i = 0; i < 2; ++i) LoadLayer(checkpoint, block, i, &ffn);
  return ffn;
}

}  // namespace fusedffn::io

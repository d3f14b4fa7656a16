#include "src/models/block.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <set>

#include "src/files/error.h"
#include "src/models/quantized_weight.h"
#include "src/models/unused_tensors.h"

namespace fusedffn {
inline namespace v0_2 {
namespace io {
namespace {

std::array<const BlockLayer*, 3> PartsOf(const Block& block) { return {&block.gate, &block.up, &block.down}; }

// "'m.fc1.weight' [4096, 1024]"
std::string Described(const StoredTensor& tensor) {
  return fmt::format("{} {}", Quoted(tensor->name), DimsText(tensor->shape));
}

// What is wrong with the shape of one tensor, or "".
std::string CheckRank(const Tensor& tensor, size_t rank) {
  const bool empty = std::find(tensor.shape.begin(), tensor.shape.end(), 0) != tensor.shape.end();
  if (tensor.shape.size() == rank && !empty) return "";
  return fmt::format("{} has shape {}; it must have {} dimension{} of at least 1", Quoted(tensor.name),
                     DimsText(tensor.shape), rank, rank == 1 ? "" : "s");
}

std::string CheckDType(const Tensor& tensor, const char* more) {
  if (UsableDType(tensor)) return "";
  return fmt::format("{} is of dtype {}; accepted are F32, BF16 and F16{}", Quoted(tensor.name),
                     Quoted(tensor.dtype), more);
}

// Finds a layer's tensors. Returns what is wrong with each for itself, or "".
std::string ReadLayer(const Checkpoint& checkpoint, const std::string& prefix, const std::string& name,
                      const Layout& layout, BlockLayer* layer) {
  const std::string weight = TensorName(prefix, name + ".weight");
  layer->weight = checkpoint.Find(weight);
  if (!layer->weight) return fmt::format("there is no tensor {}", Quoted(weight));
  std::string problem = CheckRank(*layer->weight, 2);
  if (problem.empty() && IsQuantized(*layer->weight)) {
    layer->scale = checkpoint.Find(ScaleName(weight));
    problem = CheckQuantized(layer->weight, layer->scale, layout);
  } else if (problem.empty()) {
    problem = CheckDType(*layer->weight, ", and I8 from 'fusedffn quantize'");
  }
  layer->bias = checkpoint.Find(TensorName(prefix, name + ".bias"));
  if (problem.empty() && layer->bias) problem = CheckRank(*layer->bias, 1);
  if (problem.empty() && layer->bias) problem = CheckDType(*layer->bias, "");
  return problem;
}

// Whether a layer's bias, if it has one, is for `outputs`.
bool BiasFits(const BlockLayer& layer, uint64_t outputs) {
  return !layer.bias || layer.bias->shape[0] == outputs;
}

const char* WantedShapes(const Layout& layout) {
  return layout.transposed ? "[dim, hidden] and [hidden, out]" : "[hidden, dim] and [out, hidden]";
}

// Whether fc1 and fc2 may have been exchanged, or [in, out] taken for [out, in]: the hidden layer is narrower
// than x and y, and no block of a known family is like that, or a bias is not for it.
bool LooksSwapped(const Block& block) {
  const Shape& shape = block.shape;
  if (block.layout->gated() || shape.hidden >= std::min(shape.dim, shape.out)) return false;
  return !block.families.empty() || !BiasFits(block.up, shape.hidden) || !BiasFits(block.down, shape.out);
}

std::string CheckBias(const BlockLayer& layer, const Layout& layout) {
  const uint64_t outputs = OutputsOf(*layer.weight, layout);
  if (BiasFits(layer, outputs)) return "";
  return fmt::format("{} has shape {}; beside {} it must be [{}]", Quoted(layer.bias->name),
                     DimsText(layer.bias->shape), Described(layer.weight), outputs);
}

// Whether the quantized weights, which may be in several files, have the same groups.
std::string CheckGroups(const Block& block) {
  const BlockLayer* first = nullptr;
  for (const BlockLayer* layer : PartsOf(block)) {
    if (!layer->scale) continue;
    if (first == nullptr) first = layer;
    const size_t group = Int8GroupOf(layer->weight.file->metadata());
    const size_t wanted = Int8GroupOf(first->weight.file->metadata());
    if (group == wanted) continue;
    return fmt::format("{} is quantized in groups of {}, and {} of {}; they must be the same",
                       Quoted(first->weight->name), wanted, Quoted(layer->weight->name), group);
  }
  return "";
}

// Whether the layers fit each other. Returns what is wrong, or "".
std::string CheckFit(const Block& block) {
  const Layout& layout = *block.layout;
  const Tensor &up = *block.up.weight, &down = *block.down.weight;
  const uint64_t hidden = OutputsOf(up, layout);
  if (InputsOf(down, layout) != hidden) {
    const bool packed = !layout.gated() && hidden == 2 * InputsOf(down, layout);
    return fmt::format("{} and {} do not fit; they must be {}{}", Described(block.up.weight),
                       Described(block.down.weight), WantedShapes(layout),
                       packed ? ". They look like a gated block with two layers in one tensor" : "");
  }
  if (layout.gated() && block.gate.weight->shape != up.shape) {
    return fmt::format("{} and {} do not fit; they must have one shape", Described(block.gate.weight),
                       Described(block.up.weight));
  }
  if (LooksSwapped(block)) {
    return fmt::format(
        "{} is {} and {} {}: they look swapped, or transposed; they must be {}, with hidden not below "
        "dim, and biases [hidden] and [out]",
        Quoted(up.name), DimsText(up.shape), Quoted(down.name), DimsText(down.shape), WantedShapes(layout));
  }
  for (const BlockLayer* layer : PartsOf(block)) {
    if (!layer->weight) continue;
    if (std::string problem = CheckBias(*layer, layout); !problem.empty()) return problem;
  }
  return CheckGroups(block);
}

}  // namespace

BlockListing ReadBlock(const Checkpoint& checkpoint, const std::string& prefix, const Layout& layout) {
  BlockListing listing;
  Block& block = listing.block;
  block.prefix = prefix;
  block.layout = &layout;
  block.families = FamiliesAt(prefix, layout);
  struct {
    const std::string& name;
    BlockLayer* layer;
  } const parts[] = {{layout.gate, &block.gate}, {layout.up, &block.up}, {layout.down, &block.down}};
  for (const auto& part : parts) {
    if (part.name.empty()) continue;
    listing.problem = ReadLayer(checkpoint, prefix, part.name, layout, part.layer);
    if (!listing.problem.empty()) return listing;
  }
  block.shape = {InputsOf(*block.up.weight, layout), OutputsOf(*block.up.weight, layout),
                 OutputsOf(*block.down.weight, layout), layout.gated()};
  listing.problem = CheckFit(block);
  if (listing.problem.empty()) listing.problem = CheckUnused(checkpoint, block);
  return listing;
}

BlockLayer FindLayer(const Checkpoint& checkpoint, const std::string& name, const Layout& layout) {
  BlockLayer layer;
  std::string problem = ReadLayer(checkpoint, "", name, layout, &layer);
  if (problem.empty()) problem = CheckBias(layer, layout);
  if (problem.empty()) problem = CheckUnused(checkpoint, name, layer);
  if (!problem.empty()) throw Error(checkpoint.path(), problem);
  return layer;
}

uint64_t OutputsOf(const Tensor& weight, const Layout& layout) {
  return weight.shape[layout.transposed ? 1 : 0];
}
uint64_t InputsOf(const Tensor& weight, const Layout& layout) {
  return weight.shape[layout.transposed ? 0 : 1];
}

std::string LayerNames(const Layout& layout) {
  return layout.gated() ? fmt::format("{}, {} and {}", layout.gate, layout.up, layout.down)
                        : fmt::format("{} and {}", layout.up, layout.down);
}

std::string LayerOf(std::string prefix) {
  while (!MatchesPattern(prefix.substr(prefix.rfind('.') + 1), "N")) {
    const size_t dot = prefix.rfind('.');
    if (dot == std::string::npos) return "";
    prefix.resize(dot);
  }
  return prefix;
}

std::string ShapeText(const Shape& shape) {
  return fmt::format("{} -> {}{} -> {}", shape.dim, shape.hidden, shape.gated ? " gated" : "", shape.out);
}

bool IsQuantized(const Block& block) { return Int8GroupOf(block) != 0; }

size_t Int8GroupOf(const Block& block) {
  for (const BlockLayer* layer : PartsOf(block)) {
    if (layer->scale) return Int8GroupOf(layer->weight.file->metadata());
  }
  return 0;
}

DType WeightsDType(const std::vector<Block>& blocks) {
  const DType first = *UsableDType(*blocks[0].up.weight);
  for (const Block& block : blocks) {
    for (const BlockLayer* layer : PartsOf(block)) {
      if (layer->weight && *UsableDType(*layer->weight) != first) return DType::kF32;
    }
  }
  return first;
}

uint64_t FileBytes(const Block& block) {
  uint64_t bytes = 0;
  for (const BlockLayer* layer : PartsOf(block)) {
    for (const StoredTensor& tensor : {layer->weight, layer->bias, layer->scale}) {
      bytes += tensor ? tensor->bytes() : 0;
    }
  }
  return bytes;
}

std::string DTypes(const Block& block) {
  std::set<std::string> dtypes;
  for (const BlockLayer* layer : PartsOf(block)) {
    for (const StoredTensor& tensor : {layer->weight, layer->bias}) {
      if (tensor) dtypes.emplace(tensor->dtype);
    }
  }
  return fmt::format("{}", fmt::join(dtypes, "+"));
}

std::string TensorName(const std::string& prefix, const std::string& name) {
  return prefix.empty() ? name : prefix + "." + name;
}

}  // namespace io
}  // namespace v0_2
}  // namespace fusedffn

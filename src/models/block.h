// Compiled once. A feed-forward block of a checkpoint: which tensors it is made of.
#ifndef FUSEDFFN_SRC_MODELS_BLOCK_H_
#define FUSEDFFN_SRC_MODELS_BLOCK_H_

#include <cstdint>
#include <string>
#include <vector>

#include "fusedffn/fusedffn.h"
#include "src/models/checkpoint.h"
#include "src/models/known_models.h"

namespace fusedffn {
inline namespace v0_2 {
namespace io {

struct BlockLayer {
  StoredTensor weight;
  StoredTensor bias;   // may be empty
  StoredTensor scale;  // of a quantized weight, see quantized_weight.h; else empty
};

// PREFIX.fc1.weight [hidden, dim], PREFIX.fc2.weight [out, hidden], and the biases [hidden] and [out], each
// of which may be absent; other layouts have other names, a third layer, or weights transposed. An empty
// prefix stands for plain fc1.weight and so on. The dimensions are the tensors' own: a model's configuration
// may say something else.
struct Block {
  std::string prefix;
  const Layout* layout = nullptr;
  std::vector<const Family*> families;  // whose names these are: none, one, or several
  Shape shape;
  BlockLayer gate;  // empty if the layout has none; else fc1, whose activation is multiplied by up(x)
  BlockLayer up, down;
};

// Finds the tensors of the block of one layout at `prefix`, and checks that they fit, and that there are no
// others, see unused_tensors.h. `problem`, if there is one, says what was found and what is accepted; then
// the rest is not complete. Throws Error if a shard cannot be read.
struct BlockListing {
  Block block;
  std::string problem;      // "" if the block can be used
  bool unreadable = false;  // the problem is its file's: another time, it may be usable
};
BlockListing ReadBlock(const Checkpoint& checkpoint, const std::string& prefix, const Layout& layout);

// NAME.weight and what belongs to it, as a single layer. Throws Error if it is not there, does not fit, or
// has more than that.
BlockLayer FindLayer(const Checkpoint& checkpoint, const std::string& name, const Layout& layout);

// A prefix up to its last number, which is the layer's; or "".
std::string LayerOf(std::string prefix);

// "fc1 and fc2"
std::string LayerNames(const Layout& layout);

// Output and input features of a weight.
uint64_t OutputsOf(const Tensor& weight, const Layout& layout);
uint64_t InputsOf(const Tensor& weight, const Layout& layout);

// "1024 -> 4096 -> 1024", "1280 -> 6848 gated -> 1280"
std::string ShapeText(const Shape& shape);

// Columns in the groups of its quantized weights, which are the same in all of them; 0 if none is quantized.
size_t Int8GroupOf(const Block& block);
bool IsQuantized(const Block& block);

// That of the weights of these blocks, one or more, none of them quantized; kF32, which has the values of all
// others, if they differ.
DType WeightsDType(const std::vector<Block>& blocks);

// Bytes of its tensors in their files.
uint64_t FileBytes(const Block& block);

// Its weights' and biases' dtypes, each once: "BF16", or "BF16+F32".
std::string DTypes(const Block& block);

// "PREFIX.fc1.weight", for "fc1.weight".
std::string TensorName(const std::string& prefix, const std::string& name);

}  // namespace io
}  // namespace v0_2
}  // namespace fusedffn

#endif  // FUSEDFFN_SRC_MODELS_BLOCK_H_

#include "src/models/norm_weights.h"

#include <fmt/format.h>

#include "src/files/error.h"

namespace fusedffn {
inline namespace v0_2 {
namespace io {
namespace {

// A prefix up to its last number, which is the layer's.
std::string LayerOf(std::string prefix) {
  while (!MatchesPattern(prefix.substr(prefix.rfind('.') + 1), "N")) {
    const size_t dot = prefix.rfind('.');
    if (dot == std::string::npos) return "";
    prefix.resize(dot);
  }
  return prefix;
}

std::vector<char> ReadVector(const Checkpoint& checkpoint, const StoredTensor& tensor, uint64_t size) {
  if (tensor->shape != Dims{size} || !UsableDType(*tensor)) {
    throw Error(checkpoint.path(),
                fmt::format("{} is {} {}; it must be [{}] of F32, BF16 or F16", Quoted(tensor->name),
                            Quoted(tensor->dtype), DimsText(tensor->shape), size));
  }
  std::vector<char> bytes(tensor->bytes());
  tensor.file->Read(*tensor, 0, bytes.size(), bytes.data());
  return bytes;
}

}  // namespace

const FamilyNorm& NormOf(const std::string& path, const Block& block, const BlockActivation& known) {
  const auto fail = [&](const std::string& why) {
    throw Error(path, fmt::format("block {}: {}", Quoted(block.prefix), why));
  };
  if (known.families.empty()) fail("its names are of no known family, so its norm's are not known");
  const Family& first = *known.families[0];
  const std::string names = fmt::format("its names are those of {}", NamesOf(known.families));
  for (const Family* family : known.families) {
    if (family->norm.name.empty()) {
      fail(fmt::format("{}, and {} is not known to be x + block(norm(x))", names, family->name));
    }
  }
  if (block.layout->gated() && !known.model_is_told) {
    fail(
        fmt::format("{}, and of models with other norms: which it is, a config.json beside the checkpoint "
                    "must say, with a model_type of theirs, such as {}",
                    names, Quoted(first.model_types.at(0))));
  }
  for (const Family* family : known.families) {
    if (!IsSameNorm(family->norm, first.norm)) fail(names + ", whose norms differ");
  }
  return first.norm;
}

void RequirePlainResidual(const std::string& path, const Block& block, const BlockActivation& known,
                          const FamilyNorm& norm) {
  if (norm.behind.empty()) return;
  throw Error(path, fmt::format("block {}: the layers of {} are x + norm(block(norm(x))): {}, behind the "
                                "block, is not computed here, so x + block(norm(x)) is not the model's",
                                Quoted(block.prefix), NamesOf(known.families), Quoted(norm.behind)));
}

LoadedNorm LoadNorm(const Checkpoint& checkpoint, const Block& block, const FamilyNorm& norm, double eps) {
  const std::string name = TensorName(LayerOf(block.prefix), norm.name);
  const StoredTensor weight = checkpoint.Find(name + ".weight"), bias = checkpoint.Find(name + ".bias");
  if (!weight) {
    throw Error(checkpoint.path(), fmt::format("there is no tensor {}, the norm in front of block {}",
                                               Quoted(name + ".weight"), Quoted(block.prefix)));
  }
  LoadedNorm loaded;
  loaded.kind = norm.kind;
  loaded.eps = eps;
  loaded.weight_offset = norm.weight_offset;
  loaded.weight = ReadVector(checkpoint, weight, block.shape.dim);
  loaded.dtype = *UsableDType(*weight);
  if (!bias) return loaded;
  loaded.bias = ReadVector(checkpoint, bias, block.shape.dim);
  if (bias->dtype != weight->dtype) {
    throw Error(checkpoint.path(),
                fmt::format("{} is {} and {} is {}; they must be alike", Quoted(weight->name),
                            Quoted(weight->dtype), Quoted(bias->name), Quoted(bias->dtype)));
  }
  return loaded;
}

}  // namespace io
}  // namespace v0_2
}  // namespace fusedffn

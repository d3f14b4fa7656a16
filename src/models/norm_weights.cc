#include "src/models/norm_weights.h"

#include <fmt/format.h>

#include "src/files/error.h"
#include "src/models/unused_tensors.h"

namespace fusedffn {
inline namespace v0_2 {
namespace io {
namespace {

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
  if ((block.layout->gated() || first.norm.told) && !known.model_is_told) {
    fail(
        fmt::format("{}, and of models with other norms: which it is, a config.json beside the checkpoint "
                    "must say, with a model_type of theirs, such as {}",
                    names, Quoted(first.model_types.at(0))));
  }
  const bool may_be_told = !first.model_types.empty() || !first.parents.empty();
  if (may_be_told && !known.model_is_told && !known.other_model.empty()) {
    fail(fmt::format(
        "{}, and config.json has model_type {}, which is none of theirs, so its norm is not known", names,
        Quoted(known.other_model)));
  }
  for (const Family* family : known.families) {
    if (!IsSameNorm(family->norm, first.norm)) fail(names + ", whose norms differ");
  }
  return first.norm;
}

void RequirePlainResidual(const Checkpoint& checkpoint, const Block& block, const BlockActivation& known,
                          const FamilyNorm& norm) {
  const auto fail = [&](const std::string& why) {
    throw Error(checkpoint.path(), fmt::format("block {}: {}", Quoted(block.prefix), why));
  };
  if (!norm.behind.empty()) {
    fail(fmt::format(
        "the layers of {} are x + norm(block(norm(x))): {}, behind the block, is not computed here, so "
        "x + block(norm(x)) is not the model's",
        NamesOf(known.families), Quoted(norm.behind)));
  }
  if (!known.residual_problem.empty()) fail(known.residual_problem);
  const std::string problem = CheckUnusedInLayer(checkpoint, LayerOf(block.prefix), block, {norm.name});
  if (!problem.empty()) fail(problem);
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
  if (!bias && norm.kind == NormKind::kLayerNorm) {
    throw Error(
        checkpoint.path(),
        fmt::format(
            "there is no tensor {}: the norm in front of block {} is not the LayerNorm that its models "
            "have, and may be one without a mean",
            Quoted(name + ".bias"), Quoted(block.prefix)));
  }
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

#include "src/models/quantized_weight.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "fusedffn/fusedffn.h"
#include "kernels/gemm.h"
#include "src/files/error.h"
#include "src/models/block.h"

namespace fusedffn {
inline namespace v0_2 {
namespace io {

namespace {

constexpr char kVersionKey[] = "fusedffn.int8.version", kGroupKey[] = "fusedffn.int8.group";

struct Version {
  const char* name;
  size_t group;
  const char* group_text;
};
constexpr Version kVersions[] = {{"1", kInt8GroupSize, "1152"}, {"2", kSmallInt8GroupSize, "128"}};

// Null if the file has none, or an unknown one.
const Version* VersionOf(const Metadata& metadata) {
  const auto found = metadata.find(kVersionKey);
  if (found == metadata.end()) return nullptr;
  const auto* const version = std::find_if(std::begin(kVersions), std::end(kVersions),
                                           [&](const Version& v) { return found->second == v.name; });
  return version == std::end(kVersions) ? nullptr : version;
}

// What is wrong with a file's metadata, or "".
std::string CheckMetadata(const Metadata& metadata) {
  if (Int8GroupOf(metadata) != 0) return "";
  const Version* const version = VersionOf(metadata);
  const char* const key = version == nullptr ? kVersionKey : kGroupKey;
  const std::string wanted =
      version == nullptr
          ? fmt::format("{} or {}", Quoted(kVersions[0].name), Quoted(kVersions[1].name))
          : fmt::format("{} in version {}", Quoted(version->group_text), Quoted(version->name));
  const auto found = metadata.find(key);
  return fmt::format("must have {} {}, and has {}", key, wanted,
                     found == metadata.end() ? "none" : Quoted(found->second));
}

}  // namespace

Metadata Int8Metadata(size_t group) {
  const auto* const version = std::find_if(std::begin(kVersions), std::end(kVersions),
                                           [&](const Version& v) { return v.group == group; });
  return {{kVersionKey, version->name}, {kGroupKey, version->group_text}};
}

size_t Int8GroupOf(const Metadata& metadata) {
  const Version* const version = VersionOf(metadata);
  if (version == nullptr) return 0;
  const auto found = metadata.find(kGroupKey);
  return found != metadata.end() && found->second == version->group_text ? version->group : 0;
}

bool IsQuantized(const Tensor& weight) { return weight.dtype == "I8"; }

std::string ScaleName(std::string_view weight_name) { return std::string(weight_name) + "_scale"; }

Dims ScaleShape(const Tensor& weight, const Layout& layout, size_t group) {
  return {OutputsOf(weight, layout), Int8Groups(InputsOf(weight, layout), group)};
}

std::string CheckQuantized(const StoredTensor& weight, const StoredTensor& scale, const Layout& layout) {
  const std::string problem = CheckMetadata(weight.file->metadata());
  if (!problem.empty()) {
    return fmt::format(
        "{} is of dtype 'I8', and accepted is only what 'fusedffn quantize' has written: its file's "
        "__metadata__ {}",
        Quoted(weight->name), problem);
  }
  if (!scale) {
    return fmt::format("{} is of dtype 'I8', and there is no tensor {} beside it", Quoted(weight->name),
                       Quoted(ScaleName(weight->name)));
  }
  const size_t group = Int8GroupOf(weight.file->metadata());
  const Dims wanted = ScaleShape(*weight, layout, group);
  if (scale->dtype == "F32" && scale->shape == wanted) return "";
  return fmt::format(
      "{} has dtype {} and shape {}; beside {} {} it must be F32 {}, a scale for each output and {} inputs",
      Quoted(scale->name), Quoted(scale->dtype), DimsText(scale->shape), Quoted(weight->name),
      DimsText(weight->shape), DimsText(wanted), group);
}

}  // namespace io
}  // namespace v0_2
}  // namespace fusedffn

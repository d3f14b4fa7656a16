#include "src/io/quantized_weight.h"

#include <fmt/format.h>

#include "fusedffn/fusedffn.h"
#include "src/io/block.h"
#include "src/io/error.h"

namespace fusedffn::io {

const Metadata& Int8Metadata() {
  static const Metadata metadata = {{"fusedffn.int8.version", "1"},
                                    {"fusedffn.int8.group", std::to_string(kInt8GroupSize)}};
  return metadata;
}

bool IsQuantized(const Tensor& weight) { return weight.dtype == "I8"; }

std::string ScaleName(const std::string& weight_name) { return weight_name + "_scale"; }

Dims ScaleShape(const Tensor& weight, const Layout& layout) {
  return {OutputsOf(weight, layout), Int8Groups(InputsOf(weight, layout))};
}

std::string CheckQuantized(const StoredTensor& weight, const StoredTensor& scale, const Layout& layout) {
  const Metadata& metadata = weight.file->metadata();
  for (const auto& [key, wanted] : Int8Metadata()) {
    const auto found = metadata.find(key);
    if (found != metadata.end() && found->second == wanted) continue;
    return fmt::format(
        "{} is of dtype 'I8', and accepted is only what 'fusedffn quantize' has written: its file's "
        "__metadata__ must have {} {}, and has {}",
        Quoted(weight->name), key, Quoted(wanted), found == metadata.end() ? "none" : Quoted(found->second));
  }
  if (!scale) {
    return fmt::format("{} is of dtype 'I8', and there is no tensor {} beside it", Quoted(weight->name),
                       Quoted(ScaleName(weight->name)));
  }
  const Dims wanted = ScaleShape(*weight, layout);
  if (scale->dtype == "F32" && scale->shape == wanted) return "";
  return fmt::format(
      "{} has dtype {} and shape {}; beside {} {} it must be F32 {}, a scale for each output and {} inputs",
      Quoted(scale->name), Quoted(scale->dtype), DimsText(scale->shape), Quoted(weight->name),
      DimsText(weight->shape), DimsText(wanted), kInt8GroupSize);
}

}  // namespace fusedffn::io

// Compiled once. How a safetensors file holds weights that are quantized for Precision::kInt8:
//
//   PREFIX.fc1.weight        I8   [out, in], or [in, out] where the layout is transposed: q
//   PREFIX.fc1.weight_scale  F32  [out, Int8Groups(in, group)]
//   __metadata__             Int8Metadata(group)
//
// Groups of 1152 are version 1 of this description, and those of 128 version 2. Without the metadata nobody
// could tell these from other programs' I8 weights, which have other groups or zero points, so it is
// required.
#ifndef FUSEDFFN_SRC_MODELS_QUANTIZED_WEIGHT_H_
#define FUSEDFFN_SRC_MODELS_QUANTIZED_WEIGHT_H_

#include <string>
#include <string_view>

#include "src/files/safetensors.h"
#include "src/models/checkpoint.h"
#include "src/models/known_models.h"

namespace fusedffn {
inline namespace v0_2 {
namespace io {

// Of the file that holds such a weight: the version of this description, and columns in a group, which must
// be one that PackOptions takes.
Metadata Int8Metadata(size_t group);

// Columns in a group of the weights of a file; 0 if its metadata is that of no version.
size_t Int8GroupOf(const Metadata& metadata);

// By its dtype.
bool IsQuantized(const Tensor& weight);

// Name and shape of the scales of a weight.
std::string ScaleName(std::string_view weight_name);
Dims ScaleShape(const Tensor& weight, const Layout& layout, size_t group);

// What is wrong with a quantized weight and its scales, which may be empty; or "".
std::string CheckQuantized(const StoredTensor& weight, const StoredTensor& scale, const Layout& layout);

}  // namespace io
}  // namespace v0_2
}  // namespace fusedffn

#endif  // FUSEDFFN_SRC_MODELS_QUANTIZED_WEIGHT_H_

// Compiled once. An array of floats in a file of its own, .npy or .safetensors by the name's ending.
#ifndef FUSEDFFN_SRC_FILES_ARRAY_FILE_H_
#define FUSEDFFN_SRC_FILES_ARRAY_FILE_H_

#include <string>
#include <vector>

#include "src/files/shape.h"

namespace fusedffn {
inline namespace v0_2 {
namespace io {

struct Array {
  Dims shape;
  std::vector<float> values;  // row-major; as many as `shape` says
};

bool IsArrayFileName(const std::string& path);  // ends in .npy or .safetensors

// A .safetensors file must hold one F32 tensor and no other. Throws Error.
Array ReadArray(const std::string& path);

// A .safetensors file gets one tensor, named "y". Whole or not at all. Throws Error.
void WriteArray(const std::string& path, const Array& array);

}  // namespace io
}  // namespace v0_2
}  // namespace fusedffn

#endif  // FUSEDFFN_SRC_FILES_ARRAY_FILE_H_

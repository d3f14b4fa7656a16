#include "src/files/array_file.h"

#include <fmt/format.h>

#include "src/files/error.h"
#include "src/files/npy.h"
#include "src/files/safetensors.h"
#include "src/files/text.h"

namespace fusedffn {
inline namespace v0_2 {
namespace io {
namespace {

bool IsNpy(const std::string& path) { return EndsIn(path, ".npy"); }
bool IsSafetensors(const std::string& path) { return EndsIn(path, ".safetensors"); }

Array ReadOnlyTensor(const std::string& path) {
  const SafetensorsFile file(path);
  if (file.tensors().size() != 1) {
    throw Error(path, fmt::format("holds {} tensors; an array's file must hold one", file.tensors().size()));
  }
  const Tensor& tensor = file.tensors()[0];
  if (tensor.dtype != "F32") {
    throw Error(path, fmt::format("tensor {} is of dtype {}; an array must be F32", Quoted(tensor.name),
                                  Quoted(tensor.dtype)));
  }
  Array array{tensor.shape, std::vector<float>(tensor.bytes() / sizeof(float))};
  file.Read(tensor, 0, tensor.bytes(), array.values.data());
  return array;
}

}  // namespace

bool IsArrayFileName(const std::string& path) { return IsNpy(path) || IsSafetensors(path); }

Array ReadArray(const std::string& path) {
  return IsSafetensors(path) ? ReadOnlyTensor(path) : ReadNpy(path);
}

void WriteArray(const std::string& path, const Array& array) {
  if (IsSafetensors(path)) {
    WriteSafetensors(path, {{"y", "F32", array.shape, array.values.data()}});
  } else {
    WriteNpy(path, array);
  }
}

}  // namespace io
}  // namespace v0_2
}  // namespace fusedffn

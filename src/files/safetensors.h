// Compiled once. The safetensors format, read strictly:
//
//   8 bytes: N, little-endian | N bytes: JSON header | the tensors' bytes, one after another to the file's
//   end
//   {"__metadata__": {text: text}, "NAME": {"dtype": "BF16", "shape": [4096, 1024], "data_offsets": [0,
//   8388608]}}
//
// Refused is every file that readers could understand in two ways: holes, overlaps and bytes after the last
// tensor, sizes that do not follow from dtype and shape, repeated or unknown keys, products that overflow.
#ifndef FUSEDFFN_SRC_FILES_SAFETENSORS_H_
#define FUSEDFFN_SRC_FILES_SAFETENSORS_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory_resource>
#include <string>
#include <string_view>
#include <vector>

#include "src/files/atomic_file.h"
#include "src/files/input_file.h"
#include "src/files/shape.h"

namespace fusedffn {
inline namespace v0_2 {
namespace io {

// Name and shape are views of what a SafetensorsFile keeps as long as it lives, or of what the caller has who
// writes a file.
struct Tensor {
  std::string_view name;
  std::string_view dtype;       // as the format spells it: "F32", "BF16", "I64", ...
  DimsView shape;               // [] is a scalar
  uint64_t begin = 0, end = 0;  // bytes, from the start of the tensors' part of the file

  uint64_t bytes() const { return end - begin; }
};

using Metadata = std::pmr::map<std::string_view, std::string_view>;  // views likewise

class SafetensorsFile {
 public:
  // Reads and checks the header, no tensor. Takes memory in proportion to the header, which is at most 100
  // MB: while it reads, with very many tensors up to 4 times its bytes, and less afterwards.
  explicit SafetensorsFile(const std::string& path);

  const std::string& path() const { return file_.path(); }
  const std::vector<Tensor>& tensors() const { return tensors_; }  // by name
  const Metadata& metadata() const { return metadata_; }
  const Tensor* Find(std::string_view name) const;  // null if there is none

  // Bytes [first, first + bytes) of a tensor of this file. Thread-safe.
  void Read(const Tensor& tensor, uint64_t first, size_t bytes, void* to) const;

 private:
  InputFile file_;
  std::pmr::monotonic_buffer_resource memory_;  // of all names, shapes and metadata
  std::vector<Tensor> tensors_;
  Metadata metadata_{&memory_};
  uint64_t data_start_ = 0;
};

struct TensorData {
  std::string name;
  std::string dtype;
  Dims shape;
  const void* data;
};

// Writes the whole file or nothing. Tensors stand in the order given.
void WriteSafetensors(const std::string& path, const std::vector<TensorData>& tensors,
                      const Metadata& metadata = {});

// The same in pieces, for tensors that memory should not hold.
class SafetensorsWriter {
 public:
  // Names, dtypes and shapes, in the order in which the tensors stand in the file; their places in it follow
  // from these. Writes the header. Throws Error. What the names and shapes are views of must stay.
  SafetensorsWriter(const std::string& path, std::vector<Tensor> tensors, const Metadata& metadata);

  const std::vector<Tensor>& tensors() const { return tensors_; }  // in that order
  const Tensor* Find(std::string_view name) const;                 // null if there is none
  uint64_t file_bytes() const { return file_bytes_; }

  // Bytes [first, first + bytes) of a tensor of tensors(). Each must be written once, in any order.
  void Write(const Tensor& tensor, uint64_t first, size_t bytes, const void* from);
  void Commit();  // makes it the file; without it nothing happens

 private:
  // Returns where it ends.
  uint64_t WriteHeader(const std::string& path, const Metadata& metadata);

  AtomicFile file_;
  std::vector<Tensor> tensors_;
  std::vector<const Tensor*> by_name_;
  uint64_t data_start_ = 0;
  uint64_t file_bytes_ = 0;
};

}  // namespace io
}  // namespace v0_2
}  // namespace fusedffn

#endif  // FUSEDFFN_SRC_FILES_SAFETENSORS_H_

// Compiled once. The JSON header of a safetensors file: text -> tensors, with everything checked that can be
// without knowing the file's length.
#ifndef FUSEDFFN_SRC_FILES_SAFETENSORS_HEADER_H_
#define FUSEDFFN_SRC_FILES_SAFETENSORS_HEADER_H_

#include <cstdint>
#include <memory_resource>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "src/files/safetensors.h"

namespace fusedffn {
inline namespace v0_2 {
namespace io {

inline constexpr uint64_t kMaxHeaderBytes = 100'000'000;
inline constexpr const char* kMetadataKey = "__metadata__";

struct Header {
  explicit Header(std::pmr::memory_resource* memory) : metadata(memory) {}

  std::vector<Tensor> tensors;  // by name
  Metadata metadata;
  uint64_t data_bytes = 0;  // that the tensors take
};

// Throws Error with the name `file`. Names, shapes and metadata are kept in `memory`.
Header ParseHeader(const std::string& file, std::string json, std::pmr::memory_resource* memory);

// In the order of their names.
std::vector<const Tensor*> ByName(const std::vector<Tensor>& tensors);
// One whose name the one before has as well, of these; null if there is none.
const Tensor* NamedTwice(const std::vector<const Tensor*>& by_name);

// Bytes of a tensor. Nothing if they do not fit in 64 bits or are not whole bytes (the format has dtypes of 4
// and of 6 bits), or if the dtype is not one of the format's.
std::optional<uint64_t> TensorBytes(std::string_view dtype, DimsView shape);

}  // namespace io
}  // namespace v0_2
}  // namespace fusedffn

#endif  // FUSEDFFN_SRC_FILES_SAFETENSORS_HEADER_H_

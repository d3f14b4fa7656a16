// Compiled once. The JSON header of a safetensors file: text -> tensors, with everything checked that can be
// without knowing the file's length.
#ifndef FUSEDFFN_SRC_FILES_SAFETENSORS_HEADER_H_
#define FUSEDFFN_SRC_FILES_SAFETENSORS_HEADER_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "src/files/safetensors.h"

namespace fusedffn {
inline namespace v0_2 {
namespace io {

inline constexpr uint64_t kMaxHeaderBytes = 100'000'000;
inline constexpr const char* kMetadataKey = "__metadata__";

struct Header {
  std::vector<Tensor> tensors;  // by name
  Metadata metadata;
  uint64_t data_bytes = 0;  // that the tensors take
};

// Throws Error with the name `file`.
Header ParseHeader(const std::string& file, const std::string& json);

// Bytes of a tensor. Nothing if they do not fit in 64 bits or are not whole bytes (the format has dtypes of 4
// and of 6 bits), or if the dtype is not one of the format's.
std::optional<uint64_t> TensorBytes(const std::string& dtype, const Dims& shape);

bool IsKnownDType(const std::string& dtype);

}  // namespace io
}  // namespace v0_2
}  // namespace fusedffn

#endif  // FUSEDFFN_SRC_FILES_SAFETENSORS_HEADER_H_

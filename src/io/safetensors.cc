#include "src/io/safetensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "src/io/atomic_file.h"
#include "src/io/error.h"
#include "src/io/safetensors_header.h"

namespace fusedffn::io {

std::optional<DType> UsableDType(const Tensor& tensor) {
  if (tensor.dtype == "F32") return DType::kF32;
  if (tensor.dtype == "BF16") return DType::kBF16;
  if (tensor.dtype == "F16") return DType::kF16;
  return std::nullopt;
}

SafetensorsFile::SafetensorsFile(const std::string& path) : file_(path) {
  uint64_t header_bytes;
  if (file_.size() < sizeof(header_bytes)) {
    throw Error(path, fmt::format("{} bytes are too few for a safetensors file", file_.size()));
  }
  file_.ReadAt(0, sizeof(header_bytes), &header_bytes);
  if (header_bytes > kMaxHeaderBytes) {
    throw Error(path,
                fmt::format("not a safetensors file: its header would be {} bytes long, and {} are the most",
                            header_bytes, kMaxHeaderBytes));
  }
  data_start_ = sizeof(header_bytes) + header_bytes;
  if (data_start_ > file_.size()) {
    throw Error(path,
                fmt::format("truncated, or not a safetensors file: {} bytes, and the header should end at {}",
                            file_.size(), data_start_));
  }
  std::string json(header_bytes, '\0');
  file_.ReadAt(sizeof(header_bytes), json.size(), json.data());

  Header header = ParseHeader(path, json);
  const uint64_t data_bytes = file_.size() - data_start_;
  if (header.data_bytes != data_bytes) {
    throw Error(path,
                fmt::format("{}: the header describes {} bytes of tensors, and {} follow it",
                            data_bytes < header.data_bytes ? "truncated" : "bytes after the last tensor",
                            header.data_bytes, data_bytes));
  }
  tensors_ = std::move(header.tensors);
  metadata_ = std::move(header.metadata);
}

const Tensor* SafetensorsFile::Find(std::string_view name) const {
  const auto found =
      std::lower_bound(tensors_.begin(), tensors_.end(), name,
                       [](const Tensor& tensor, std::string_view n) { return tensor.name < n; });
  return found != tensors_.end() && found->name == name ? &*found : nullptr;
}

void SafetensorsFile::Read(const Tensor& tensor, uint64_t first, size_t bytes, void* to) const {
  file_.ReadAt(data_start_ + tensor.begin + first, bytes, to);
}

void WriteSafetensors(const std::string& path, const std::vector<TensorData>& tensors,
                      const Metadata& metadata) {
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata.empty()) header[kMetadataKey] = metadata;
  std::vector<uint64_t> sizes;
  uint64_t end = 0;
  for (const TensorData& tensor : tensors) {
    const std::optional<uint64_t> bytes = TensorBytes(tensor.dtype, tensor.shape);
    if (!bytes || tensor.name == kMetadataKey || header.contains(tensor.name)) {
      throw Error(path, fmt::format("cannot hold a tensor {} of dtype {} and shape {}", Quoted(tensor.name),
                                    Quoted(tensor.dtype), DimsText(tensor.shape)));
    }
    const uint64_t begin = std::exchange(end, end + *bytes);
    header[tensor.name] = {{"dtype", tensor.dtype}, {"shape", tensor.shape}, {"data_offsets", {begin, end}}};
    sizes.push_back(*bytes);
  }
  std::string json = header.dump();
  json.resize((json.size() + 7) / 8 * 8, ' ');  // so that the tensors start at a multiple of 8 bytes

  AtomicFile file(path);
  const uint64_t header_bytes = json.size();
  file.Write(&header_bytes, sizeof(header_bytes));
  file.Write(json.data(), json.size());
  for (size_t i = 0; i < tensors.size(); ++i) file.Write(tensors[i].data, sizes[i]);
  file.Commit();
}

}  // namespace fusedffn::io

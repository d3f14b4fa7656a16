#include "src/files/safetensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "src/files/error.h"
#include "src/files/safetensors_header.h"

namespace fusedffn {
inline namespace v0_2 {
namespace io {

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

SafetensorsWriter::SafetensorsWriter(const std::string& path, std::vector<Tensor> tensors,
                                     const Metadata& metadata)
    : file_(path), tensors_(std::move(tensors)) {
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata.empty()) header[kMetadataKey] = metadata;
  uint64_t end = 0;
  for (Tensor& tensor : tensors_) {
    const std::optional<uint64_t> bytes = TensorBytes(tensor.dtype, tensor.shape);
    if (!bytes || tensor.name == kMetadataKey || header.contains(tensor.name)) {
      throw Error(path, fmt::format("cannot hold a tensor {} of dtype {} and shape {}", Quoted(tensor.name),
                                    Quoted(tensor.dtype), DimsText(tensor.shape)));
    }
    tensor.begin = std::exchange(end, end + *bytes);
    tensor.end = end;
    header[tensor.name] = {
        {"dtype", tensor.dtype}, {"shape", tensor.shape}, {"data_offsets", {tensor.begin, tensor.end}}};
  }
  std::string json = header.dump();
  json.resize((json.size() + 7) / 8 * 8, ' ');  // so that the tensors start at a multiple of 8 bytes
  const uint64_t header_bytes = json.size();
  if (header_bytes > kMaxHeaderBytes) {
    throw Error(path, fmt::format("its header would be {} bytes long, and {} are the most", header_bytes,
                                  kMaxHeaderBytes));
  }
  file_.Write(&header_bytes, sizeof(header_bytes));
  file_.Write(json.data(), json.size());
  data_start_ = sizeof(header_bytes) + header_bytes;
  file_bytes_ = data_start_ + end;
}

void SafetensorsWriter::Write(const Tensor& tensor, uint64_t first, size_t bytes, const void* from) {
  file_.WriteAt(data_start_ + tensor.begin + first, from, bytes);
}

void SafetensorsWriter::Commit() { file_.Commit(); }

void WriteSafetensors(const std::string& path, const std::vector<TensorData>& tensors,
                      const Metadata& metadata) {
  std::vector<Tensor> described;
  for (const TensorData& tensor : tensors) described.push_back({tensor.name, tensor.dtype, tensor.shape});
  SafetensorsWriter writer(path, std::move(described), metadata);
  for (size_t i = 0; i < tensors.size(); ++i) {
    const Tensor& tensor = writer.tensors()[i];
    writer.Write(tensor, 0, tensor.bytes(), tensors[i].data);
  }
  writer.Commit();
}

}  // namespace io
}  // namespace v0_2
}  // namespace fusedffn

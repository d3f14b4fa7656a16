#include "src/files/safetensors.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "src/files/error.h"
#include "src/files/safetensors_header.h"

namespace fusedffn {
inline namespace v0_2 {
namespace io {
namespace {

std::string JsonText(std::string_view text) { return nlohmann::json(text).dump(); }

// Members of the header, each with the comma behind it.
std::string MetadataText(const Metadata& metadata) {
  std::string text = fmt::format("\"{}\":{{", kMetadataKey);
  for (const auto& [key, value] : metadata) text += fmt::format("{}:{},", JsonText(key), JsonText(value));
  text.back() = '}';
  return text + ",";
}

std::string TensorText(const Tensor& tensor) {
  return fmt::format("{}:{{\"dtype\":\"{}\",\"shape\":[{}],\"data_offsets\":[{},{}]}},",
                     JsonText(tensor.name), tensor.dtype, fmt::join(tensor.shape, ","), tensor.begin,
                     tensor.end);
}

}  // namespace

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

  Header header = ParseHeader(path, std::move(json), &memory_);
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
  const auto refuse = [&](const Tensor& tensor) {
    throw Error(path, fmt::format("cannot hold a tensor {} of dtype {} and shape {}", Quoted(tensor.name),
                                  Quoted(tensor.dtype), DimsText(tensor.shape)));
  };
  uint64_t end = 0;
  for (Tensor& tensor : tensors_) {
    const std::optional<uint64_t> bytes = TensorBytes(tensor.dtype, tensor.shape);
    if (!bytes || tensor.name == kMetadataKey) refuse(tensor);
    tensor.begin = std::exchange(end, end + *bytes);
    tensor.end = end;
  }
  by_name_ = ByName(tensors_);
  if (const Tensor* const twice = NamedTwice(by_name_)) refuse(*twice);
  data_start_ = WriteHeader(path, metadata);
  file_bytes_ = data_start_ + end;
}

const Tensor* SafetensorsWriter::Find(std::string_view name) const {
  const auto found =
      std::lower_bound(by_name_.begin(), by_name_.end(), name,
                       [](const Tensor* tensor, std::string_view wanted) { return tensor->name < wanted; });
  return found != by_name_.end() && (*found)->name == name ? *found : nullptr;
}

uint64_t SafetensorsWriter::WriteHeader(const std::string& path, const Metadata& metadata) {
  constexpr size_t kPieceBytes = size_t{1} << 20;
  uint64_t header_bytes = 0;
  file_.Write(&header_bytes, sizeof(header_bytes));  // takes its place
  std::string piece = "{";
  const auto flush = [&] {
    file_.Write(piece.data(), piece.size());
    header_bytes += piece.size();
    piece.clear();
  };
  if (!metadata.empty()) piece += MetadataText(metadata);
  for (const Tensor& tensor : tensors_) {
    if (piece.size() >= kPieceBytes) flush();
    piece += TensorText(tensor);
  }
  if (piece.back() == ',') piece.pop_back();
  piece += '}';
  // So that the tensors start at a multiple of 8 bytes.
  piece.append(-(header_bytes + piece.size()) % 8, ' ');
  flush();
  if (header_bytes > kMaxHeaderBytes) {
    throw Error(path, fmt::format("its header would be {} bytes long, and {} are the most", header_bytes,
                                  kMaxHeaderBytes));
  }
  file_.WriteAt(0, &header_bytes, sizeof(header_bytes));
  return sizeof(header_bytes) + header_bytes;
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

#include "src/models/weight_rows.h"

#include <algorithm>
#include <cstring>

namespace fusedffn {
inline namespace v0_2 {
namespace io {
namespace {

// to[i * stride] = from[i]
template <class Element>
void Scatter(const char* from, uint64_t count, uint64_t stride, char* to) {
  for (uint64_t i = 0; i < count; ++i) {
    std::memcpy(to + i * stride * sizeof(Element), from + i * sizeof(Element), sizeof(Element));
  }
}

auto ScatterOf(uint64_t element_bytes) {
  if (element_bytes == sizeof(uint8_t)) return Scatter<uint8_t>;
  return element_bytes == sizeof(uint16_t) ? Scatter<uint16_t> : Scatter<uint32_t>;
}

}  // namespace

RowReader::RowReader(const StoredTensor& weight, const Layout& layout)
    : weight_(weight),
      transposed_(layout.transposed),
      rows_(OutputsOf(*weight, layout)),
      cols_(InputsOf(*weight, layout)),
      element_bytes_(weight->bytes() / rows_ / cols_) {}

// A transposed weight is read in pieces of as many elements, which must not be short.
uint64_t RowReader::ChunkRows() const {
  const uint64_t chunk_bytes = uint64_t{1} << (transposed_ ? 23 : 20);
  return std::clamp<uint64_t>(chunk_bytes / (cols_ * element_bytes_), 1, rows_);
}

void RowReader::Read(uint64_t first, uint64_t count, std::vector<char>* to) {
  to->resize(count * cols_ * element_bytes_);
  if (!transposed_) {
    weight_.file->Read(*weight_, first * cols_ * element_bytes_, to->size(), to->data());
    return;
  }
  const auto scatter = ScatterOf(element_bytes_);
  piece_.resize(count * element_bytes_);
  for (uint64_t col = 0; col < cols_; ++col) {
    weight_.file->Read(*weight_, (col * rows_ + first) * element_bytes_, piece_.size(), piece_.data());
    scatter(piece_.data(), count, cols_, to->data() + col * element_bytes_);
  }
}

RowWriter::RowWriter(SafetensorsWriter* file, const Tensor& weight, const Layout& layout)
    : file_(*file),
      weight_(weight),
      transposed_(layout.transposed),
      rows_(OutputsOf(weight, layout)),
      cols_(InputsOf(weight, layout)) {}

void RowWriter::Write(uint64_t first, uint64_t count, const int8_t* from) {
  if (!transposed_) {
    file_.Write(weight_, first * cols_, count * cols_, from);
    return;
  }
  piece_.resize(count);
  for (uint64_t col = 0; col < cols_; ++col) {
    for (uint64_t row = 0; row < count; ++row) piece_[row] = from[row * cols_ + col];
    file_.Write(weight_, col * rows_ + first, count, piece_.data());
  }
}

}  // namespace io
}  // namespace v0_2
}  // namespace fusedffn

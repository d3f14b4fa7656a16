#include "src/io/block_loader.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "src/io/error.h"

namespace fusedffn::io {
namespace {

void Check(const Status& status, const Block& block) {
  if (!status.ok()) {
    throw Error(block.up.weight.file->path(),
                fmt::format("block {}: {}", Quoted(block.prefix), status.message()));
  }
}

// to[i * stride] = from[i], for elements of 2 or of 4 bytes.
template <class Element>
void Scatter(const char* from, uint64_t count, uint64_t stride, char* to) {
  for (uint64_t i = 0; i < count; ++i) {
    std::memcpy(to + i * stride * sizeof(Element), from + i * sizeof(Element), sizeof(Element));
  }
}

// Rows of a weight as [out, in], whichever way it is stored.
class RowReader {
 public:
  RowReader(const StoredTensor& weight, const Layout& layout)
      : weight_(weight),
        transposed_(layout.transposed),
        rows_(OutputsOf(*weight, layout)),
        cols_(InputsOf(*weight, layout)),
        element_bytes_((weight->end - weight->begin) / rows_ / cols_) {}

  uint64_t rows() const { return rows_; }
  uint64_t cols() const { return cols_; }

  // How many to read at a time: a transposed weight is read in pieces of as many elements, which must not be
  // short.
  uint64_t ChunkRows() const {
    const uint64_t chunk_bytes = uint64_t{1} << (transposed_ ? 23 : 20);
    return std::clamp<uint64_t>(chunk_bytes / (cols_ * element_bytes_), 1, rows_);
  }

  // Rows [first, first + count), one after the other; `to` is made as large as they are.
  void Read(uint64_t first, uint64_t count, std::vector<char>* to) {
    to->resize(count * cols_ * element_bytes_);
    if (!transposed_) {
      weight_.file->Read(*weight_, first * cols_ * element_bytes_, to->size(), to->data());
      return;
    }
    const auto scatter = element_bytes_ == sizeof(uint16_t) ? Scatter<uint16_t> : Scatter<uint32_t>;
    piece_.resize(count * element_bytes_);
    for (uint64_t col = 0; col < cols_; ++col) {
      weight_.file->Read(*weight_, (col * rows_ + first) * element_bytes_, piece_.size(), piece_.data());
      scatter(piece_.data(), count, cols_, to->data() + col * element_bytes_);
    }
  }

 private:
  const StoredTensor weight_;
  const bool transposed_;
  const uint64_t rows_, cols_, element_bytes_;
  std::vector<char> piece_;  // of one input feature
};

void LoadLayer(const Block& block, const BlockLayer& from, Layer to, const OnRead& on_read, PackedFfn* ffn) {
  RowReader reader(from.weight, *block.layout);
  const DType dtype = *UsableDType(*from.weight);
  const uint64_t chunk_rows = reader.ChunkRows();
  std::vector<char> chunk;
  for (uint64_t row = 0; row < reader.rows(); row += chunk_rows) {
    const uint64_t count = std::min(chunk_rows, reader.rows() - row);
    reader.Read(row, count, &chunk);
    on_read(chunk.size());
    Check(ffn->PackRows(to, row, count, chunk.data(), dtype, reader.cols()), block);
  }
  if (from.bias) {
    chunk.resize(from.bias->end - from.bias->begin);
    from.bias.file->Read(*from.bias, 0, chunk.size(), chunk.data());
    on_read(chunk.size());
    Check(ffn->PackBias(to, chunk.data(), *UsableDType(*from.bias)), block);
  }
}

}  // namespace

PackedFfn LoadBlock(const Block& block, Activation activation, const PackOptions& options,
                    const OnRead& on_read) {
  PackedFfn ffn;
  Check(PackedFfn::Create(block.shape, activation, options, &ffn), block);
  LoadLayer(block, block.shape.gated ? block.gate : block.up, Layer::kFc1, on_read, &ffn);
  if (block.shape.gated) LoadLayer(block, block.up, Layer::kUp, on_read, &ffn);
  LoadLayer(block, block.down, Layer::kFc2, on_read, &ffn);
  return ffn;
}

}  // namespace fusedffn::io

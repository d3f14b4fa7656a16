#include "src/io/block_loader.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "src/io/error.h"
#include "src/io/weight_rows.h"

namespace fusedffn::io {
namespace {

void Check(const Status& status, const Block& block) {
  if (!status.ok()) {
    throw Error(block.up.weight.file->path(),
                fmt::format("block {}: {}", Quoted(block.prefix), status.message()));
  }
}

void ReadBytes(const StoredTensor& from, uint64_t first, uint64_t bytes, const OnRead& on_read, void* to) {
  from.file->Read(*from, first, bytes, to);
  on_read(bytes);
}

// Packs rows that have been read.
Status PackChunk(const BlockLayer& from, Layer to, uint64_t row, uint64_t count, uint64_t cols,
                 const std::vector<char>& chunk, const OnRead& on_read, PackedFfn* ffn) {
  if (!from.scale) return ffn->PackRows(to, row, count, chunk.data(), *UsableDType(*from.weight), cols);
  std::vector<float> scales(count * Int8Groups(cols));
  const uint64_t row_bytes = Int8Groups(cols) * sizeof(float);
  ReadBytes(from.scale, row * row_bytes, count * row_bytes, on_read, scales.data());
  const auto* q = reinterpret_cast<const int8_t*>(chunk.data());
  return ffn->PackQuantizedRows(to, row, count, q, cols, scales.data());
}

void LoadLayer(const Block& block, const BlockLayer& from, Layer to, const OnRead& on_read, PackedFfn* ffn) {
  RowReader reader(from.weight, *block.layout);
  const uint64_t chunk_rows = reader.ChunkRows();
  std::vector<char> chunk;
  for (uint64_t row = 0; row < reader.rows(); row += chunk_rows) {
    const uint64_t count = std::min(chunk_rows, reader.rows() - row);
    reader.Read(row, count, &chunk);
    on_read(chunk.size());
    Check(PackChunk(from, to, row, count, reader.cols(), chunk, on_read, ffn), block);
  }
  if (from.bias) {
    chunk.resize(from.bias->bytes());
    ReadBytes(from.bias, 0, chunk.size(), on_read, chunk.data());
    Check(ffn->PackBias(to, chunk.data(), *UsableDType(*from.bias)), block);
  }
}

}  // namespace

PackedFfn LoadBlock(const Block& block, Activation activation, const PackOptions& options,
                    const OnRead& on_read) {
  if (IsQuantized(block) && options.precision != Precision::kInt8) {
    throw Error(
        block.up.weight.file->path(),
        fmt::format("block {} has quantised weights (I8), which need the dtype {}, not {}",
                    Quoted(block.prefix), PrecisionName(Precision::kInt8), PrecisionName(options.precision)));
  }
  PackedFfn ffn;
  Check(PackedFfn::Create(block.shape, activation, options, &ffn), block);
  LoadLayer(block, block.shape.gated ? block.gate : block.up, Layer::kFc1, on_read, &ffn);
  if (block.shape.gated) LoadLayer(block, block.up, Layer::kUp, on_read, &ffn);
  LoadLayer(block, block.down, Layer::kFc2, on_read, &ffn);
  return ffn;
}

}  // namespace fusedffn::io

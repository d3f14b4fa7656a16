#include "src/models/block_loader.h"

#include <fmt/format.h>

#include <algorithm>
#include <mutex>
#include <vector>

#include "src/files/error.h"
#include "src/models/pieces.h"
#include "src/models/weight_rows.h"

namespace fusedffn::io {
namespace {

void Check(const Status& status, const Block& block) {
  if (!status.ok()) {
    throw Error(block.up.weight.file->path(),
                fmt::format("block {}: {}", Quoted(block.prefix), status.message()));
  }
}

// What one thread reads and packs at a time: rows of a layer's weight; or, where they are none, its bias.
struct Piece {
  const BlockLayer* from;
  Layer to;
  uint64_t first_row, rows;
};

void AddPieces(const BlockLayer& from, Layer to, const Layout& layout, std::vector<Piece>* pieces) {
  const RowReader reader(from.weight, layout);
  const uint64_t piece_rows = reader.ChunkRows();
  for (uint64_t row = 0; row < reader.rows(); row += piece_rows) {
    pieces->push_back({&from, to, row, std::min(piece_rows, reader.rows() - row)});
  }
  if (from.bias) pieces->push_back({&from, to, 0, 0});
}

std::vector<Piece> PiecesOf(const Block& block) {
  std::vector<Piece> pieces;
  AddPieces(block.shape.gated ? block.gate : block.up, Layer::kFc1, *block.layout, &pieces);
  if (block.shape.gated) AddPieces(block.up, Layer::kUp, *block.layout, &pieces);
  AddPieces(block.down, Layer::kFc2, *block.layout, &pieces);
  return pieces;
}

// Puts pieces into `ffn`, on any threads at the same time.
class Loader {
 public:
  Loader(const Block& block, const OnRead& on_read, PackedFfn* ffn)
      : block_(block), on_read_(on_read), ffn_(*ffn) {}

  void Load(const Piece& piece, std::vector<char>* buffer) {
    Check(piece.rows == 0 ? LoadBias(piece, buffer) : LoadRows(piece, buffer), block_);
  }

 private:
  Status LoadRows(const Piece& piece, std::vector<char>* buffer) {
    const auto& [from, to, first_row, rows] = piece;
    RowReader reader(from->weight, *block_.layout);
    reader.Read(first_row, rows, buffer);
    CountRead(buffer->size());
    const uint64_t cols = reader.cols();
    if (!from->scale) {
      return ffn_.PackRows(to, first_row, rows, buffer->data(), *UsableDType(*from->weight), cols);
    }
    const size_t group = Int8GroupOf(block_), groups = Int8Groups(cols, group);
    std::vector<float> scales(rows * groups);
    const uint64_t row_bytes = groups * sizeof(float);
    ReadBytes(from->scale, first_row * row_bytes, rows * row_bytes, scales.data());
    const auto* q = reinterpret_cast<const int8_t*>(buffer->data());
    return ffn_.PackQuantizedRows(to, first_row, rows, q, cols, scales.data(), group);
  }

  Status LoadBias(const Piece& piece, std::vector<char>* buffer) {
    const StoredTensor& bias = piece.from->bias;
    buffer->resize(bias->bytes());
    ReadBytes(bias, 0, buffer->size(), buffer->data());
    return ffn_.PackBias(piece.to, buffer->data(), *UsableDType(*bias));
  }

  void ReadBytes(const StoredTensor& from, uint64_t first, uint64_t bytes, void* to) {
    from.file->Read(*from, first, bytes, to);
    CountRead(bytes);
  }

  void CountRead(uint64_t bytes) {
    const std::lock_guard<std::mutex> lock(counting_);
    on_read_(bytes);
  }

  const Block& block_;
  const OnRead& on_read_;
  PackedFfn& ffn_;
  std::mutex counting_;
};

}  // namespace

PackedFfn LoadBlock(const Block& block, Activation activation, const PackOptions& options,
                    const OnRead& on_read) {
  if (IsQuantized(block) && options.precision != Precision::kInt8) {
    throw Error(
        block.up.weight.file->path(),
        fmt::format("block {} has quantized weights (I8), which need the dtype {}, not {}",
                    Quoted(block.prefix), PrecisionName(Precision::kInt8), PrecisionName(options.precision)));
  }
  PackOptions as_stored = options;
  if (IsQuantized(block)) as_stored.int8_group = Int8GroupOf(block);
  PackedFfn ffn;
  Check(PackedFfn::Create(block.shape, activation, as_stored, &ffn), block);
  const std::vector<Piece> pieces = PiecesOf(block);
  Loader loader(block, on_read, &ffn);
  const int threads = options.threads > 0 ? options.threads : DefaultThreads();
  ForEachPiece(threads, pieces.size(),
               [&](size_t i, std::vector<char>* buffer) { loader.Load(pieces[i], buffer); });
  return ffn;
}

}  // namespace fusedffn::io

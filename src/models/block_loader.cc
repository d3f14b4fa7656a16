#include "src/models/block_loader.h"

#include <fmt/format.h>

#include <algorithm>
#include <mutex>
#include <string>
#include <vector>

#include "src/files/error.h"
#include "src/models/pieces.h"
#include "src/models/quantized_weight.h"
#include "src/models/weight_rows.h"

namespace fusedffn {
inline namespace v0_2 {
namespace io {
namespace {

// What is read: its file, and what messages call it.
struct Source {
  const std::string& file;
  std::string name;
};

void Check(const Status& status, const Source& source) {
  if (!status.ok()) throw PackError(status, source.file, source.name);
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

// A PackedLinear has no choice of layers.
class LinearTarget {
 public:
  explicit LinearTarget(PackedLinear* linear) : linear_(*linear) {}

  Status PackRows(Layer, size_t first_row, size_t rows, const void* weight, DType dtype, size_t stride) {
    return linear_.PackRows(first_row, rows, weight, dtype, stride);
  }
  Status PackQuantizedRows(Layer, size_t first_row, size_t rows, const int8_t* q, size_t stride,
                           const float* scales, size_t group) {
    return linear_.PackQuantizedRows(first_row, rows, q, stride, scales, group);
  }
  Status PackBias(Layer, const void* bias, DType dtype) { return linear_.PackBias(bias, dtype); }

 private:
  PackedLinear& linear_;
};

// Puts pieces into `target`, a PackedFfn or a LinearTarget, on any threads at the same time.
template <class Target>
class Loader {
 public:
  Loader(const Source& source, const Layout& layout, const OnRead& on_read, Target* target)
      : source_(source), layout_(layout), on_read_(on_read), target_(*target) {}

  void LoadAll(const std::vector<Piece>& pieces, int threads) {
    ForEachPiece(threads > 0 ? threads : DefaultThreads(), pieces.size(),
                 [&](size_t i, std::vector<char>* buffer) { Load(pieces[i], buffer); });
  }

 private:
  void Load(const Piece& piece, std::vector<char>* buffer) {
    Check(piece.rows == 0 ? LoadBias(piece, buffer) : LoadRows(piece, buffer), source_);
  }

  Status LoadRows(const Piece& piece, std::vector<char>* buffer) {
    const auto& [from, to, first_row, rows] = piece;
    RowReader reader(from->weight, layout_);
    reader.Read(first_row, rows, buffer);
    CountRead(buffer->size());
    const uint64_t cols = reader.cols();
    if (!from->scale) {
      return target_.PackRows(to, first_row, rows, buffer->data(), *UsableDType(*from->weight), cols);
    }
    const size_t group = Int8GroupOf(from->weight.file->metadata()), groups = Int8Groups(cols, group);
    std::vector<float> scales(rows * groups);
    const uint64_t row_bytes = groups * sizeof(float);
    ReadBytes(from->scale, first_row * row_bytes, rows * row_bytes, scales.data());
    const auto* q = reinterpret_cast<const int8_t*>(buffer->data());
    return target_.PackQuantizedRows(to, first_row, rows, q, cols, scales.data(), group);
  }

  Status LoadBias(const Piece& piece, std::vector<char>* buffer) {
    const StoredTensor& bias = piece.from->bias;
    buffer->resize(bias->bytes());
    ReadBytes(bias, 0, buffer->size(), buffer->data());
    return target_.PackBias(piece.to, buffer->data(), *UsableDType(*bias));
  }

  void ReadBytes(const StoredTensor& from, uint64_t first, uint64_t bytes, void* to) {
    from.file->Read(*from, first, bytes, to);
    CountRead(bytes);
  }

  void CountRead(uint64_t bytes) {
    const std::lock_guard<std::mutex> lock(counting_);
    on_read_(bytes);
  }

  const Source& source_;
  const Layout& layout_;
  const OnRead& on_read_;
  Target& target_;
  std::mutex counting_;
};

// `options` with the groups that the weights are stored in; 0: they are not quantized.
PackOptions AsStored(const PackOptions& options, size_t int8_group, const Source& source) {
  if (int8_group == 0) return options;
  if (options.precision != Precision::kInt8) {
    throw Error(source.file,
                fmt::format("{} has quantized weights (I8), which need the dtype {}, not {}", source.name,
                            PrecisionName(Precision::kInt8), PrecisionName(options.precision)));
  }
  PackOptions as_stored = options;
  as_stored.int8_group = int8_group;
  return as_stored;
}

}  // namespace

PackError::PackError(const Status& status, std::string_view file, std::string_view name)
    : Error(file, fmt::format("{}: {}", name, status.message())), code_(status.code()) {}

PackedFfn LoadBlock(const Block& block, Activation activation, const PackOptions& options,
                    const OnRead& on_read) {
  const Source source = {block.up.weight.file->path(), fmt::format("block {}", Quoted(block.prefix))};
  PackedFfn ffn;
  const PackOptions as_stored = AsStored(options, Int8GroupOf(block), source);
  Check(PackedFfn::Create(block.shape, activation, as_stored, &ffn), source);
  Loader(source, *block.layout, on_read, &ffn).LoadAll(PiecesOf(block), options.threads);
  return ffn;
}

PackedLinear LoadLinear(const BlockLayer& layer, const Layout& layout, Activation activation,
                        const PackOptions& options) {
  const Source source = {layer.weight.file->path(), Quoted(layer.weight->name)};
  PackedLinear linear;
  const size_t group = layer.scale ? Int8GroupOf(layer.weight.file->metadata()) : 0;
  const PackOptions as_stored = AsStored(options, group, source);
  Check(PackedLinear::Create(InputsOf(*layer.weight, layout), OutputsOf(*layer.weight, layout), activation,
                             as_stored, &linear),
        source);
  std::vector<Piece> pieces;
  AddPieces(layer, Layer::kFc1, layout, &pieces);
  LinearTarget target(&linear);
  const OnRead ignore = [](uint64_t) {};
  Loader(source, layout, ignore, &target).LoadAll(pieces, options.threads);
  return linear;
}

}  // namespace io
}  // namespace v0_2
}  // namespace fusedffn

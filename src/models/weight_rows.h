// Compiled once. Rows of a block's weight as [out, in], whichever way its file stores it.
#ifndef FUSEDFFN_SRC_MODELS_WEIGHT_ROWS_H_
#define FUSEDFFN_SRC_MODELS_WEIGHT_ROWS_H_

#include <cstdint>
#include <vector>

#include "src/files/safetensors.h"
#include "src/models/block.h"
#include "src/models/checkpoint.h"

namespace fusedffn {
inline namespace v0_2 {
namespace io {

class RowReader {
 public:
  RowReader(const StoredTensor& weight, const Layout& layout);

  uint64_t rows() const { return rows_; }
  uint64_t cols() const { return cols_; }

  // How many to read at a time.
  uint64_t ChunkRows() const;

  // Rows [first, first + count), one after the other; `to` is made as large as they are.
  void Read(uint64_t first, uint64_t count, std::vector<char>* to);

 private:
  const StoredTensor weight_;
  const bool transposed_;
  const uint64_t rows_, cols_, element_bytes_;
  std::vector<char> piece_;  // of one input feature
};

// Writes rows of bytes.
class RowWriter {
 public:
  RowWriter(SafetensorsWriter* file, const Tensor& weight, const Layout& layout);

  // Rows [first, first + count), one after the other.
  void Write(uint64_t first, uint64_t count, const int8_t* from);

 private:
  SafetensorsWriter& file_;
  const Tensor& weight_;
  const bool transposed_;
  const uint64_t rows_, cols_;
  std::vector<int8_t> piece_;  // of one input feature
};

}  // namespace io
}  // namespace v0_2
}  // namespace fusedffn

#endif  // FUSEDFFN_SRC_MODELS_WEIGHT_ROWS_H_

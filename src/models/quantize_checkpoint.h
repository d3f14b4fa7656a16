// Compiled once. A copy of a checkpoint with blocks quantized for Precision::kInt8: first what it consists
// of, then the file, which is read and written a few rows at a time.
#ifndef FUSEDFFN_SRC_MODELS_QUANTIZE_CHECKPOINT_H_
#define FUSEDFFN_SRC_MODELS_QUANTIZE_CHECKPOINT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "src/models/block.h"
#include "src/models/block_loader.h"
#include "src/models/checkpoint.h"

namespace fusedffn {
inline namespace v0_2 {
namespace io {

struct QuantizePlan {
  struct Item {
    StoredTensor from;
    const Layout* layout;  // of a weight that is quantized; null: copied as it is
  };
  std::vector<Item> items;
  size_t int8_group;
  Metadata metadata;

  uint64_t bytes() const;  // to be read
};

// The weights of `blocks` quantized in groups of `int8_group`, see PackOptions, and their biases; with
// `others`, all other tensors of the checkpoint as well. Blocks are not quantized yet. The checkpoint must
// outlive the plan. Throws Error.
QuantizePlan PlanQuantized(const Checkpoint& checkpoint, const std::vector<Block>& blocks, bool others,
                           size_t int8_group);

struct QuantizeReport {
  uint64_t weights = 0;                        // tensors that were quantized
  uint64_t bytes_before = 0, bytes_after = 0;  // of these; with scales
  uint64_t copied = 0, copied_bytes = 0;       // tensors
  uint64_t file_bytes = 0;                     // of the new file
  uint64_t groups = 0, not_finite = 0;         // of weights; those with a NaN or infinity
  double error2 = 0, norm2 = 0;                // sums of squares over all other groups

  double RelativeError() const;  // L2
};

// Writes the whole file or nothing. Throws Error.
QuantizeReport WriteQuantized(const QuantizePlan& plan, const std::string& path, const OnRead& on_read);

}  // namespace io
}  // namespace v0_2
}  // namespace fusedffn

#endif  // FUSEDFFN_SRC_MODELS_QUANTIZE_CHECKPOINT_H_

// Compiled once. What a PackedFfn or PackedLinear holds: packed layers, and the passes that go through them.
#ifndef FUSEDFFN_SRC_PACKED_BLOCK_H_
#define FUSEDFFN_SRC_PACKED_BLOCK_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "fusedffn/fusedffn.h"
#include "kernels/gemm.h"
#include "kernels/kernels.h"
#include "src/system/scratch.h"

namespace fusedffn {
inline namespace v0_2 {

inline constexpr size_t kMaxLayers = 3;

struct PackedLayer {
  const char* name;  // in messages
  PackedB b;
  std::mutex taking;                 // of rows
  std::vector<bool> row_taken;       // by the call that packs it or has packed it
  std::atomic<size_t> rows_left{0};  // that no call has finished with
  std::atomic<size_t> denormals{0};  // among the weights, as they are kept

  // In whole vectors, so that each array begins where one may. The first of those that are interleaved has
  // the memory of all of them.
  size_t weight_floats() const {
    if (b.layout.slot != 0) return 0;
    return RoundUp(DivideUp(b.layout.bytes(), sizeof(float)), b.layout.b.n_align);
  }
  size_t floats() const { return b.layout.padded_n() + weight_floats() + 2 * b.layout.scales(); }
  void PlaceAt(float* memory, const PackedLayer& first);  // floats() of it; `first` may be this one
};

// One multiplication by a layer: of what, and where its result goes.
struct Pass {
  enum class To { kGate, kHidden, kOutput };
  size_t layer;
  ActivateFn activate;  // or null
  bool times_gate;      // the result is multiplied with what the pass before has left in kGate
  To to;
};

// The first passes multiply x by layers of the same sizes, panel by panel, and make the hidden values of it.
// The last one multiplies these, or x if it is the only one, and makes y:
//
//   plain block   {fc1, activation, -> hidden} {fc2, -> output}
//   gated block   {fc1, activation, -> gate} {up, times gate, -> hidden} {fc2, -> output}
//   linear        {weight, activation, -> output}
struct PackedBlock {
  const Kernels* kernels;  // those that the weights are packed for, and the only ones that may read them
  const GemmKernel* gemm;
  bool flush_denormals;     // weights
  size_t dim, hidden, out;  // hidden: 0 in a linear
  size_t layer_count = 0;
  PackedLayer layers[kMaxLayers];
  size_t pass_count = 0;
  Pass passes[kMaxLayers];
  AlignedFloats memory;  // of all layers

  const PackedLayer& layer(const Pass& pass) const { return layers[pass.layer]; }
  const Pass& last_pass() const { return passes[pass_count - 1]; }
  bool gated() const { return pass_count == 3; }
};

using BlockPtr = std::unique_ptr<PackedBlock, PackedBlockDeleter>;

// The way to what a PackedFfn or PackedLinear holds: null if that is empty.
struct PackedBlockAccess {
  template <class Packed>
  static const PackedBlock* Get(const Packed& packed) {
    return packed.block_.get();
  }
  template <class Packed>
  static void Set(BlockPtr block, Packed* packed) {
    packed->block_ = std::move(block);
  }
};

// A block that is multiplied by one of a target's kernels, complete but for its weights.
Status CreateFfn(const Shape& shape, Activation activation, const Kernels& kernels, const GemmKernel& gemm,
                 bool flush_denormals, BlockPtr* block) noexcept;
Status CreateLinear(size_t in, size_t out, Activation activation, const Kernels& kernels,
                    const GemmKernel& gemm, bool flush_denormals, BlockPtr* block) noexcept;
// The same for a target and precision.
Status CreateFfn(const Shape& shape, Activation activation, const PackOptions& options,
                 BlockPtr* block) noexcept;
Status CreateLinear(size_t in, size_t out, Activation activation, const PackOptions& options,
                    BlockPtr* block) noexcept;

// Rows [first_row, first_row + rows) of a layer's weight, which begin at from.data; nothing is packed twice.
// Several threads may do so at the same time.
Status PackLayerRows(PackedBlock* block, size_t layer, size_t first_row, size_t rows,
                     const BRows& from) noexcept;
Status PackLayerQuantizedRows(PackedBlock* block, size_t layer, size_t first_row, size_t rows,
                              const int8_t* q, size_t stride, const float* scales, size_t group) noexcept;
Status PackLayerBias(PackedBlock* block, size_t layer, const void* bias, DType dtype) noexcept;

// All of a weight and its bias, on `threads` as in PackOptions.
Status PackLayer(PackedBlock* block, size_t layer, const Linear& linear, int threads) noexcept;

// All layers'.
size_t Denormals(const PackedBlock& block);
size_t PackedBytes(const PackedBlock& block);

}  // namespace v0_2
}  // namespace fusedffn

#endif  // FUSEDFFN_SRC_PACKED_BLOCK_H_

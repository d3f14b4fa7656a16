// Compiled once. The way of a block, or of one layer, from its files into packed weights.
#ifndef FUSEDFFN_SRC_MODELS_BLOCK_LOADER_H_
#define FUSEDFFN_SRC_MODELS_BLOCK_LOADER_H_

#include <cstdint>
#include <functional>
#include <string_view>

#include "fusedffn/fusedffn.h"
#include "src/files/error.h"
#include "src/models/block.h"

namespace fusedffn {
inline namespace v0_2 {
namespace io {

// Told how many more bytes have been read, by one thread at a time.
using OnRead = std::function<void(uint64_t bytes)>;

// The library has refused to pack what a file holds, or to pack it as the options say.
class PackError : public Error {
 public:
  PackError(const Status& status, std::string_view file, std::string_view name);

  StatusCode code() const { return code_; }

 private:
  StatusCode code_;
};

// Reads a block's tensors into packed weights, a few MiB at a time on each of options.threads, so that memory
// never holds them twice. Quantized weights need Precision::kInt8, and have their own groups, whatever
// options.int8_group. Throws Error, the same on any number of threads: the first of the tensors' order.
PackedFfn LoadBlock(
    const Block& block, Activation activation, const PackOptions& options,
    const OnRead& on_read = [](uint64_t) {});

// The same for a single layer. Of `layout`, only whether weights are transposed counts.
PackedLinear LoadLinear(const BlockLayer& layer, const Layout& layout, Activation activation,
                        const PackOptions& options);

}  // namespace io
}  // namespace v0_2
}  // namespace fusedffn

#endif  // FUSEDFFN_SRC_MODELS_BLOCK_LOADER_H_

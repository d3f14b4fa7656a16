// Compiled once. The way of a block from its files into packed weights.
#ifndef FUSEDFFN_SRC_MODELS_BLOCK_LOADER_H_
#define FUSEDFFN_SRC_MODELS_BLOCK_LOADER_H_

#include <cstdint>
#include <functional>

#include "fusedffn/fusedffn.h"
#include "src/models/block.h"

namespace fusedffn::io {

// Told how many more bytes have been read, by one thread at a time.
using OnRead = std::function<void(uint64_t bytes)>;

// Reads a block's tensors into packed weights, a few MiB at a time on each of options.threads, so that memory
// never holds them twice. Quantized weights need Precision::kInt8, and have their own groups, whatever
// options.int8_group. Throws Error, the same on any number of threads: the first of the tensors' order.
PackedFfn LoadBlock(
    const Block& block, Activation activation, const PackOptions& options,
    const OnRead& on_read = [](uint64_t) {});

}  // namespace fusedffn::io

#endif  // FUSEDFFN_SRC_MODELS_BLOCK_LOADER_H_

// Compiled once. The way of a block from its files into packed weights.
#ifndef FUSEDFFN_SRC_IO_BLOCK_LOADER_H_
#define FUSEDFFN_SRC_IO_BLOCK_LOADER_H_

#include <cstdint>
#include <functional>

#include "fusedffn/fusedffn.h"
#include "src/io/block.h"

namespace fusedffn::io {

// Told how many more bytes have been read.
using OnRead = std::function<void(uint64_t bytes)>;

// Reads a block's tensors a few rows at a time into packed weights, so that memory never holds them twice.
// Quantised weights need Precision::kInt8. Throws Error.
PackedFfn LoadBlock(
    const Block& block, Activation activation, const PackOptions& options,
    const OnRead& on_read = [](uint64_t) {});

}  // namespace fusedffn::io

#endif  // FUSEDFFN_SRC_IO_BLOCK_LOADER_H_

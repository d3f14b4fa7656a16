// Compiled once. The way of a block from its files into packed weights.
#ifndef FUSEDFFN_SRC_IO_BLOCK_LOADER_H_
#define FUSEDFFN_SRC_IO_BLOCK_LOADER_H_

#include "fusedffn/fusedffn.h"
#include "src/io/block.h"

namespace fusedffn::io {

// Throws Error if this version cannot run such a block, which can be known before anything is loaded.
void CheckLoadable(const Block& block);

// Reads a block's tensors a few rows at a time into packed weights, so that memory never holds them twice.
// Throws Error.
PackedFfn LoadBlock(const Block& block, Activation activation, const PackOptions& options);

}  // namespace fusedffn::io

#endif  // FUSEDFFN_SRC_IO_BLOCK_LOADER_H_

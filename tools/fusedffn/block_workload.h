// What a checkpoint's blocks cost, by the accounting of info.
#ifndef FUSEDFFN_TOOLS_FUSEDFFN_BLOCK_WORKLOAD_H_
#define FUSEDFFN_TOOLS_FUSEDFFN_BLOCK_WORKLOAD_H_

#include <cstdint>

#include "src/models/block.h"

namespace fusedffn::program {

// Operations of the matrix products of `layers` such blocks. Throws std::overflow_error if they do not fit in
// 64 bits.
uint64_t MatmulFlop(const io::Block& block, uint64_t tokens, uint64_t layers);

}  // namespace fusedffn::program

#endif  // FUSEDFFN_TOOLS_FUSEDFFN_BLOCK_WORKLOAD_H_

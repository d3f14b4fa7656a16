#include "tools/fusedffn/block_workload.h"

#include "tools/fusedffn/accounting.h"

namespace fusedffn::program {

uint64_t MatmulFlop(const io::Block& block, uint64_t tokens, uint64_t layers) {
  Workload workload;
  workload.dim = block.shape.dim;
  workload.hidden = block.shape.hidden;
  workload.out = block.shape.out;
  workload.gated = block.shape.gated;
  workload.seq = tokens;
  workload.layers = layers;
  return Account(workload).all_layers.matmul_flop;
}

}  // namespace fusedffn::program

// How many parameters, operations and bytes a block is, from its dimensions alone.
#ifndef FUSEDFFN_TOOLS_FUSEDFFN_ACCOUNTING_H_
#define FUSEDFFN_TOOLS_FUSEDFFN_ACCOUNTING_H_

#include <cstdint>
#include <string>

namespace fusedffn::program {

struct Workload {
  uint64_t dim = 1024, hidden = 4096, out = 1024;
  uint64_t batch = 1, seq = 257, layers = 24;
  uint64_t element_bytes = 2;  // of weights and activations
  bool gated = false;          // a third layer, up, of fc1's size
};

struct Counts {
  uint64_t weights, biases;  // parameters
  uint64_t weight_bytes, bias_bytes;
  uint64_t fc1_flop, activation_flop, fc2_flop;  // a multiply and an add are two; fc1 and up together
  uint64_t matmul_flop;                          // of all layers
};

struct Accounting {
  uint64_t tokens;
  Counts block;       // one
  Counts all_layers;  // `layers` of them
  // Of one block, which the next one uses again.
  uint64_t input_bytes, hidden_bytes, output_bytes;
  // All of hidden beside the input, twice if there is an up, whose input it is, too; or beside the output.
  uint64_t unfused_peak_bytes;
};

// Throws std::overflow_error if a figure does not fit in 64 bits.
Accounting Account(const Workload& workload);

// a + b. Throws likewise.
uint64_t Sum(uint64_t a, uint64_t b);

// The matrix products and the hidden array with every part cut, not rounded, to two decimals before it is
// added up and multiplied, which is how such figures are often quoted. One line.
std::string QuotedFigures(const Accounting& accounting, uint64_t layers);

}  // namespace fusedffn::program

#endif  // FUSEDFFN_TOOLS_FUSEDFFN_ACCOUNTING_H_

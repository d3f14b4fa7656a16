#include "tools/fusedffn/accounting.h"

#include <fmt/format.h>

#include <algorithm>
#include <initializer_list>
#include <stdexcept>

namespace fusedffn::program {
namespace {

void Require(bool fits) {
  if (!fits)
    throw std::overflow_error("these dimensions give figures above 2^64 - 1, the most that is accepted");
}

uint64_t Product(std::initializer_list<uint64_t> factors) {
  uint64_t product = 1;
  for (const uint64_t factor : factors) Require(!__builtin_mul_overflow(product, factor, &product));
  return product;
}

Counts CountBlock(const Workload& w, uint64_t tokens) {
  constexpr uint64_t kActivationFlop = 5;  // what a sigmoid and two multiplications are usually counted as
  const uint64_t product_flop = w.gated ? 1 : 0;
  Counts counts;
  const uint64_t first_layers = w.gated ? 2 : 1;
  counts.weights = Sum(Product({first_layers, w.hidden, w.dim}), Product({w.out, w.hidden}));
  counts.biases = Sum(Product({first_layers, w.hidden}), w.out);
  counts.weight_bytes = Product({w.element_bytes, counts.weights});
  counts.bias_bytes = Product({w.element_bytes, counts.biases});
  counts.fc1_flop = Product({first_layers, 2, tokens, w.dim, w.hidden});
  counts.activation_flop = Product({kActivationFlop + product_flop, tokens, w.hidden});
  counts.fc2_flop = Product({2, tokens, w.hidden, w.out});
  counts.matmul_flop = Sum(counts.fc1_flop, counts.fc2_flop);
  return counts;
}

Counts Times(uint64_t n, const Counts& c) {
  const auto times = [n](uint64_t value) { return Product({n, value}); };
  return {times(c.weights),  times(c.biases),          times(c.weight_bytes), times(c.bias_bytes),
          times(c.fc1_flop), times(c.activation_flop), times(c.fc2_flop),     times(c.matmul_flop)};
}

// Hundredths of 10^9 or 10^6, cut.
uint64_t Hundredths(uint64_t value, uint64_t unit) { return value / (unit / 100); }

std::string Decimal(uint64_t hundredths, int decimals) {
  return fmt::format("{:.{}f}", static_cast<double>(hundredths) / 100, decimals);
}

}  // namespace

uint64_t Sum(uint64_t a, uint64_t b) {
  uint64_t sum;
  Require(!__builtin_add_overflow(a, b, &sum));
  return sum;
}

Accounting Account(const Workload& w) {
  Accounting result;
  result.tokens = Product({w.batch, w.seq});
  result.block = CountBlock(w, result.tokens);
  result.all_layers = Times(w.layers, result.block);
  result.input_bytes = Product({w.element_bytes, result.tokens, w.dim});
  result.hidden_bytes = Product({w.element_bytes, result.tokens, w.hidden});
  result.output_bytes = Product({w.element_bytes, result.tokens, w.out});
  const uint64_t before_fc2 = Sum(result.input_bytes, Product({w.gated ? 2u : 1u, result.hidden_bytes}));
  result.unfused_peak_bytes = std::max(before_fc2, Sum(result.hidden_bytes, result.output_bytes));
  return result;
}

std::string QuotedFigures(const Accounting& accounting, uint64_t layers) {
  constexpr uint64_t kGiga = 1000000000, kMega = 1000000;
  const uint64_t fc1 = Hundredths(accounting.block.fc1_flop, kGiga);
  const uint64_t fc2 = Hundredths(accounting.block.fc2_flop, kGiga);
  return fmt::format("fc1 {} + fc2 {} = {} GFLOP a block, {} for {} layers; fc1 output {} MB, peak {} MB",
                     Decimal(fc1, 2), Decimal(fc2, 2), Decimal(fc1 + fc2, 2),
                     Decimal((fc1 + fc2) * layers, 1), layers,
                     Decimal(Hundredths(accounting.hidden_bytes, kMega), 2),
                     Decimal(Hundredths(accounting.unfused_peak_bytes, kMega), 1));
}

}  // namespace fusedffn::program

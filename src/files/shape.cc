#include "src/files/shape.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace fusedffn {
inline namespace v0_2 {
namespace io {

std::optional<uint64_t> CheckedMultiply(uint64_t a, uint64_t b) {
  uint64_t product;
  if (__builtin_mul_overflow(a, b, &product)) return std::nullopt;
  return product;
}

std::optional<uint64_t> ElementCount(const Dims& dims) {
  std::optional<uint64_t> count = 1;
  for (const uint64_t dim : dims) {
    count = CheckedMultiply(*count, dim);
    if (!count) break;
  }
  return count;
}

std::string DimsText(const Dims& dims) {
  constexpr size_t kMost = 8;
  const size_t shown = dims.size() < kMost ? dims.size() : kMost;
  return fmt::format("[{}{}]", fmt::join(dims.begin(), dims.begin() + shown, ", "),
                     dims.size() > kMost ? ", ..." : "");
}

}  // namespace io
}  // namespace v0_2
}  // namespace fusedffn

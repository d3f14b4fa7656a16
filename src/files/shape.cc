#include "src/files/shape.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace fusedffn {
inline namespace v0_2 {
namespace io {

bool operator==(DimsView a, DimsView b) { return std::equal(a.begin(), a.end(), b.begin(), b.end()); }
bool operator!=(DimsView a, DimsView b) { return !(a == b); }

DimsView Kept(DimsView dims, std::pmr::memory_resource* memory) {
  auto* const copy =
      static_cast<uint64_t*>(memory->allocate(dims.size() * sizeof(uint64_t), alignof(uint64_t)));
  std::copy(dims.begin(), dims.end(), copy);
  return {copy, dims.size()};
}

std::optional<uint64_t> CheckedMultiply(uint64_t a, uint64_t b) {
  uint64_t product;
  if (__builtin_mul_overflow(a, b, &product)) return std::nullopt;
  return product;
}

std::optional<uint64_t> ElementCount(DimsView dims) {
  std::optional<uint64_t> count = 1;
  for (const uint64_t dim : dims) {
    count = CheckedMultiply(*count, dim);
    if (!count) break;
  }
  return count;
}

std::string DimsText(DimsView dims) {
  constexpr size_t kMost = 8;
  const size_t shown = dims.size() < kMost ? dims.size() : kMost;
  return fmt::format("[{}{}]", fmt::join(dims.begin(), dims.begin() + shown, ", "),
                     dims.size() > kMost ? ", ..." : "");
}

}  // namespace io
}  // namespace v0_2
}  // namespace fusedffn

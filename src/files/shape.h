// Compiled once. Shapes as files give them: any rank, any 64-bit sizes, so every product is checked.
#ifndef FUSEDFFN_SRC_FILES_SHAPE_H_
#define FUSEDFFN_SRC_FILES_SHAPE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace fusedffn {
inline namespace v0_2 {
namespace io {

using Dims = std::vector<uint64_t>;

// a * b, or nothing if it does not fit in 64 bits.
std::optional<uint64_t> CheckedMultiply(uint64_t a, uint64_t b);

// The number of elements, or nothing if it, or a partial product, does not fit. [] has one element.
std::optional<uint64_t> ElementCount(const Dims& dims);

std::string DimsText(const Dims& dims);  // "[1, 257, 1024]", cut after the first few

}  // namespace io
}  // namespace v0_2
}  // namespace fusedffn

#endif  // FUSEDFFN_SRC_FILES_SHAPE_H_

// Compiled once. Shapes as files give them: any rank, any 64-bit sizes, so every product is checked.
#ifndef FUSEDFFN_SRC_FILES_SHAPE_H_
#define FUSEDFFN_SRC_FILES_SHAPE_H_

#include <cstddef>
#include <cstdint>
#include <memory_resource>
#include <optional>
#include <string>
#include <vector>

namespace fusedffn {
inline namespace v0_2 {
namespace io {

using Dims = std::vector<uint64_t>;

// Dims that something else holds, and must hold as long as this is used.
class DimsView {
 public:
  DimsView() = default;
  DimsView(const Dims& dims) : data_(dims.data()), size_(dims.size()) {}
  DimsView(const uint64_t* data, size_t size) : data_(data), size_(size) {}

  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  const uint64_t* begin() const { return data_; }
  const uint64_t* end() const { return data_ + size_; }
  uint64_t operator[](size_t i) const { return data_[i]; }
  operator Dims() const { return Dims(begin(), end()); }

 private:
  const uint64_t* data_ = nullptr;
  size_t size_ = 0;
};

bool operator==(DimsView a, DimsView b);
bool operator!=(DimsView a, DimsView b);

// A copy that stays as long as `memory`.
DimsView Kept(DimsView dims, std::pmr::memory_resource* memory);

// a * b, or nothing if it does not fit in 64 bits.
std::optional<uint64_t> CheckedMultiply(uint64_t a, uint64_t b);

// The number of elements, or nothing if it, or a partial product, does not fit. [] has one element.
std::optional<uint64_t> ElementCount(DimsView dims);

std::string DimsText(DimsView dims);  // "[1, 257, 1024]", cut after the first few

}  // namespace io
}  // namespace v0_2
}  // namespace fusedffn

#endif  // FUSEDFFN_SRC_FILES_SHAPE_H_

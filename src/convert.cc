#include "src/convert.h"

#include <algorithm>
#include <cstring>
#include <iterator>

#include "src/pack.h"

namespace fusedffn {

void Convert(const Kernels& kernels, const void* from, DType from_dtype, size_t count, void* to,
             DType to_dtype) {
  const ConvertFn to_f32 = kernels.to_f32[static_cast<size_t>(from_dtype)];
  const ConvertFn from_f32 = kernels.from_f32[static_cast<size_t>(to_dtype)];
  if (from_dtype == to_dtype) {
    std::memcpy(to, from, count * BytesOf(to_dtype));
  } else if (to_dtype == DType::kF32) {
    to_f32(from, count, to);
  } else if (from_dtype == DType::kF32) {
    from_f32(from, count, to);
  } else {
    float piece[256];
    const auto* in = static_cast<const unsigned char*>(from);
    auto* out = static_cast<unsigned char*>(to);
    for (size_t i = 0; i < count; i += std::size(piece)) {
      const size_t n = std::min(count - i, std::size(piece));
      to_f32(in + i * BytesOf(from_dtype), n, piece);
      from_f32(piece, n, out + i * BytesOf(to_dtype));
    }
  }
}

}  // namespace fusedffn

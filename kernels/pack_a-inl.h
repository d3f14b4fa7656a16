// Compiled once per target. Rows of any element type into a packed A: converted to fp32, normalized, and then
// stored as the kernel multiplies them.
#if defined(FUSEDFFN_KERNELS_PACK_A_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef FUSEDFFN_KERNELS_PACK_A_INL_H_
#undef FUSEDFFN_KERNELS_PACK_A_INL_H_
#else
#define FUSEDFFN_KERNELS_PACK_A_INL_H_
#endif

#include <cstddef>
#include <cstring>

#include "hwy/highway.h"
#include "kernels/convert-inl.h"
#include "kernels/gemm_kernels-inl.h"
#include "kernels/mma-inl.h"
#include "kernels/norm-inl.h"
#include "kernels/quantize-inl.h"

HWY_BEFORE_NAMESPACE();
namespace fusedffn {
inline namespace v0_2 {
namespace HWY_NAMESPACE {

// `count` values as one row of a chunk.
using StoreRowFn = void (*)(const float* values, size_t count, void* row);

inline void StoreF32Row(const float* values, size_t count, void* row) {
  std::memcpy(row, values, count * sizeof(float));
}

inline void StoreBF16Row(const float* values, size_t count, void* row) {
  RoundArray<hwy::bfloat16_t>(values, count, row);
  if (count % 2 != 0) static_cast<hwy::bfloat16_t*>(row)[count] = hwy::bfloat16_t();  // the rest of a step
}

// Columns [k0, k0 + count) of a row, which begins at `in`, as fp32: where they are, or in `room`.
inline const float* ValuesOf(const ARows& from, const void* in, const RowStats& stats, size_t k0,
                             size_t count, float* room) {
  const auto* const at = ElementAt(in, from.dtype, k0);
  if (from.norm != nullptr) {
    const Norm& norm = *from.norm;
    const auto element = [&norm, k0](const void* array) {
      return array == nullptr ? nullptr : ElementAt(array, norm.dtype, k0);
    };
    const NormalizeFn normalize =
        kNorms[static_cast<size_t>(from.dtype)].normalize[static_cast<size_t>(norm.dtype)];
    normalize(at, count, stats, element(norm.weight), norm.weight_offset, element(norm.bias), room);
    return room;
  }
  if (from.dtype == DType::kF32) return static_cast<const float*>(at);
  kToF32[static_cast<size_t>(from.dtype)](at, count, room);
  return room;
}

inline void PackA(const ARows& from, Range rows, const PackedA& a, size_t a_row, StoreRowFn store) {
  HWY_ALIGN float room[kMaxChunk];
  for (size_t row = rows.begin; row < rows.end; ++row, ++a_row) {
    const void* const in = ElementAt(from.data, from.dtype, row * from.stride);
    RowStats stats = {};
    if (from.norm != nullptr) {
      const NormFns& fns = kNorms[static_cast<size_t>(from.dtype)];
      stats = fns.stats[static_cast<size_t>(from.norm->kind)](in, from.columns, from.norm->eps);
    }
    for (size_t k0 = 0; k0 < from.columns; k0 += a.chunk) {
      const size_t count = HWY_MIN(a.chunk, from.columns - k0);
      store(ValuesOf(from, in, stats, k0, count, room), count, a.at(a_row, k0));
    }
  }
}

// GemmKernel::store_hidden.
inline void StoreHidden(const float* values, size_t ld, Range rows, size_t k0, size_t count, const PackedA& a,
                        StoreRowFn store) {
  for (size_t row = rows.begin; row < rows.end; ++row) store(values + row * ld, count, a.at(row, k0));
}

}  // namespace HWY_NAMESPACE
}  // namespace v0_2
}  // namespace fusedffn
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard

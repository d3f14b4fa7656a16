// Compiled once per target. A block of C as the vector family multiplies it, and what is left to do on its
// tiles when they have seen all of k.
#if defined(FUSEDFFN_KERNELS_MMA_BLOCK_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef FUSEDFFN_KERNELS_MMA_BLOCK_INL_H_
#undef FUSEDFFN_KERNELS_MMA_BLOCK_INL_H_
#else
#define FUSEDFFN_KERNELS_MMA_BLOCK_INL_H_
#endif

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "hwy/highway.h"
#include "kernels/gemm.h"
#include "kernels/mma-inl.h"
#include "kernels/tuning-inl.h"

HWY_BEFORE_NAMESPACE();
namespace fusedffn {
inline namespace v0_2 {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Panels that a tile of m rows takes at once, where `columns` are left.
template <class Mma>
constexpr size_t PanelsAtOnce(size_t m, size_t columns) {
  return Mma::kDualPanel && m <= kDualPanelRows && columns >= 2 * kNr ? 2 : 1;
}

// What becomes of C where it is to be an A. In fp32 the tiles write there, in bf16 they are rounded into it;
// what is quantized needs a whole row of a chunk first, and goes by store_hidden().
template <class Mma>
inline constexpr bool kCIsHidden = std::is_same_v<typename Mma::A, float>;
template <class Mma>
inline constexpr bool kRoundsHidden = !kCIsHidden<Mma> && std::is_same_v<typename Mma::Sum, float>;

// A GemmBlock as Mma counts: in steps of k, each 4 bytes of A.
template <class Mma>
struct MmaBlock {
  const GemmBlock& block;
  size_t k, k0;    // steps, and the first one's place in B
  size_t a_steps;  // in each chunk of A but the last
  size_t a_chunk;  // elements from one chunk to the next
  size_t b_panel;  // elements of B for each of a panel's columns, from one panel to the next
  const typename Mma::A* a;
  const typename Mma::B* b;  // the first panel, at its step 0
  const float* bias;         // or null
  float* c;
  size_t ldc;
  void* rounded;  // where C goes, rounded, as one chunk of an A; or null. `c` is then room for the panels at
                  // once, and the block that wide or of one chunk

  explicit MmaBlock(const GemmBlock& g)
      : block(g),
        k(DivideUp(g.k, Mma::kStep)),
        k0(g.k0 / Mma::kStep),
        a_steps(g.a_chunk / Mma::kStep),
        a_chunk(g.a_chunk_bytes / sizeof(typename Mma::A)),
        b_panel(g.b->layout.interleaved * g.b->layout.padded_k() / Mma::kStep),
        a(static_cast<const typename Mma::A*>(g.a)),
        b(static_cast<const typename Mma::B*>(g.b->at(g.n0, 0))),
        bias(g.k0 == 0 ? g.b->bias + g.n0 : nullptr),
        c(g.c),
        ldc(g.ldc),
        rounded(nullptr) {
    if (g.hidden == nullptr) return;
    if constexpr (kCIsHidden<Mma>) {
      c = static_cast<float*>(g.hidden);
      ldc = kAStride;
    } else if constexpr (kRoundsHidden<Mma>) {
      c = static_cast<float*>(g.scratch);
      ldc = PanelsAtOnce<Mma>(g.m, g.n) * kNr;
      rounded = g.hidden;
    }
  }

  float* c_at(size_t jr) const { return rounded == nullptr ? c + jr : c; }
  bool has_epilogue() const {
    return block.activate != nullptr || block.gate != nullptr || rounded != nullptr;
  }
};

// c *= gate
HWY_INLINE void MultiplyTile(const float* HWY_RESTRICT gate, size_t ld_gate, size_t rows, size_t columns,
                             float* HWY_RESTRICT c, size_t ldc) {
  const D d;
  for (size_t r = 0; r < rows; ++r, gate += ld_gate, c += ldc) {
    for (size_t n = 0; n < columns; n += hn::Lanes(d)) {
      hn::Store(hn::Mul(hn::Load(d, gate + n), hn::Load(d, c + n)), d, c + n);
    }
  }
}

// `columns` of a tile in bf16, which is A's, rounded to nearest, ties to even. Those from `valid` on are
// padding: one that shares a step with a valid one must be zero, since it may be NaN in a row with
// infinities.
HWY_INLINE void RoundTile(const float* HWY_RESTRICT c, size_t ldc, size_t rows, size_t columns, size_t valid,
                          hwy::bfloat16_t* HWY_RESTRICT to, size_t ld) {
  const D d;
  const hn::Rebind<hwy::bfloat16_t, D> dbf16;
  for (size_t r = 0; r < rows; ++r, c += ldc, to += ld) {
    for (size_t n = 0; n < columns; n += hn::Lanes(d)) {
      hn::Store(hn::DemoteTo(dbf16, hn::Load(d, c + n)), dbf16, to + n);
    }
    if (valid < columns && valid % 2 != 0) to[valid] = hwy::bfloat16_t();
  }
}

// What is left to do on a tile of C that has seen all of k, while it is in the L1 cache. `c` is its place,
// and `row` its first row in the block. Not inline: in the loop over tiles its code costs those that do not
// need it 0.5 %. See bench/results/tuning.md.
template <class Mma>
HWY_NOINLINE void Epilogue(const MmaBlock<Mma>& g, size_t jr, size_t columns, size_t row, size_t rows,
                           float* c) {
  const GemmBlock& block = g.block;
  if (block.activate != nullptr) block.activate(rows, columns, c, g.ldc);
  if (block.gate != nullptr) {
    MultiplyTile(block.gate + row * block.ld_gate + jr, block.ld_gate, rows, columns, c, g.ldc);
  }
  if constexpr (kRoundsHidden<Mma>) {
    if (g.rounded == nullptr) return;
    constexpr size_t kLd = kAStride * 2;
    auto* const to = static_cast<hwy::bfloat16_t*>(g.rounded) + row * kLd + jr;
    RoundTile(c, g.ldc, rows, columns, block.b->layout.n - block.n0 - jr, to, kLd);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace v0_2
}  // namespace fusedffn
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard

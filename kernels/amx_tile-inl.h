// Compiled once per target, for AMX and for tests that emulate its registers. A tile of C in tile registers,
// see amx_tiles.h. One product is that of 16 steps of k in 16 rows of A and 16 columns of B, which lie as
// vectors read them: of A, rows of steps; of B, for each step, a vector of a panel.
//
//   registers:  2 x 2 of C (32 x 32) + 2 of A + 2 of B
//
// Sums start from zero, and wait in the L1 cache when they are complete. Vectors add them to C, and do what
// is left to do on C, between the products of the next tile. See bench/results/tuning.md, AMX.
#if defined(FUSEDFFN_KERNELS_AMX_TILE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef FUSEDFFN_KERNELS_AMX_TILE_INL_H_
#undef FUSEDFFN_KERNELS_AMX_TILE_INL_H_
#else
#define FUSEDFFN_KERNELS_AMX_TILE_INL_H_
#endif

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#include "hwy/highway.h"
#include "kernels/amx_tiles.h"
#include "kernels/gemm.h"
#include "kernels/microkernel-inl.h"
#include "kernels/mma-inl.h"
#include "kernels/mma_block-inl.h"
#include "kernels/split-inl.h"
#include "kernels/tuning-inl.h"

HWY_BEFORE_NAMESPACE();
namespace fusedffn {
inline namespace v0_2 {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

inline constexpr size_t kAmxRows = kMaxRowsOfTile;
inline constexpr size_t kAmxColumns = kMaxBytesOfTileRow / 4;
inline constexpr size_t kAmxSteps = kMaxBytesOfTileRow / 4;  // of k in one product; 4 bytes each
inline constexpr size_t kAmxNr = 2 * kAmxColumns;            // columns of a panel
inline constexpr size_t kAmxMr = 2 * kAmxRows;
inline constexpr size_t kAmxA = 4, kAmxB = 6;  // registers, two each; those of C are 0 to 3
static_assert(kAmxColumns % kLanes == 0);

// The rows that this thread's registers have; 0: another library may have configured them.
template <class TileUnit>
inline thread_local size_t configured_rows = 0;

template <class TileUnit>
void EnterAmx() {
  configured_rows<TileUnit> = 0;
}
// So that switching to another thread need not save the registers.
template <class TileUnit>
void LeaveAmx() {
  TileUnit::Release();
}

// Zeroes all registers, if they do not have so many rows yet.
template <class TileUnit>
void ConfigureAmx(size_t rows) {
  if (rows == configured_rows<TileUnit>) return;
  configured_rows<TileUnit> = rows;
  TileConfig config = {};
  config.palette = 1;
  for (size_t i = 0; i < kTileRegisters; ++i) {
    config.row_bytes[i] = kMaxBytesOfTileRow;
    config.rows[i] = static_cast<uint8_t>(i >= kAmxB ? kAmxSteps : rows);
  }
  TileUnit::Configure(config);
}

// What a tile multiplies: elements of k in a step, what their sums are, pieces of each element of A, and,
// since all kinds of A lie in rows, the steps from one row to the next.
template <class TileUnit>
struct BF16Tiles {
  using Unit = TileUnit;
  using Sum = float;
  static constexpr size_t kStep = 2, kPieces = 1;
  static constexpr size_t kRowStride = kAmxChunk / 2 + kAmxSteps;
  template <size_t kC, size_t kOfA, size_t kOfB>
  static HWY_INLINE void Multiply() {
    Unit::template MultiplyBF16<kC, kOfA, kOfB>();
  }
};
static_assert(BF16Tiles<void>::kRowStride * 4 / kLineBytes % 2 == 1);

// A in fp32 as pieces of bf16, see split-inl.h.
template <class TileUnit>
struct BF16x3Tiles : BF16Tiles<TileUnit> {
  static constexpr size_t kPieces = HWY_NAMESPACE::kPieces;
  static constexpr size_t kRowStride = kSplitStride;
};

// Exact. Rows are quantized as for the target's vectors.
template <class TileUnit>
struct Int8Tiles {
  using Unit = TileUnit;
  using Sum = int32_t;
  static constexpr size_t kStep = 4, kPieces = 1;
  static constexpr size_t kRowStride = kAStride;
  template <size_t kC, size_t kOfA, size_t kOfB>
  static HWY_INLINE void Multiply() {
    Unit::template MultiplyU8S8<kC, kOfA, kOfB>();
  }
};

// f(0), f(1), ..., each a constant.
template <class F, size_t... kIndex>
HWY_INLINE void ForEach(std::index_sequence<kIndex...>, const F& f) {
  (f(std::integral_constant<size_t, kIndex>()), ...);
}

// A tile whose sums are complete, in rows of kAmxNr, and what is left to do on them. Pointers are to the
// first row that is left.
template <class Mma>
struct PendingTile {
  size_t rows, columns;
  float* sums;
  GroupQuant quant;     // int8
  const float* factor;  // of a row's sums, kRowStride apart, where A is in pieces
  const float* c0;      // what the sums are added to
  size_t ldc0;
  float* c;  // where that goes; in `sums` itself if it is all that C waits for
  size_t ldc;
  ActivateFn activate;  // c = act(c), or null
  const float* gate;    // c *= gate, or null
  size_t ld_gate;
  hwy::bfloat16_t* hidden;  // c rounded, or null
  size_t valid;             // columns of it that are no padding

  HWY_INLINE void AddToC(size_t count) const {
    const D d;
    for (size_t r = 0; r < count; ++r) {
      for (size_t n = 0; n < columns; n += hn::Lanes(d)) {
        const V start = hn::Load(d, c0 + r * ldc0 + n), sum = hn::Load(d, sums + r * kAmxNr + n);
        V total;
        if constexpr (Mma::kPieces != 1) {
          total = hn::MulAdd(sum, hn::Set(d, factor[r * Mma::kRowStride]), start);
        } else if constexpr (std::is_same_v<typename Mma::Sum, float>) {
          total = hn::Add(start, sum);
        } else {
          total = Dequantized(quant, quant.a_quant[r * kQuantStride], hn::BitCast(DI32(), sum), start, n);
        }
        hn::Store(total, d, c + r * ldc + n);
      }
    }
  }

  // Of the next `count` rows, or as many as are left.
  HWY_NOINLINE void Finish(size_t count) {
    count = HWY_MIN(count, rows);
    if (count == 0) return;
    AddToC(count);
    if (activate != nullptr) activate(count, columns, c, ldc);
    if (gate != nullptr) MultiplyTile(gate, ld_gate, count, columns, c, ldc);
    constexpr size_t kLdHidden = Mma::kRowStride * Mma::kStep;
    if (hidden != nullptr) RoundTile(c, ldc, count, columns, valid, hidden, kLdHidden);
    rows -= count;
    sums += count * kAmxNr;
    if constexpr (std::is_same_v<typename Mma::Sum, int32_t>) quant.a_quant += count * kQuantStride;
    if constexpr (Mma::kPieces != 1) factor += count * Mma::kRowStride;
    c0 += count * ldc0;
    c += count * ldc;
    if (gate != nullptr) gate += count * ld_gate;
    if (hidden != nullptr) hidden += count * kLdHidden;
  }
};

// Lines of memory that are asked for into L2, some with each product.
struct LinesAhead {
  const char *next, *end;
  size_t each;

  HWY_INLINE void Ask() {
    for (size_t i = 0; i < each && next < end; ++i, next += kLineBytes) __builtin_prefetch(next, 0, 2);
  }
};

// Of one tile.
struct AmxOperands {
  const uint32_t* a;
  // Its rows are in one or two registers, the first ones and those from `second` on. Both have the same
  // number of rows in all tiles of a block, so that they are configured once: rows in the middle may be in
  // both, and then give the same in both.
  size_t rows, second;
  const uint32_t* b;
  const uint32_t* b_tail;  // the last steps % kAmxSteps of B, and zeros
  size_t steps;            // of k
  bool b_is_far;           // in no cache of this core, perhaps
};

// 16 steps of k: C += A * B, and so for each further piece of A. A is loaded so that it does not push B,
// which all rows need, out of the L1 cache.
template <class Mma, size_t kRegRows, size_t kVecs, size_t kPieceCount>
HWY_INLINE void AmxMultiply(const uint32_t* a, size_t stride, size_t second, const uint32_t* b) {
  using Unit = typename Mma::Unit;
  ForEach(std::make_index_sequence<kVecs>(), [b](auto v) HWY_ATTR {
    Unit::template Load<kAmxB + decltype(v)::value>(b + v * kAmxColumns, kVecs * kLineBytes);
  });
  for (size_t piece = 0; piece < kPieceCount; ++piece, a += kPieceStride) {
    Unit::template LoadOnce<kAmxA>(a, stride * sizeof(*a));
    if constexpr (kRegRows == 2) Unit::template LoadOnce<kAmxA + 1>(a + second * stride, stride * sizeof(*a));
    ForEach(std::make_index_sequence<kVecs>(), [](auto v) HWY_ATTR {
      constexpr size_t kV = decltype(v)::value;
      Mma::template Multiply<kV, kAmxA, kAmxB + kV>();
      if constexpr (kRegRows == 2) Mma::template Multiply<2 + kV, kAmxA + 1, kAmxB + kV>();
    });
  }
}

// The last steps of A, and zeros, in rows of kAmxSteps.
HWY_INLINE void CopyTail(const uint32_t* a, size_t stride, size_t rows, size_t steps, uint32_t* tail) {
  std::memset(tail, 0, rows * kLineBytes);
  for (size_t r = 0; r < rows; ++r) std::memcpy(tail + r * kAmxSteps, a + r * stride, steps * sizeof(*a));
}

// After about 2100 cycles without a tile store the next one costs 470 to 900 more, and so long may a tile
// take whose B is far. So one register is stored to nowhere on the way. See bench/results/tuning.md.
inline constexpr size_t kAwakeProducts = 4;

// sums = A * B. Before it stores them, it finishes `pending`, whose sums may lie there.
template <class Mma, size_t kRegRows, size_t kVecs>
HWY_NOINLINE void AmxTile(const AmxOperands& in, LinesAhead* ahead, PendingTile<Mma>* pending, float* sums) {
  using Unit = typename Mma::Unit;
  constexpr size_t kStride = Mma::kRowStride;
  const auto for_each_c = [](const auto& op) HWY_ATTR {
    ForEach(std::make_index_sequence<kRegRows * kVecs>(), [&op](auto i) HWY_ATTR {
      op(std::integral_constant<size_t, i / kVecs>(), std::integral_constant<size_t, i % kVecs>());
    });
  };
  for_each_c([](auto r, auto v) HWY_ATTR { Unit::template Zero<r * 2 + v>(); });
  const bool keep_awake = in.b_is_far || Mma::kPieces > 1;
  HWY_ALIGN uint32_t room[kAmxMr * kAmxSteps];  // for the tail of A, and nowhere
  const uint32_t *a = in.a, *b = in.b;
  const size_t products = in.steps / kAmxSteps, tail = in.steps % kAmxSteps;
  const size_t rows_each = DivideUp(pending->rows, products + (tail != 0));
  for (size_t product = 1; product <= products; ++product) {
    ahead->Ask();
    AmxMultiply<Mma, kRegRows, kVecs, Mma::kPieces>(a, kStride, in.second, b);
    pending->Finish(rows_each);
    if (keep_awake && product % kAwakeProducts == 0) Unit::template Store<kAmxA>(room, kLineBytes);
    a += kAmxSteps;
    b += kAmxSteps * kVecs * kAmxColumns;
  }
  if (tail != 0) {
    for (size_t piece = 0; piece < Mma::kPieces; ++piece, a += kPieceStride) {
      CopyTail(a, kStride, in.rows, tail, room);
      AmxMultiply<Mma, kRegRows, kVecs, 1>(room, kAmxSteps, in.second, in.b_tail);
    }
    pending->Finish(rows_each);
  }
  for_each_c([&](auto r, auto v) HWY_ATTR {
    Unit::template Store<r * 2 + v>(sums + (r == 0 ? 0 : in.second) * kAmxNr + v * kAmxColumns,
                                    kAmxNr * sizeof(*sums));
  });
}

template <class Mma>
using AmxTileFn = decltype(&AmxTile<Mma, 1, 1>);

// By registers of rows and of columns, both less one.
template <class Mma>
inline constexpr AmxTileFn<Mma> kAmxTiles[2][2] = {{AmxTile<Mma, 1, 1>, AmxTile<Mma, 1, 2>},
                                                   {AmxTile<Mma, 2, 1>, AmxTile<Mma, 2, 2>}};

}  // namespace HWY_NAMESPACE
}  // namespace v0_2
}  // namespace fusedffn
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard

// Compiled once per target with vectors of 64 bytes: for AMX, and for tests that emulate its registers. A
// tile of C in tile registers, see amx_tiles.h. One product is that of 16 steps of k in 16 rows of A and 16
// columns of B, which lie as vectors read them: of A, rows of steps; of B, for each step, a vector of a
// panel.
//
//   registers:  2 x 3 of C (32 x 48) + 1 of A + 1 of B
//
// 6 multiplications for 7 loads; 2 x 2 of C, 4 for 4, reach 0.93 of that. See bench/results/tuning.md.
#if defined(FUSEDFFN_KERNELS_AMX_GEMM_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef FUSEDFFN_KERNELS_AMX_GEMM_INL_H_
#undef FUSEDFFN_KERNELS_AMX_GEMM_INL_H_
#else
#define FUSEDFFN_KERNELS_AMX_GEMM_INL_H_
#endif

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#include "hwy/highway.h"
#include "kernels/amx_tiles.h"
#include "kernels/gemm_kernels-inl.h"
#include "kernels/microkernel-inl.h"
#include "kernels/mma-inl.h"
#include "kernels/prefetch-inl.h"
#include "kernels/tuning-inl.h"
#include "kernels/vector_gemm-inl.h"
#include "kernels/vector_kernel-inl.h"

#if HWY_ARCH_X86_64 && HWY_TARGET <= HWY_AVX3

HWY_BEFORE_NAMESPACE();
namespace fusedffn {
inline namespace v0_2 {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

inline constexpr size_t kAmxRows = kMaxRowsOfTile;
inline constexpr size_t kAmxSteps = kMaxBytesOfTileRow / 4;  // of k in one product; 4 bytes each
inline constexpr size_t kAmxA = 6, kAmxB = 7;                // registers; those of C are 0 to 5

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
    config.rows[i] = static_cast<uint8_t>(i == kAmxB ? kAmxSteps : rows);
  }
  TileUnit::Configure(config);
}

// Sums start from C.
template <class TileUnit>
struct BF16Tiles {
  using Unit = TileUnit;
  using A = uint32_t;  // two of one row
  using B = uint32_t;  // two of one column, see gemm.h
  using Sum = float;
  static constexpr size_t kStep = 2;
  static constexpr bool kDualPanel = false;
  template <size_t kC>
  static HWY_INLINE void Multiply() {
    Unit::template MultiplyBF16<kC, kAmxA, kAmxB>();
  }
};

// Sums start from zero. Exact.
template <class TileUnit>
struct Int8Tiles {
  using Unit = TileUnit;
  using A = uint32_t;  // four of one row
  using B = uint32_t;  // four of one column
  using Sum = int32_t;
  static constexpr size_t kStep = 4;
  static constexpr bool kDualPanel = false;
  template <size_t kC>
  static HWY_INLINE void Multiply() {
    Unit::template MultiplyU8S8<kC, kAmxA, kAmxB>();
  }
};

template <class TileUnit>
inline constexpr size_t kRowsOfTile<BF16Tiles<TileUnit>> = 2 * kAmxRows;
template <class TileUnit>
inline constexpr size_t kRowsOfTile<Int8Tiles<TileUnit>> = 2 * kAmxRows;

// f(0), f(1), ..., each a constant.
template <class F, size_t... kIndex>
HWY_INLINE void ForEach(std::index_sequence<kIndex...>, const F& f) {
  (f(std::integral_constant<size_t, kIndex>()), ...);
}

// Rows of A, and where the ones for the second row of registers begin.
struct AmxRowsOfA {
  const uint32_t* first;
  const uint32_t* second;
  size_t stride;
};

// 16 steps of k: C += A * B. The second row of registers goes backwards, with B's last one that is there.
template <class Mma, size_t kRegRows, size_t kVecs>
HWY_INLINE void AmxMultiply(const AmxRowsOfA& a, const uint32_t* b) {
  using Unit = typename Mma::Unit;
  const auto load_b = [b](size_t v)
                          HWY_ATTR { Unit::template Load<kAmxB>(b + v * kAmxRows, kVecs * kLineBytes); };
  Unit::template Load<kAmxA>(a.first, a.stride);
  ForEach(std::make_index_sequence<kVecs>(), [&](auto v) HWY_ATTR {
    load_b(v);
    Mma::template Multiply<v>();
  });
  if constexpr (kRegRows == 2) {
    Unit::template Load<kAmxA>(a.second, a.stride);
    ForEach(std::make_index_sequence<kVecs>(), [&](auto i) HWY_ATTR {
      constexpr size_t v = kVecs - 1 - i;
      if (i != 0) load_b(v);
      Mma::template Multiply<kVecs + v>();
    });
  }
}

// Where one tile's rows lie. The two rows of registers have the same number of rows: of 2 n - 1 the one in
// the middle is in both, from the same C and to the same C.
struct AmxRows {
  size_t rows, of_register, second;
  explicit AmxRows(size_t tile_rows)
      : rows(tile_rows),
        of_register(tile_rows <= kAmxRows ? tile_rows : (tile_rows + 1) / 2),
        second(tile_rows - of_register) {}
};

// Calls op(register, its first element in an array of rows `stride` elements apart).
template <size_t kRegRows, size_t kVecs, class F>
HWY_INLINE void ForEachOfC(const AmxRows& rows, size_t stride, const F& op) {
  ForEach(std::make_index_sequence<kRegRows * kVecs>(), [&](auto reg) HWY_ATTR {
    op(reg, (reg >= kVecs ? rows.second * stride : 0) + reg % kVecs * kAmxRows);
  });
}

template <size_t kRegRows, size_t kVecs, class Unit>
HWY_INLINE void BeginAmx(BF16Tiles<Unit>, const AmxRows& rows, const TileOfC& tile) {
  ForEachOfC<kRegRows, kVecs>(rows, tile.ldc0(), [&](auto reg, size_t at) HWY_ATTR {
    Unit::template Load<reg>(tile.c0() + at, tile.ldc0() * sizeof(float));
  });
}

template <size_t kRegRows, size_t kVecs, class Unit>
HWY_INLINE void EndAmx(BF16Tiles<Unit>, const AmxRows& rows, const TileOfC& tile) {
  ForEachOfC<kRegRows, kVecs>(rows, tile.ldc, [&](auto reg, size_t at) HWY_ATTR {
    Unit::template Store<reg>(tile.c + at, tile.ldc * sizeof(float));
  });
}

template <size_t kRegRows, size_t kVecs, class Unit>
HWY_INLINE void BeginAmx(Int8Tiles<Unit>, const AmxRows& /*rows*/, const TileOfC& /*tile*/) {
  ForEach(std::make_index_sequence<kRegRows * kVecs>(),
          [](auto reg) HWY_ATTR { Unit::template Zero<reg>(); });
}

template <size_t kRegRows, size_t kVecs, class Unit>
HWY_INLINE void EndAmx(Int8Tiles<Unit>, const AmxRows& rows, const TileOfC& tile) {
  constexpr size_t kStride = kVecs * kAmxRows;
  HWY_ALIGN int32_t sums[kRegRows * kAmxRows * kStride];
  ForEachOfC<kRegRows, kVecs>(rows, kStride, [&](auto reg, size_t at) HWY_ATTR {
    Unit::template Store<reg>(sums + at, kStride * sizeof(int32_t));
  });
  const D d;
  const float* const c0 = tile.c0();
  for (size_t r = 0; r < rows.rows; ++r) {
    const RowQuant& row = tile.a_quant[r * kQuantStride];
    HWY_UNROLL(8)
    for (size_t v = 0; v < kVecs; ++v) {
      const size_t column = v * kAmxRows;
      const V start = hn::Load(d, c0 + r * tile.ldc0() + column);
      const auto sum = hn::Load(DI32(), sums + r * kStride + column);
      hn::Store(Dequantized(tile, row, sum, start, column), d, tile.c + r * tile.ldc + column);
    }
  }
}

// After about 2100 cycles without a tile store the next one costs 470 to 900 more, and a tile of C takes
// longer than that. So one register is stored to nowhere on the way. See bench/results/tuning.md.
inline constexpr size_t kAwakeSteps = 4 * kAmxSteps;

// C = C0 + A * B over k steps. `b_tail`: the last k % 16 of them, and zeros. Asks for `lines` of `next` with
// each 16 steps.
template <class Mma, size_t kRegRows, size_t kVecs>
HWY_NOINLINE void AmxTile(const uint32_t* a, const uint32_t* b, const uint32_t* b_tail, size_t k,
                          const AmxRows& rows, const TileOfC& tile, const char* next, size_t lines) {
  BeginAmx<kRegRows, kVecs>(Mma(), rows, tile);
  AmxRowsOfA rows_of_a = {a, a + rows.second * kAStride, kAStride * sizeof(*a)};
  HWY_ALIGN uint32_t nowhere[kAmxRows * kAmxSteps];
  for (size_t step = 0; step + kAmxSteps <= k; step += kAmxSteps) {
    for (size_t line = 0; line < lines; ++line) __builtin_prefetch(next + line * kLineBytes, 0, 2);
    next += lines * kLineBytes;
    AmxMultiply<Mma, kRegRows, kVecs>(rows_of_a, b);
    b += kAmxSteps * kVecs * kAmxRows;
    rows_of_a.first += kAmxSteps;
    rows_of_a.second += kAmxSteps;
    if ((step + kAmxSteps) % kAwakeSteps == 0) Mma::Unit::template Store<kAmxA>(nowhere, kLineBytes);
  }
  if (k % kAmxSteps != 0) {
    HWY_ALIGN uint32_t a_tail[2 * kAmxRows * kAmxSteps];  // the same of A
    for (size_t r = 0; r < rows.rows; ++r) {
      const auto steps = hn::LoadN(DU32(), rows_of_a.first + r * kAStride, k % kAmxSteps);
      hn::Store(steps, DU32(), a_tail + r * kAmxSteps);
    }
    AmxMultiply<Mma, kRegRows, kVecs>({a_tail, a_tail + rows.second * kAmxSteps, kLineBytes}, b_tail);
  }
  EndAmx<kRegRows, kVecs>(Mma(), rows, tile);
}

// By kRegRows and kVecs, both less one.
template <class Mma>
inline constexpr decltype(&AmxTile<Mma, 1, 1>) kAmxTiles[2][kTileVecs] = {
    {AmxTile<Mma, 1, 1>, AmxTile<Mma, 1, 2>, AmxTile<Mma, 1, 3>},
    {AmxTile<Mma, 2, 1>, AmxTile<Mma, 2, 2>, AmxTile<Mma, 2, 3>}};

template <class Mma>
class AmxRunner {
 public:
  AmxRunner(const uint32_t* b, size_t /*b_panel*/, const TileSize& size, const Prefetch& prefetch)
      : b_(b), vecs_(size.vecs), prefetch_(prefetch) {
    const size_t tail = size.k % kAmxSteps, width = vecs_ * hn::Lanes(D());
    if (tail == 0) return;
    std::memset(b_tail_, 0, sizeof(b_tail_));
    std::memcpy(b_tail_, b_ + (size.k - tail) * width, tail * width * sizeof(*b_));
  }

  HWY_INLINE void operator()(size_t ir, size_t rows, Range steps, const uint32_t* a, const TileOfC& c) const {
    const AmxRows split(rows);
    ConfigureAmx<typename Mma::Unit>(split.of_register);
    // A panel's only tile asks for as far ahead as the vectors' tiles do in L2.
    const char* const next =
        prefetch_.OfTile(ir, steps.begin) + (prefetch_.share_index == 0 ? kFurtherBytes : 0);
    const uint32_t* const b = b_ + steps.begin * vecs_ * hn::Lanes(D());
    kAmxTiles<Mma>[rows > kAmxRows][vecs_ - 1](a + steps.begin, b, b_tail_, steps.size(), split, c, next,
                                               prefetch_.lines * kAmxSteps / kUnroll);
  }

 private:
  const uint32_t* b_;
  size_t vecs_;
  Prefetch prefetch_;
  HWY_ALIGN uint32_t b_tail_[kAmxSteps * kTileVecs * kAmxRows];
};

template <class Unit>
struct TileRunner<BF16Tiles<Unit>> : AmxRunner<BF16Tiles<Unit>> {
  using AmxRunner<BF16Tiles<Unit>>::AmxRunner;
};
template <class Unit>
struct TileRunner<Int8Tiles<Unit>> : AmxRunner<Int8Tiles<Unit>> {
  using AmxRunner<Int8Tiles<Unit>>::AmxRunner;
};

// GemmKernel::run.
template <class Mma>
void RunAmx(const GemmBlock& block) {
  RunGemm<Mma>(block);
}

template <class Mma>
constexpr GemmKernel AmxKernel(Precision precision) {
  GemmKernel kernel = VectorKernel<Mma>("AMX", precision);
  kernel.run = RunAmx<Mma>;
  kernel.enter = EnterAmx<typename Mma::Unit>;
  kernel.leave = LeaveAmx<typename Mma::Unit>;
  return kernel;
}

template <class Unit>
constexpr GemmKernel BF16DotAmxKernel() {
  GemmKernel kernel = AmxKernel<BF16Tiles<Unit>>(Precision::kBF16Dot);
  RoundsToBF16(&kernel);
  return kernel;
}

template <class Unit>
constexpr GemmKernel Int8AmxKernel(size_t group) {
  static_assert(Int8Tiles<Unit>::kStep == Int8::kStep, "rows are quantized as for the target's vectors");
  GemmKernel kernel = AmxKernel<Int8Tiles<Unit>>(Precision::kInt8);
  QuantizesGroups<Int8Tiles<Unit>>(group, &kernel);
  return kernel;
}

}  // namespace HWY_NAMESPACE
}  // namespace v0_2
}  // namespace fusedffn
HWY_AFTER_NAMESPACE();

#endif  // vectors of 64 bytes
#endif  // per-target include guard

// Compiled once per target, for AMX and for tests that emulate its registers. Its way through one block of C:
// a panel's chunk of k, which stays in the L1 cache, for all rows; then the next one.
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

#include "hwy/highway.h"
#include "kernels/amx_tile-inl.h"
#include "kernels/gemm.h"
#include "kernels/gemm_kernels-inl.h"
#include "kernels/mma-inl.h"
#include "kernels/pack_b.h"
#include "kernels/tuning-inl.h"
#include "kernels/vector_gemm-inl.h"

HWY_BEFORE_NAMESPACE();
namespace fusedffn {
inline namespace v0_2 {
namespace HWY_NAMESPACE {

// While one panel's chunk is multiplied, the one so many later is asked for: 64 KB ahead. 32 to 128 KB are
// the same. See bench/results/tuning.md.
inline constexpr size_t kChunksAhead = 2;

// One block of C. Sums of an element: the bias, or C, and to that are added those of each chunk of k, or of
// each int8 group, in order. So its bits depend on no row, column, or thread.
template <class Mma>
class AmxGemm {
 public:
  explicit AmxGemm(const GemmBlock& block)
      : g_(block),
        tiles_(block.m, kAmxMr),
        of_register_(block.m <= kAmxRows ? block.m : DivideUp(tiles_.rows(0), 2)),
        chunks_(DivideUp(block.k, block.a_chunk)),
        panels_(DivideUp(block.n, kAmxNr)) {}

  void Run() {
    ConfigureAmx<typename Mma::Unit>(of_register_);
    for (size_t i = 0; i < chunks_ * panels_; ++i) MultiplyChunk(i);
    pending_.Finish(pending_.rows);
  }

 private:
  // A panel's chunk: its first column, and first element of k, in the block.
  struct Chunk {
    size_t column, index, k0, k, width;
    const unsigned char* b;

    size_t bytes() const { return k * width * (4 / Mma::kStep); }
  };

  // Panel by panel where C becomes an A, since then one of them at a time waits for its last chunk; else all
  // panels of a chunk, so that those of A stay in the L2 cache.
  Chunk At(size_t i) const {
    const size_t panel = g_.hidden != nullptr ? i / chunks_ : i % panels_;
    Chunk chunk;
    chunk.index = g_.hidden != nullptr ? i % chunks_ : i / panels_;
    chunk.column = panel * kAmxNr;
    chunk.k0 = chunk.index * g_.a_chunk;
    chunk.k = HWY_MIN(g_.a_chunk, g_.k - chunk.k0);
    chunk.width = HWY_MIN(kAmxNr, RoundUp(g_.n - chunk.column, kAmxColumns));
    chunk.b = static_cast<const unsigned char*>(g_.b->at(g_.n0 + chunk.column, g_.k0 + chunk.k0));
    return chunk;
  }

  // What is asked for during one chunk, by so many products.
  LinesAhead Ahead(size_t i, const Chunk& chunk, size_t products) const {
    const size_t then = i + kChunksAhead, all = chunks_ * panels_;
    const char* next = static_cast<const char*>(g_.b_next);
    if (then < all) {
      next = reinterpret_cast<const char*>(At(then).b);
    } else if (next != nullptr) {
      next += (then - all) * chunk.bytes();
    } else {
      return {nullptr, nullptr, 0};
    }
    return {next, next + chunk.bytes(), DivideUp(chunk.bytes() / kLineBytes, products)};
  }

  const uint32_t* RowOfA(const Chunk& chunk, size_t row) const {
    const auto* const a = static_cast<const unsigned char*>(g_.a) + chunk.index * g_.a_chunk_bytes;
    return reinterpret_cast<const uint32_t*>(a) + row * Mma::kRowStride;
  }

  // An int8 group is multiplied at a time, in bf16 all of a chunk.
  size_t group() const {
    return std::is_same_v<typename Mma::Sum, float> ? g_.a_chunk : g_.b->layout.b.scale_group;
  }

  HWY_NOINLINE void MultiplyChunk(size_t i) {
    const Chunk chunk = At(i);
    const size_t steps = DivideUp(chunk.k, Mma::kStep), tail = steps % kAmxSteps;
    if (tail != 0) {
      std::memset(b_tail_, 0, sizeof(b_tail_));
      std::memcpy(b_tail_, chunk.b + (steps - tail) * chunk.width * 4, tail * chunk.width * 4);
    }
    LinesAhead ahead = Ahead(i, chunk, tiles_.count * DivideUp(steps, kAmxSteps));
    for (size_t ir = 0, row = 0; ir < tiles_.count; row += tiles_.rows(ir++)) {
      for (size_t k = 0; k < chunk.k; k += group()) {
        MultiplyTile(chunk, {k, HWY_MIN(k + group(), chunk.k)}, row, tiles_.rows(ir), &ahead);
      }
    }
  }

  // Elements k of the chunk.
  HWY_INLINE void MultiplyTile(const Chunk& chunk, Range k, size_t row, size_t rows, LinesAhead* ahead) {
    AmxOperands in;
    in.a = RowOfA(chunk, row) + k.begin / Mma::kStep;
    in.rows = rows;
    in.second = rows - of_register_;
    in.b = reinterpret_cast<const uint32_t*>(chunk.b) + k.begin / Mma::kStep * chunk.width;
    in.b_tail = b_tail_;
    in.steps = DivideUp(k.size(), Mma::kStep);
    in.b_is_far = row == 0;
    kAmxTiles<Mma>[g_.m > kAmxRows][chunk.width / kAmxColumns - 1](in, ahead, &pending_, sums_);
    pending_ = Pending(chunk, k, row, rows);
  }

  PendingTile<Mma> Pending(const Chunk& chunk, Range k, size_t row, size_t rows) {
    PendingTile<Mma> tile = {};
    tile.rows = rows;
    tile.columns = chunk.width;
    tile.sums = sums_;
    const size_t column = chunk.column, k0 = chunk.k0 + k.begin;
    if constexpr (std::is_same_v<typename Mma::Sum, int32_t>) tile.quant = Quant(chunk, k.begin, row);
    if constexpr (Mma::kPieces != 1) {
      tile.factor = reinterpret_cast<const float*>(RowOfA(chunk, row) + Mma::kPieces * kPieceStride);
    }
    tile.ldc = g_.hidden != nullptr ? kAmxNr : g_.ldc;
    tile.c =
        g_.hidden != nullptr ? static_cast<float*>(g_.scratch) + row * kAmxNr : g_.c + row * g_.ldc + column;
    tile.c0 = g_.k0 + k0 == 0 ? g_.b->bias + g_.n0 + column : tile.c;
    tile.ldc0 = g_.k0 + k0 == 0 ? 0 : tile.ldc;
    if (chunk.k0 + k.end != g_.k) return tile;
    tile.activate = g_.activate;
    if (g_.gate != nullptr) tile.gate = g_.gate + row * g_.ld_gate + column;
    tile.ld_gate = g_.ld_gate;
    if (g_.hidden == nullptr) return tile;
    tile.c = sums_;
    tile.hidden = static_cast<hwy::bfloat16_t*>(g_.hidden) + row * Mma::kRowStride * Mma::kStep + column;
    tile.valid = g_.b->layout.n - g_.n0 - column;
    return tile;
  }

  GroupQuant Quant(const Chunk& chunk, size_t k, size_t row) const {
    const PanelLayout& layout = g_.b->layout;
    const size_t group = (g_.k0 + chunk.k0 + k) / layout.b.scale_group;
    const size_t first = group * layout.padded_n() + g_.n0 + chunk.column;
    const auto* const rows = reinterpret_cast<const RowQuant*>(RowOfA(chunk, row) + g_.a_chunk / Mma::kStep);
    return {g_.b->scale + first, g_.b->sum + first, rows + k / layout.b.scale_group};
  }

  const GemmBlock& g_;
  const RowTiles tiles_;
  const size_t of_register_;  // rows
  const size_t chunks_, panels_;
  PendingTile<Mma> pending_ = {};
  HWY_ALIGN float sums_[kAmxMr * kAmxNr];
  HWY_ALIGN uint32_t b_tail_[kAmxSteps * kAmxNr];
};

// GemmKernel::run.
template <class Mma>
void RunAmx(const GemmBlock& block) {
  AmxGemm<Mma>(block).Run();
}

template <class Mma>
constexpr GemmKernel AmxKernel(Precision precision) {
  GemmKernel kernel = {};
  kernel.name = "AMX";
  kernel.precision = precision;
  kernel.mr = kAmxMr;
  kernel.row_parallel_rows = kRowParallelRows;
  kernel.run = RunAmx<Mma>;
  kernel.enter = EnterAmx<typename Mma::Unit>;
  kernel.leave = LeaveAmx<typename Mma::Unit>;
  return kernel;
}

template <class Mma>
constexpr GemmKernel BF16AmxKernel(Precision precision) {
  GemmKernel kernel = AmxKernel<Mma>(precision);
  kernel.a = {2, kAmxChunk, kAmxNr, Mma::kRowStride * 4, Mma::kPieces};
  kernel.b = {2, Mma::kStep, kAmxNr, kAmxColumns, 0};
  kernel.pack_b = PackBBF16;
  return kernel;
}

// C waits in scratch until it is rounded.
template <class Unit>
constexpr GemmKernel BF16DotAmxKernel() {
  GemmKernel kernel = BF16AmxKernel<BF16Tiles<Unit>>(Precision::kBF16Dot);
  kernel.scratch_row = kAmxNr * sizeof(float);
  kernel.pack_a = PackABF16;
  return kernel;
}

// Pieces are cut when a whole chunk of a row is there, since its largest number says how.
template <class Unit>
constexpr GemmKernel BF16x3AmxKernel() {
  GemmKernel kernel = BF16AmxKernel<BF16x3Tiles<Unit>>(Precision::kBF16x3);
  kernel.pack_a = PackABF16x3;
  kernel.store_hidden = StoreHiddenBF16x3;
  kernel.finite_weights = true;
  return kernel;
}

template <class Unit>
constexpr GemmKernel Int8AmxKernel(size_t group) {
  using Mma = Int8Tiles<Unit>;
  static_assert(Mma::kStep == Int8::kStep && Int8::kLess == 0,
                "rows are quantized as for the target's vectors");
  GemmKernel kernel = AmxKernel<Mma>(Precision::kInt8);
  kernel.a = {1, Int8Chunk(group), Int8Chunk(group), Mma::kRowStride * 4, Mma::kPieces};
  kernel.b = {1, Mma::kStep, kAmxNr, kAmxColumns, group};
  kernel.pack_a = group == kInt8GroupSize ? PackAInt8 : PackASmallInt8;
  kernel.store_hidden = group == kInt8GroupSize ? StoreHiddenInt8 : StoreHiddenSmallInt8;
  kernel.pack_b = PackBInt8<Mma::kStep>;
  return kernel;
}

}  // namespace HWY_NAMESPACE
}  // namespace v0_2
}  // namespace fusedffn
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard

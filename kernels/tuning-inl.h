// Compiled once per target. The numbers that were chosen by measurement, a block for each instruction set.
// What each was measured against is in bench/results/tuning.md, under its name.
#if defined(FUSEDFFN_KERNELS_TUNING_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef FUSEDFFN_KERNELS_TUNING_INL_H_
#undef FUSEDFFN_KERNELS_TUNING_INL_H_
#else
#define FUSEDFFN_KERNELS_TUNING_INL_H_
#endif

#include <cstddef>

#include "hwy/highway.h"

namespace fusedffn {
inline namespace v0_2 {
namespace HWY_NAMESPACE {

// A tile of C is kTileRows rows by kTileVecs vectors: as many accumulators as leave registers for B and A.
// Zen 4 gets 6x64, 1.03 times as fast at 16 tokens as 8x48; Emerald Rapids gains nothing by it (0.98).
//
// kFewRows: up to so many rows the memory is the limit, and the only row tile of a panel asks for lines
// kNearBytes ahead (2 tokens in int8 from memory 1.23 times as fast as 4 KB); from there on kFarBytes (6 rows
// on AVX2 1.77 times as fast as 1 KB). kAloneIntoL1: these lines go into L1, and those of a single panel into
// L2 kFurtherBytes before; 1.37 times as fast at 4 tokens from memory on Emerald Rapids, 0.93 on AVX2.
//
// kWidenFrom: from so many row tiles on, a chunk of bf16 is widened once, which costs two passes over it.
#if HWY_TARGET == HWY_AVX3_SPR
inline constexpr size_t kTileRows = 8, kTileVecs = 3;
inline constexpr size_t kFewRows = 4, kNearBytes = 4096, kFarBytes = 4096;
inline constexpr bool kAloneIntoL1 = true;
inline constexpr size_t kWidenFrom = 9;
#elif HWY_TARGET == HWY_AVX3_ZEN4
inline constexpr size_t kTileRows = 6, kTileVecs = 4;
inline constexpr size_t kFewRows = 4, kNearBytes = 1024, kFarBytes = 16384;
inline constexpr bool kAloneIntoL1 = false;
inline constexpr size_t kWidenFrom = 9;
#elif HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX3
inline constexpr size_t kTileRows = 8, kTileVecs = 3;
inline constexpr size_t kFewRows = 4, kNearBytes = 1024, kFarBytes = 16384;
inline constexpr bool kAloneIntoL1 = false;
inline constexpr size_t kWidenFrom = 9;
#elif HWY_TARGET & HWY_ALL_NEON
inline constexpr size_t kTileRows = 6, kTileVecs = 4;
inline constexpr size_t kFewRows = 3, kNearBytes = 1024, kFarBytes = 16384;
inline constexpr bool kAloneIntoL1 = false;
inline constexpr size_t kWidenFrom = 4;
#else  // AVX2, the older ones of x86, and what has no vectors
inline constexpr size_t kTileRows = 6, kTileVecs = 2;
inline constexpr size_t kFewRows = 3, kNearBytes = 1024, kFarBytes = 16384;
inline constexpr bool kAloneIntoL1 = false;
inline constexpr size_t kWidenFrom = 4;
#endif

// Up to so many rows a tile takes two panels at once, or its chains would be too few to hide the latency of a
// multiply-add: 1 token of bf16 on AVX2 is 1.72 times as fast. 3 and 4 rows gain nothing on AVX-512.
inline constexpr size_t kDualPanelRows = 2;

inline constexpr size_t kUnroll = 4;  // steps of k
inline constexpr size_t kFurtherBytes = 12288;

// Steps of k that one pass over a tile takes, at most, and so also the hidden block: fc1's output tile is one
// chunk of fc2's A. Longer ones load and store C less often, shorter ones keep a panel's chunk nearer: 384 to
// 1056 are within 1.01 on Zen 4, and a prototype lost a quarter from 512 to 1024 on Ice Lake.
inline constexpr size_t kKc = 576;

// AMX, bf16: elements of k in a chunk, at most. A panel's chunk stays in the L1 cache for all rows; 512 to
// 640 are the same, shorter and longer ones lose. See bench/results/tuning.md.
inline constexpr size_t kAmxChunk = 576;

// The row tiles of a panel share what is to be prefetched: each asks for 1 / share of a chunk. With one line
// each, whatever their number, 16 tokens took 1.26 times as long on AVX2.
inline constexpr size_t kShares[] = {1, 2, 4, 12};

// Rows from which rows of x are divided among threads rather than panels: then every thread reads all
// weights, but they meet once only. 16 to 100 are within 1.015 of it on two threads of Zen 4.
inline constexpr size_t kRowParallelRows = 48;

}  // namespace HWY_NAMESPACE
}  // namespace v0_2
}  // namespace fusedffn

#endif  // per-target include guard

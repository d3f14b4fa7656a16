// Compiled once. The only door to the SIMD code: one table of plain functions per instruction set.
#ifndef FUSEDFFN_KERNELS_KERNELS_H_
#define FUSEDFFN_KERNELS_KERNELS_H_

#include <cstddef>
#include <cstdint>

namespace fusedffn {

// k-steps that one pass over a tile takes, at most, on every target, and so also the hidden block: fc1's
// output tile is one A chunk of fc2. Larger: fewer loads and stores of C; smaller: a panel's chunk stays
// nearer. A multiple of every target's nr, and of the 16 steps of AMX. One thread, Zen 4 (1 MB of L2), gcc
// 12, 8x48, best ms of chunks of 384 / 528 / 768 / 1056: AVX-512 257 tokens 38.26 / 38.14 / 38.14 / 38.04,
// AVX2 257 38.76 / 38.85 / 38.60 / 38.82, 1028 155.7 / 153.9 / 154.4 / 153.6. Not more than 576, since on Ice
// Lake a prototype's tiles lost a quarter from 512 to 1024.
inline constexpr size_t kKc = 576;

// Row stride of an A chunk. A compile-time constant, so that every broadcast's address is base + constant; an
// odd number of cache lines, so that rows start in different sets of the L1 cache. 4096 bytes instead, Zen 4,
// best ms: AVX-512 257 tokens 38.37 -> 38.71, 1028 152.8 -> 155.8, AVX2 257 39.46 -> 39.84.
inline constexpr size_t kAStride = kKc + 16;

// int8: elements of k that have a scale in common, a row's as well as a column's; they are one A chunk. A
// multiple of every target's nr, at most 2 * kKc, and few enough that 255 * 127 * kInt8Group is an int32.
inline constexpr size_t kInt8Group = 2 * kKc;

// An int8 row of A, quantised: element = scale * (q - zero), q in 0..255, or both of them less 128 where
// signed numbers are multiplied. In every chunk it lies behind the row's last step, kKc steps from the first.
struct RowQuant {
  float scale;
  int32_t zero;
};

// A LayerNorm's two numbers for one row: (x - mean) * inverse has a mean of 0 and a variance of about 1.
struct RowStats {
  double mean, inverse;
};

// Rows up to which a tile takes two panels at once: see kernels/microkernel-inl.h.
inline constexpr size_t kPairRows = 2;

inline constexpr size_t kLineBytes = 64;  // of a cache line

// Of the public enums.
inline constexpr size_t kActivationCount = 7;
inline constexpr size_t kPrecisionCount = 4;
inline constexpr size_t kDTypeCount = 3;

// c = act(c) on a tile: rows of `columns` floats (whole vectors), stride ldc.
using ActivateFn = void (*)(size_t rows, size_t columns, float* c, size_t ldc);

// One block of C (m x n) times some of its steps of k:  C = act(C0 + A * B) * gate, where C0 is the bias or
// C itself.
//
//   | this library | m      | n      | k      |
//   | fc1, up      | tokens | hidden | dim    |
//   | fc2          | tokens | out    | hidden |
//
// A: chunks of a_steps steps (int8: of kInt8Group elements), one after the other; in each, m rows of stride
// kAStride. B: packed panels of nr columns, see pack.h. `b` is the first panel that the block needs, at its
// step 0. C: m rows of n floats, stride ldc, of which whole vectors are written: ldc >= n rounded up to
// lanes.
struct GemmBlock {
  size_t m, n, k;
  const void* a;
  size_t a_steps;  // steps of k in each chunk of A but the last, kKc at most
  size_t a_chunk;  // elements from one chunk of A to the next
  const void* b;
  size_t b_k;         // steps of k in what lies between two panels' starts: b_k * nr elements
  size_t b_k0;        // the step of B that meets the first one of A
  const float* bias;  // n floats rounded up to lanes: C0; null to go on from C
  float* c;
  size_t ldc;
  ActivateFn activate;  // or null
  const float* gate;    // m rows of n floats rounded up to lanes, which act(C) is multiplied with; or null
  size_t ld_gate;
  float* wide;    // bf16 widened: room for a panel chunk in fp32, kKc * nr floats, to widen it once for
                  // many row tiles; or null: each of them widens what it loads
  void* rounded;  // bf16 dot: where the result goes, rounded, as one chunk of an A. `c` is then room for m
                  // rows of one panel (of two for up to kPairRows), and n that wide or k <= a_steps. Null: it
                  // stays in `c`
  const float* b_scale;  // int8: of the columns of B, for each group of k that the block goes through, and
  const int32_t* b_sum;  // the sums over the group of what is in B; both [groups][b_group] like bias
  size_t b_group;
  const void* b_next;  // what will be read of B after this block, to be prefetched; or null
};

using GemmBlockFn = void (*)(const GemmBlock& block);
using MapFn = void (*)(const float* in, size_t count, float* out);
using ConvertFn = void (*)(const void* in, size_t count, void* out);
// One row of one A chunk, with its RowQuant; count <= kInt8Group.
using QuantiseFn = void (*)(const float* in, size_t count, void* row);

// The rows that one token's experts have made of it, and what each counts.
struct WeightedRows {
  const float* rows;
  size_t stride;
  const uint32_t* row;  // which of them, `count`
  const float* weight;
  size_t count;
};
// y = ((y0 + weight[0] * row 0) + weight[1] * row 1) + ..., each a fused multiply-add; y0 is y if `add`, else
// 0.
using WeightedSumFn = void (*)(const WeightedRows& rows, size_t columns, bool add, float* y);

// sum += in.
using AddFn = void (*)(const void* in, size_t count, float* sum);

// Some elements of a row of x normalised. `weight` and `bias` begin at these elements; null stands for ones
// and zeros.
using NormaliseFn = void (*)(const void* in, size_t count, const RowStats& stats, const void* weight,
                             const void* bias, float* out);

// By fusedffn::DType of x.
struct LayerNormFns {
  RowStats (*stats)(const void* row, size_t count, double eps);  // of a whole row
  NormaliseFn normalise[kDTypeCount];                            // by DType of weight and bias
};

// By fusedffn::Activation.
struct ActivationFns {
  ActivateFn tile;  // null for the identity
  MapFn map;        // the same on an array, for the tests
};

struct Kernels {
  int64_t target;                     // Highway's bit
  bool amx;                           // with AMX, which is no target of Highway's: see amx-inl.h
  size_t mr[kPrecisionCount];         // tile rows
  size_t nr, lanes;                   // tile columns, floats per vector
  bool fma;                           // MulAdd rounds once: same bits as on every other such target
  GemmBlockFn gemm[kPrecisionCount];  // null where the CPU lacks the instruction
  ConvertFn to_f32[kDTypeCount];      // by DType; null for fp32 itself
  ConvertFn from_f32[kDTypeCount];
  AddFn add[kDTypeCount];
  LayerNormFns layer_norm[kDTypeCount];
  QuantiseFn quantise;
  WeightedSumFn weighted_sum;
  size_t int8_step;                // elements of k in one step of int8
  bool in_pairs[kPrecisionCount];  // few rows go through two panels at once
  ActivationFns activations[kActivationCount];
};

inline constexpr size_t kMaxTargets = 63;

struct KernelList {
  size_t count = 0;
  const Kernels* kernels[kMaxTargets] = {};
};

// The targets compiled in, best first, whether or not this CPU has them. The functions of one that is not
// IsSupported() end in an illegal instruction.
const KernelList& AllKernels();

inline constexpr char kAmxTargetName[] = "AVX3_AMX";

const char* TargetName(const Kernels& kernels);  // that, or Highway's: "AVX3", "AVX2", "NEON", ...
bool IsSupported(const Kernels& kernels);        // by this CPU and operating system

// Filled in by kernels.cc, once per target; kAmx: the same with AMX.
template <int64_t kTarget, bool kAmx>
struct KernelsOf {
  static constexpr const Kernels* value = nullptr;
};

}  // namespace fusedffn

#endif  // FUSEDFFN_KERNELS_KERNELS_H_

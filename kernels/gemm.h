// Compiled once, no SIMD. A way to multiply: its layouts, its blocking and its functions, together.
//
//   C = A * B       m rows    n columns   k
//   fc1, up         tokens    hidden      dim
//   fc2             tokens    out         hidden
//
// A is packed by each call, B (the transposed weight) once, and both in the order in which one kernel reads
// them. Everything that differs between two precisions, or two families of instruction sets, is in
// GemmKernel.
#ifndef FUSEDFFN_KERNELS_GEMM_H_
#define FUSEDFFN_KERNELS_GEMM_H_

#include <cstddef>
#include <cstdint>

#include "fusedffn/fusedffn.h"

namespace fusedffn {
inline namespace v0_2 {

constexpr size_t DivideUp(size_t a, size_t b) { return (a + b - 1) / b; }
constexpr size_t RoundUp(size_t a, size_t b) { return DivideUp(a, b) * b; }

constexpr size_t BytesOf(DType dtype) { return dtype == DType::kF32 ? 4 : 2; }

// Columns of k that may be a group in kInt8: kInt8GroupSize, which is the default, or so many.
inline constexpr size_t kSmallInt8GroupSize = 128;

// The address of an element of an array.
inline const void* ElementAt(const void* data, DType dtype, size_t index) {
  return static_cast<const unsigned char*>(data) + index * BytesOf(dtype);
}
inline void* ElementAt(void* data, DType dtype, size_t index) {
  return static_cast<unsigned char*>(data) + index * BytesOf(dtype);
}

struct Range {
  size_t begin, end;
  size_t size() const { return end - begin; }
};

// Where the elements of a packed A lie. k is cut into chunks, which follow each other; in each of them all
// rows do. With 3 rows, 5 elements of k and chunks of 2, elements numbered in packed order:
//
//              chunk 0   chunk 1   chunk 2
//     row 0 |  0  1  |   6  7  |   12     |
//     row 1 |  2  3  |   8  9  |   14     |
//     row 2 |  4  5  |  10 11  |   16     |
struct ALayout {
  size_t element_bytes;
  size_t kc;         // elements of k in a chunk, at most
  size_t k_align;    // a chunk has a multiple of it, so that what fc1 makes of a panel is in one chunk
  size_t row_bytes;  // from one row of a chunk to the next
  size_t pieces;     // that an element is the sum of, each of element_bytes, as far apart as the kernel says

  // Elements of k in each chunk but the last. Chunks are as long as each other, or nearly: of 4096 as
  // 7 * 576 + 64 the last would load and store C for nothing.
  size_t chunk(size_t k) const { return RoundUp(DivideUp(k, DivideUp(k, kc)), k_align); }
  size_t bytes(size_t rows, size_t k, size_t chunk) const { return DivideUp(k, chunk) * rows * row_bytes; }
  size_t offset(size_t row, size_t k, size_t rows, size_t chunk) const {
    return (k / chunk * rows + row) * row_bytes + k % chunk * element_bytes;
  }
};

// A packed A in memory.
struct PackedA {
  const ALayout* layout;
  unsigned char* data;
  size_t rows;   // that there is room for in each chunk
  size_t chunk;  // elements of k

  void* at(size_t row, size_t k) const { return data + layout->offset(row, k, rows, chunk); }
  size_t chunk_bytes() const { return rows * layout->row_bytes; }
};

// Rows that are packed as an A: row r begins r * stride elements behind `data`.
struct ARows {
  const void* data;
  DType dtype;
  size_t stride, columns;
  const Norm* norm;  // each row is normalized on the way; null: none is
};

// How elements of B lie in panels of nr columns: see PanelLayout.
struct BLayout {
  size_t element_bytes;
  size_t kr;           // elements of k of one column that lie side by side
  size_t nr;           // columns of a panel
  size_t n_align;      // the last panel's columns are rounded up to it: a vector
  size_t scale_group;  // elements of k of one column that have a scale in common; 0: there are no scales
};

// Where the elements of one layer's weight W[n][k] lie. The kernels want B = W^T cut into panels of nr
// columns, each panel k-major, so that one step of k of a tile reads one contiguous row. With nr = 4, W of 6
// rows (n) and 3 columns (k), and elements numbered in packed order:
//
//            panel 0 (width 4)       panel 1 (width 2 of n_align = 2)
//     k = 0 |  0  1  2  3 |         | 12 13 |
//     k = 1 |  4  5  6  7 |         | 14 15 |
//     k = 2 |  8  9 10 11 |         | 16 17 |
//       n =    0  1  2  3              4  5
//
//     packed(n, k) = (n / nr) * nr * K + k * width(n / nr) + n % nr
//
// Every panel is nr wide but the last, which is as many vectors as it needs: 1024 = 21 * 48 + 16, and
// computing 48 columns there would be 3 % of fc2 for nothing. Columns beyond N are zero.
//
// kr elements of k of one column lie side by side, where one element lies above. K is rounded up to a
// multiple of kr, with zeros:
//
//     packed(n, k) = (n / nr) * nr * K + (k / kr * width(n / nr) + n % nr) * kr + k % kr
//
// The matrices of a gated block's gate and up are multiplied in turns, panel by panel. So their panels are
// interleaved as well, and few rows, whose time is that of reading them, read memory in order.
struct PanelLayout {
  BLayout b;
  size_t n, k;                       // of the whole matrix
  size_t interleaved = 1, slot = 0;  // this is one of so many matrices of the same sizes

  size_t padded_n() const { return RoundUp(n, b.n_align); }
  size_t padded_k() const { return RoundUp(k, b.kr); }
  size_t bytes() const { return interleaved * padded_n() * padded_k() * b.element_bytes; }  // of all of them
  // A scale for each of padded_n columns, group after group.
  size_t scales() const { return b.scale_group == 0 ? 0 : DivideUp(k, b.scale_group) * padded_n(); }

  // Columns of the panel that starts at column n0.
  size_t width(size_t n0) const { return padded_n() - n0 < b.nr ? padded_n() - n0 : b.nr; }
  // Where element k0 of the panel that starts at column n0 is, in bytes. k0 is a multiple of kr.
  size_t offset(size_t n0, size_t k0) const {
    return ((n0 * interleaved + width(n0) * slot) * padded_k() + k0 * width(n0)) * b.element_bytes;
  }
};

// One layer's weight and bias in memory.
struct PackedB {
  PanelLayout layout;
  unsigned char* data = nullptr;  // layout.bytes(); of interleaved matrices they share it
  float* bias = nullptr;          // [padded_n]
  // [groups][padded_n], layout.scales() of each: of the elements, which are quantized, and their sum.
  float* scale = nullptr;
  int32_t* sum = nullptr;

  const void* at(size_t n0, size_t k0) const { return data + layout.offset(n0, k0); }
};

// Rows of a weight W[n][k] that are packed: `data` points at the first of them.
struct BRows {
  const void* data;
  size_t stride;  // in elements
  DType dtype;
  // For rows that have been quantized before: `data` is int8_t, and these are [rows][groups]. Else null.
  const float* scales = nullptr;
  bool flush_denormals = false;  // become zeros
};

// c = act(c) on a tile: rows of `columns` floats (whole vectors), stride ldc.
using ActivateFn = void (*)(size_t rows, size_t columns, float* c, size_t ldc);

// One block of C (m x n) times some of k:  C = act(C0 + A * B) * gate, where C0 is the bias if k0 is 0, else
// C itself. C goes to `c` as fp32, or as a part of the next layer's A to `hidden`.
struct GemmBlock {
  size_t m, n, k;
  const void* a;         // its first row, in the chunk where k begins
  size_t a_chunk;        // elements of k in each chunk but the last
  size_t a_chunk_bytes;  // from one chunk to the next
  const PackedB* b;
  size_t n0, k0;        // of B: the first column, which begins a panel, and the first element of k
  ActivateFn activate;  // or null
  const float* gate;    // m rows of n floats rounded up to n_align, which act(C) is multiplied with; or null
  size_t ld_gate;
  float* c;  // m rows of n floats, of which whole vectors are written: ldc >= n rounded up to n_align
  size_t ldc;
  void* hidden;        // or null: its first element, of a layout's row_bytes between rows, in one chunk
  void* scratch;       // scratch_bytes() of the kernel for m rows; null where that is 0
  const void* b_next;  // what will be read of B after this block, to be prefetched; or null
};

// One way to multiply, of one target. All functions are thread-safe and allocate nothing. Those that are
// compiled per target run on its CPUs only, so these objects are constants: to read them runs none of its
// code.
struct GemmKernel {
  const char* name;  // of the instruction or way that sets it apart from others of its precision
  Precision precision;
  size_t mr;                 // rows of a tile, at most
  size_t dual_panel_rows;    // up to so many rows take two panels at once; 0: none do
  size_t row_parallel_rows;  // from so many rows a thread on, rows are divided rather than panels
  ALayout a;
  BLayout b;

  // Of one worker, in bytes: for whatever m, and for each of its rows.
  size_t scratch_fixed, scratch_row;
  size_t scratch_bytes(size_t m) const { return scratch_fixed + m * scratch_row; }

  // Of those of one precision, and int8 group, the first that this holds for is taken; null: it always does.
  bool (*preferred)();

  // Asks the operating system for the registers that it needs, and returns null if it may use them, else why
  // not. Of a block it must be asked once, before anything else is run. Null: there is nothing to ask for.
  const char* (*ask)();

  // Packs `rows` of `from`, the first of them as row a_row: converts, rounds or quantizes, and normalizes.
  void (*pack_a)(const ARows& from, Range rows, const PackedA& a, size_t a_row);
  // What becomes of a finished chunk of C that is to be an A: elements [k0, k0 + count) of `rows`, from
  // `values`, which points at element k0 of row 0, ld floats between rows. Null: the tiles' epilogue writes A
  // itself, through GemmBlock::hidden.
  void (*store_hidden)(const float* values, size_t ld, Range rows, size_t k0, size_t count, const PackedA& a);
  // Packs `rows` of B. Threads may pack different rows at the same time; fastest in different panels, since
  // those of one panel lie in the same cache lines. Returns how many weights are denormal and kept.
  size_t (*pack_b)(const BRows& from, Range rows, const PackedB& b);
  void (*run)(const GemmBlock& block);

  bool finite_weights;  // infinite ones would give NaN where fp32 gives infinity

  // Around all of a task's run(), on the thread that runs it; null: there is nothing to do.
  void (*enter)();
  void (*leave)();
};

}  // namespace v0_2
}  // namespace fusedffn

#endif  // FUSEDFFN_KERNELS_GEMM_H_

#include "src/walk.h"

#include <algorithm>
#include <cstring>

#include "kernels/kernels.h"
#include "src/convert.h"
#include "src/pack.h"
#include "src/parallel.h"

namespace fusedffn {
namespace {

// Rows in A chunks of kKc steps, [chunk][row][kAStride]; `rows` is the distance between chunks.
struct Chunked {
  float* data;
  size_t rows;
  size_t step;  // elements of k in 4 bytes

  size_t columns() const { return kKc * step; }  // of a chunk
  float* at(size_t row, size_t k) const {
    return data + (k / columns() * rows + row) * kAStride + k % columns() / step;
  }
};

// Of one part: see Plan.
struct PartScratch {
  float *panel, *block;
  float* wide;  // or null

  PartScratch(const Call& call, size_t part)
      : panel(call.scratch + part * call.plan.part_floats()),
        block(panel + call.plan.panel_floats),
        wide(call.plan.wide_floats == 0 ? nullptr : panel + call.plan.part_floats() - call.plan.wide_floats) {
  }
};

const void* PanelChunk(const PackedLayer& layer, size_t n0, size_t k0) {
  return layer.weight + layer.layout.offset(n0, k0);
}

// Some columns of one layer and some of its k, for some rows of `a`. `next` is what will be read of the
// weights after that, or null.
GemmBlock BlockOf(const PackedLayer& layer, Range columns, Range k, const Chunked& a, Range rows,
                  const PartScratch& scratch, const void* next) {
  GemmBlock block = {};
  block.m = rows.size();
  block.n = columns.size();
  block.k = (k.size() + a.step - 1) / a.step;
  block.a = a.at(rows.begin, 0);
  block.a_chunk = a.rows * kAStride;
  block.b = PanelChunk(layer, columns.begin, 0);
  block.b_k = layer.layout.padded_k() / a.step;
  block.b_k0 = k.begin / a.step;
  block.bias = k.begin == 0 ? layer.bias + columns.begin : nullptr;
  block.wide = scratch.wide;
  block.b_next = next;
  return block;
}

// hidden = act(fc1(x)) for some columns of one A chunk; `hidden` is where the first of them go. Where x has
// several chunks of k and hidden is rounded, for one panel.
void Fc1(const Call& call, const Chunked& x, Range columns, Range rows, float* hidden,
         const PartScratch& scratch, const void* next) {
  const PackedLayer& fc1 = call.ffn.layers[0];
  GemmBlock block = BlockOf(fc1, columns, {0, fc1.layout.k}, x, rows, scratch, next);
  block.activate = call.ffn.activate;
  if (x.step == 1) {
    block.c = hidden;
    block.ldc = kAStride;
  } else {
    block.c = scratch.panel;
    block.ldc = fc1.layout.nr;
    block.rounded = hidden;
  }
  call.ffn.gemm(block);
}

// x, from any element type into A's.
void CopyIn(const Call& call, Range rows, const Chunked& x, size_t x_row) {
  const size_t dim = call.ffn.shape.dim;
  const DType to = call.ffn.precision == Precision::kBF16Dot ? DType::kBF16 : DType::kF32;
  const size_t bytes = BytesOf(call.x_dtype);
  for (size_t row = rows.begin; row < rows.end; ++row, ++x_row) {
    const auto* from = static_cast<const unsigned char*>(call.x) + row * call.ldx * bytes;
    for (size_t k0 = 0; k0 < dim; k0 += x.columns()) {
      const size_t count = std::min(x.columns(), dim - k0);
      float* const chunk = x.at(x_row, k0);
      if (count % x.step != 0) chunk[count / x.step] = 0.0f;  // the last step is not full
      Convert(*call.ffn.kernels, from + k0 * bytes, call.x_dtype, count, chunk, to);
    }
  }
}

void CopyOut(const Call& call, Range rows, Range columns, const float* y) {
  const size_t bytes = BytesOf(call.y_dtype);
  for (size_t row = rows.begin; row < rows.end; ++row, y += call.plan.ldy) {
    auto* to = static_cast<unsigned char*>(call.y) + (row * call.ldy + columns.begin) * bytes;
    Convert(*call.ffn.kernels, y + columns.begin, DType::kF32, columns.size(), to, call.y_dtype);
  }
}

// Both layers for one block of rows.
void FusedBlock(const Call& call, Range rows, const Chunked& x, const Chunked& hidden, float* y,
                const PartScratch& scratch) {
  const auto& [fc1, fc2] = call.ffn.layers;
  const Range all_rows = {0, rows.size()}, all_columns = {0, fc2.layout.n};
  const bool whole = x.step == 1 || fc1.layout.k <= x.columns();
  CopyIn(call, rows, x, 0);
  for (size_t h0 = 0; h0 < fc1.layout.n; h0 += hidden.columns()) {
    const Range h = {h0, std::min(h0 + hidden.columns(), fc1.layout.n)};
    const size_t width = whole ? h.size() : fc1.layout.nr;
    for (size_t n0 = h.begin; n0 < h.end; n0 += width) {
      const Range columns = {n0, std::min(n0 + width, h.end)};
      const void* next = columns.end < h.end ? PanelChunk(fc1, columns.end, 0) : PanelChunk(fc2, 0, h.begin);
      Fc1(call, x, columns, all_rows, hidden.at(0, n0 - h.begin), scratch, next);
    }
    const void* next = PanelChunk(fc1, h.end < fc1.layout.n ? h.end : 0, 0);
    GemmBlock block = BlockOf(fc2, all_columns, h, hidden, all_rows, scratch, next);
    block.c = y;
    block.ldc = call.plan.ldy;
    call.ffn.gemm(block);
  }
  CopyOut(call, rows, all_columns, y);
}

void FusedPart(const Call& call, size_t part, size_t step) {
  const Plan& plan = call.plan;
  const PartScratch scratch(call, part);
  const Chunked x = {scratch.block, plan.mc, step};
  const Chunked hidden = {x.data + plan.x_floats, plan.mc, step};
  float* const y = hidden.data + plan.hidden_floats;
  const Range rows = EvenRange(call.tokens, plan.parts, part);
  const size_t blocks = (rows.size() + plan.mc - 1) / plan.mc;
  for (size_t i = 0; i < blocks; ++i) {
    const Range block = EvenRange(rows.size(), blocks, i);
    FusedBlock(call, {rows.begin + block.begin, rows.begin + block.end}, x, hidden, y, scratch);
  }
}

// piece(rows, columns, next) for every panel of one layer that `part` has a share in: some of the rows, all
// k. In memory order: few rows read each weight once. `next` is the panel that follows, or null.
template <class F>
void ForEachPiece(const Call& call, const PackedLayer& layer, size_t part, const F& piece) {
  const PackedLayout& layout = layer.layout;
  const Tiling tiling = TilingOf(*call.ffn.kernels);
  const Cut begin = CutAt(layout.n, tiling, call.tokens, call.plan.parts, part);
  const Cut end = CutAt(layout.n, tiling, call.tokens, call.plan.parts, part + 1);
  for (size_t panel = begin.panel; panel <= end.panel; ++panel) {
    const Range rows = {panel == begin.panel ? begin.row : 0, panel == end.panel ? end.row : call.tokens};
    if (rows.begin == rows.end) continue;
    const Range columns = {panel * layout.nr, std::min((panel + 1) * layout.nr, layout.n)};
    const bool more = panel < end.panel && columns.end < layout.n;
    piece(rows, columns, more ? PanelChunk(layer, columns.end, 0) : nullptr);
  }
}

// Floats a thread copies, at least: about 18 us on Zen 4, where another meeting of the threads takes 2.
constexpr size_t kCopyFloats = size_t{1} << 16;

void RunColumns(const Call& call, int threads, size_t step) {
  const Plan& plan = call.plan;
  const PackedLayer& fc1 = call.ffn.layers[0];
  const PackedLayer& fc2 = call.ffn.layers[1];
  const Chunked x = {call.scratch + plan.parts * plan.part_floats(), call.tokens, step};
  const Chunked hidden = {x.data + plan.x_floats, call.tokens, step};
  float* const y = hidden.data + plan.hidden_floats;

  const size_t copies = std::clamp<size_t>(call.tokens * fc1.layout.k / kCopyFloats, 1, plan.parts);
  ParallelFor(threads, copies, [&](size_t part) {
    const Range rows = EvenRange(call.tokens, copies, part);
    CopyIn(call, rows, x, rows.begin);
  });
  ParallelFor(threads, plan.parts, [&](size_t part) {
    const PartScratch scratch(call, part);
    ForEachPiece(call, fc1, part, [&](Range rows, Range columns, const void* next) {
      Fc1(call, x, columns, rows, hidden.at(rows.begin, columns.begin), scratch, next);
    });
  });
  ParallelFor(threads, plan.parts, [&](size_t part) {
    const PartScratch scratch(call, part);
    ForEachPiece(call, fc2, part, [&](Range rows, Range columns, const void* next) {
      GemmBlock block = BlockOf(fc2, columns, {0, fc2.layout.k}, hidden, rows, scratch, next);
      float* const y0 = y + rows.begin * plan.ldy;
      block.c = y0 + columns.begin;
      block.ldc = plan.ldy;
      call.ffn.gemm(block);
      CopyOut(call, rows, columns, y0);
    });
  });
}

}  // namespace

void RunPlan(const Call& call, int threads) {
  const size_t step = OperandsOf(call.ffn.precision).step();
  if (call.plan.fused) {
    ParallelFor(threads, call.plan.parts, [&](size_t part) { FusedPart(call, part, step); });
  } else {
    RunColumns(call, threads, step);
  }
}

}  // namespace fusedffn

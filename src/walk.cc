#include "src/walk.h"

#include <algorithm>
#include <atomic>
#include <cstring>

#include "kernels/kernels.h"
#include "src/convert.h"
#include "src/pack.h"
#include "src/parallel.h"

namespace fusedffn {
namespace {

// Rows in A chunks, [chunk][row][kAStride]; `rows` is the distance between chunks.
struct Chunked {
  float* data;
  size_t rows;
  size_t columns;  // of a chunk
  size_t step;     // elements of k in 4 bytes

  Chunked(float* memory, size_t row_count, size_t chunk, const Operands& operands)
      : data(memory), rows(row_count), columns(chunk), step(operands.step()) {}
  float* at(size_t row, size_t k) const {
    return data + (k / columns * rows + row) * kAStride + k % columns / step;
  }
};

// x, hidden and y of some rows: see Plan.
struct BlockScratch {
  Chunked x, hidden;
  float *y, *values;
  size_t ld_values;

  BlockScratch(const Call& call, float* memory)
      : x(memory, call.plan.mc, call.plan.x_chunk, call.ffn.operands),
        hidden(x.data + call.plan.x_floats, call.plan.mc, call.plan.hidden_chunk, call.ffn.operands),
        y(hidden.data + call.plan.hidden_floats),
        values(y + call.plan.y_floats),
        ld_values(call.plan.ld_values) {}
};

// Of one part: see Plan.
struct PartScratch {
  float *panel, *gate, *block;
  float* wide;  // or null

  PartScratch(const Call& call, size_t part)
      : panel(call.scratch + part * call.plan.part_floats()),
        gate(panel + call.plan.panel_floats),
        block(gate + call.plan.gate_floats),
        wide(call.plan.wide_floats == 0 ? nullptr : panel + call.plan.part_floats() - call.plan.wide_floats) {
  }
};

const void* PanelChunk(const PackedLayer& layer, size_t n0, size_t k0) {
  return static_cast<const unsigned char*>(layer.weight.data) + layer.layout.offset(n0, k0);
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
  block.a_steps = a.columns / a.step;
  block.a_chunk = a.rows * kAStride;
  block.b = PanelChunk(layer, columns.begin, 0);
  block.b_k = layer.layout.turns * layer.layout.padded_k() / a.step;
  block.b_k0 = k.begin / a.step;
  block.bias = k.begin == 0 ? layer.bias + columns.begin : nullptr;
  block.wide = scratch.wide;
  if (layer.layout.scales() != 0) {
    const size_t first = k.begin / kInt8Group * layer.layout.padded_n() + columns.begin;
    block.b_scale = layer.weight.scale + first;
    block.b_sum = layer.weight.sum + first;
    block.b_group = layer.layout.padded_n();
  }
  block.b_next = next;
  return block;
}

// act(fc1(x)) of a gated block, for one panel, into scratch.gate.
void Gate(const Call& call, const BlockScratch& b, Range columns, Range rows, const PartScratch& scratch) {
  const auto& [fc1, fc2, up] = call.ffn.layers;
  const void* next = PanelChunk(up, columns.begin, 0);
  GemmBlock block = BlockOf(fc1, columns, {0, fc1.layout.k}, b.x, rows, scratch, next);
  block.activate = call.ffn.activate;
  block.c = scratch.gate;
  block.ldc = call.plan.ld_panel;
  call.ffn.gemm(block);
}

// hidden = act(fc1(x)) for some columns; column h0 of it is the first in b.hidden. Where x has several chunks
// of k and hidden is rounded, and in a gated block, where hidden = act(fc1(x)) * up(x), for one panel.
void Fc1(const Call& call, const BlockScratch& b, Range columns, size_t h0, Range rows,
         const PartScratch& scratch, const void* next) {
  const auto& [fc1, fc2, up] = call.ffn.layers;
  const bool gated = call.ffn.shape.gated;
  if (gated) Gate(call, b, columns, rows, scratch);
  GemmBlock block = BlockOf(gated ? up : fc1, columns, {0, fc1.layout.k}, b.x, rows, scratch, next);
  if (gated) {
    block.gate = scratch.gate;
    block.ld_gate = call.plan.ld_panel;
  } else {
    block.activate = call.ffn.activate;
  }
  float* const hidden = b.hidden.at(rows.begin, columns.begin - h0);
  switch (call.ffn.operands.hidden) {
    case Hidden::kAsIs:
      block.c = hidden;
      block.ldc = kAStride;
      break;
    case Hidden::kRounded:
      block.c = scratch.panel;
      block.ldc = call.plan.ld_panel;
      block.rounded = hidden;
      break;
    case Hidden::kQuantised:
      block.c = b.values + rows.begin * b.ld_values + columns.begin - h0;
      block.ldc = b.ld_values;
      break;
  }
  call.ffn.gemm(block);
}

// Row `row`, from column `column` on, of an array of any type.
const void* ElementAt(const void* data, DType dtype, size_t stride, size_t row, size_t column) {
  return static_cast<const unsigned char*>(data) + (row * stride + column) * BytesOf(dtype);
}

// Some elements of one row, from any type into A's.
void CopyChunk(const Call& call, const void* from, DType dtype, size_t count, size_t step, float* chunk) {
  const Kernels& kernels = *call.ffn.kernels;
  if (call.ffn.operands.hidden != Hidden::kQuantised) {
    if (count % step != 0) chunk[count / step] = 0.0f;  // the last step is not full
    Convert(kernels, from, dtype, count, chunk, step == 1 ? DType::kF32 : DType::kBF16);
  } else if (dtype == DType::kF32) {
    kernels.quantise(static_cast<const float*>(from), count, chunk);
  } else {
    float wide[kInt8Group];
    Convert(kernels, from, dtype, count, wide, DType::kF32);
    kernels.quantise(wide, count, chunk);
  }
}

// The same with columns [k0, k0 + count) of a row of x, normalised on the way: into their place, if that is
// for fp32.
void NormaliseChunk(const Call& call, const void* from, const RowStats& stats, size_t k0, size_t count,
                    size_t step, float* chunk) {
  const auto& [weight, bias, dtype, eps] = *call.layer_norm;
  const LayerNormFns& norm = call.ffn.kernels->layer_norm[static_cast<size_t>(call.x_dtype)];
  float wide[kInt8Group];
  float* const normal = step == 1 ? chunk : wide;
  norm.normalise[static_cast<size_t>(dtype)](
      from, count, stats, weight == nullptr ? nullptr : ElementAt(weight, dtype, 0, 0, k0),
      bias == nullptr ? nullptr : ElementAt(bias, dtype, 0, 0, k0), normal);
  if (step != 1) CopyChunk(call, wide, DType::kF32, count, step, chunk);
}

void CopyIn(const Call& call, Range rows, const Chunked& x, size_t x_row) {
  const size_t dim = call.ffn.shape.dim;
  const LayerNormFns& norm = call.ffn.kernels->layer_norm[static_cast<size_t>(call.x_dtype)];
  for (size_t row = rows.begin; row < rows.end; ++row, ++x_row) {
    RowStats stats = {};
    if (call.layer_norm != nullptr) {
      stats = norm.stats(ElementAt(call.x, call.x_dtype, call.ldx, row, 0), dim, call.layer_norm->eps);
    }
    for (size_t k0 = 0; k0 < dim; k0 += x.columns) {
      const void* const from = ElementAt(call.x, call.x_dtype, call.ldx, row, k0);
      const size_t count = std::min(x.columns, dim - k0);
      if (call.layer_norm != nullptr) {
        NormaliseChunk(call, from, stats, k0, count, x.step, x.at(x_row, k0));
      } else {
        CopyChunk(call, from, call.x_dtype, count, x.step, x.at(x_row, k0));
      }
    }
  }
}

// Columns [k0, k0 + count) of some rows of hidden, which is one chunk of it.
void QuantiseHidden(const Call& call, const BlockScratch& b, Range rows, size_t k0, size_t count) {
  for (size_t row = rows.begin; row < rows.end; ++row) {
    call.ffn.kernels->quantise(b.values + row * b.ld_values + k0, count, b.hidden.at(row, k0));
  }
}

// Adds the residual to some rows and columns of `y`, whose rows begin with column 0, and writes them. The
// residual may lie where y goes: nothing of it is read later than the same element of y is written.
void CopyOut(const Call& call, Range rows, Range columns, float* y) {
  const Kernels& kernels = *call.ffn.kernels;
  const auto& [residual, dtype, stride] = call.residual;
  for (size_t row = rows.begin; row < rows.end; ++row, y += call.plan.ldy) {
    float* const sum = y + columns.begin;
    if (residual != nullptr) {
      const void* const added = ElementAt(residual, dtype, stride, row, columns.begin);
      kernels.add[static_cast<size_t>(dtype)](added, columns.size(), sum);
    }
    auto* const to =
        static_cast<unsigned char*>(call.y) + (row * call.ldy + columns.begin) * BytesOf(call.y_dtype);
    Convert(kernels, sum, DType::kF32, columns.size(), to, call.y_dtype);
  }
}

// Both layers for one block of rows.
void FusedBlock(const Call& call, Range rows, const BlockScratch& b, const PartScratch& scratch) {
  const auto& [fc1, fc2, up] = call.ffn.layers;
  const Hidden kind = call.ffn.operands.hidden;
  const Range all_rows = {0, rows.size()}, all_columns = {0, fc2.layout.n};
  const bool whole = !call.ffn.shape.gated && (kind != Hidden::kRounded || fc1.layout.k <= b.x.columns);
  CopyIn(call, rows, b.x, 0);
  for (size_t h0 = 0; h0 < fc1.layout.n; h0 += b.hidden.columns) {
    const Range h = {h0, std::min(h0 + b.hidden.columns, fc1.layout.n)};
    const size_t width = whole ? h.size() : fc1.layout.nr;
    for (size_t n0 = h.begin; n0 < h.end; n0 += width) {
      const Range columns = {n0, std::min(n0 + width, h.end)};
      const void* next = columns.end < h.end ? PanelChunk(fc1, columns.end, 0) : PanelChunk(fc2, 0, h.begin);
      Fc1(call, b, columns, h.begin, all_rows, scratch, next);
    }
    if (kind == Hidden::kQuantised) QuantiseHidden(call, b, all_rows, 0, h.size());
    const void* next = PanelChunk(fc1, h.end < fc1.layout.n ? h.end : 0, 0);
    GemmBlock block = BlockOf(fc2, all_columns, h, b.hidden, all_rows, scratch, next);
    block.c = b.y;
    block.ldc = call.plan.ldy;
    call.ffn.gemm(block);
  }
  CopyOut(call, rows, all_columns, b.y);
}

// f(piece, scratch) for every piece of the plan. More than there are parts go to whoever is free next: of two
// CPUs one can be much slower than the other, for a while.
template <class F>
void ForEachPiece(const Call& call, int threads, const F& f) {
  const Plan& plan = call.plan;
  std::atomic<size_t> next{0};
  ParallelFor(threads, plan.parts, [&](size_t part) {
    const PartScratch scratch(call, part);
    if (plan.pieces == plan.parts) return f(part, scratch);
    for (size_t piece; (piece = next.fetch_add(1, std::memory_order_relaxed)) < plan.pieces;) {
      f(piece, scratch);
    }
  });
}

// multiply(rows, columns, next) for every panel, or pair of panels, of one layer that `piece` has a share in:
// some of the rows, all k. In memory order: few rows read each weight once. `next` is what follows, or null.
// Of what the layer gives, `chunk` columns of a row lie side by side.
template <class F>
void ForEachPanel(const Call& call, const PackedLayer& layer, size_t piece, size_t chunk, const F& multiply) {
  const PackedLayout& layout = layer.layout;
  const Tiling tiling = TilingOf(call.ffn);
  const Cut begin = CutAt(layout.n, tiling, call.tokens, call.plan.pieces, piece);
  const Cut end = CutAt(layout.n, tiling, call.tokens, call.plan.pieces, piece + 1);
  const auto panels_at = [&](size_t panel) {  // rows of pairs are few, and not cut within a panel
    const size_t last = panel + call.plan.panels, n0 = panel * layout.nr, n1 = last * layout.nr;
    const bool pair = last <= end.panel && n1 <= layout.n && n0 / chunk == (n1 - 1) / chunk;
    return pair ? call.plan.panels : 1;
  };
  for (size_t panel = begin.panel, panels = 1; panel <= end.panel; panel += panels) {
    panels = panels_at(panel);
    const Range rows = {panel == begin.panel ? begin.row : 0, panel == end.panel ? end.row : call.tokens};
    if (rows.begin == rows.end) continue;
    const Range columns = {panel * layout.nr, std::min((panel + panels) * layout.nr, layout.n)};
    const bool more = panel + panels <= end.panel && columns.end < layout.n;
    multiply(rows, columns, more ? PanelChunk(layer, columns.end, 0) : nullptr);
  }
}

// copy(rows) for all rows of the call, `columns` floats each, on as many threads as that is worth.
template <class F>
void CopyRows(const Call& call, int threads, size_t columns, const F& copy) {
  const size_t copies = CopyParts(call.tokens, columns, call.plan.parts);
  ParallelFor(threads, copies, [&](size_t part) { copy(EvenRange(call.tokens, copies, part)); });
}

void RunColumns(const Call& call, int threads) {
  const Plan& plan = call.plan;
  const PackedLayer& fc1 = call.ffn.layers[0];
  const PackedLayer& fc2 = call.ffn.layers[1];
  const BlockScratch b(call, call.scratch + plan.parts * plan.part_floats());

  CopyRows(call, threads, fc1.layout.k, [&](Range rows) { CopyIn(call, rows, b.x, rows.begin); });
  ForEachPiece(call, threads, [&](size_t piece, const PartScratch& scratch) {
    ForEachPanel(call, fc1, piece, b.hidden.columns, [&](Range rows, Range columns, const void* next) {
      Fc1(call, b, columns, 0, rows, scratch, next);
    });
  });
  if (call.ffn.operands.hidden == Hidden::kQuantised) {
    CopyRows(call, threads, fc2.layout.k, [&](Range rows) {
      for (size_t k0 = 0; k0 < fc2.layout.k; k0 += b.hidden.columns) {
        QuantiseHidden(call, b, rows, k0, std::min(b.hidden.columns, fc2.layout.k - k0));
      }
    });
  }
  ForEachPiece(call, threads, [&](size_t piece, const PartScratch& scratch) {
    ForEachPanel(call, fc2, piece, fc2.layout.n, [&](Range rows, Range columns, const void* next) {
      GemmBlock block = BlockOf(fc2, columns, {0, fc2.layout.k}, b.hidden, rows, scratch, next);
      float* const y0 = b.y + rows.begin * plan.ldy;
      block.c = y0 + columns.begin;
      block.ldc = plan.ldy;
      call.ffn.gemm(block);
      CopyOut(call, rows, columns, y0);
    });
  });
}

}  // namespace

void RunPlan(const Call& call, int threads) {
  if (call.plan.fused) {
    ForEachPiece(call, threads, [&](size_t piece, const PartScratch& scratch) {
      FusedBlock(call, EvenRange(call.tokens, call.plan.pieces, piece), BlockScratch(call, scratch.block),
                 scratch);
    });
  } else {
    RunColumns(call, threads);
  }
}

}  // namespace fusedffn

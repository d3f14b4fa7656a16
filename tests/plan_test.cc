// The plan as a pure function, for machines that are not at hand: 1 to 256 threads, every kind of shape.
#include "src/plan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <ostream>
#include <vector>

#include "kernels/gemm.h"
#include "tests/effort.h"
#include "tests/test_block.h"

namespace fusedffn {
namespace {

constexpr size_t kMegabyte = 1000000;

struct Tile {
  size_t mr, nr, lanes;
};

// What a kernel does with its A and with hidden values, as the planner sees it; whether or not there is one.
struct Kind {
  size_t a_bytes = 4;
  bool grouped = false;  // a chunk is a group of 1152, and hidden is stored from fp32
  bool rounded = false;  // C waits in scratch
  size_t dual_panel_rows = 2, scratch_fixed = 0;
};

constexpr size_t kGroup = 1152;

void StoreNothing(const float*, size_t, Range, size_t, size_t, const PackedA&) {}

GemmKernel KernelOf(const Tile& tile, const Kind& kind) {
  constexpr size_t kKc = 576;
  const size_t step = 4 / kind.a_bytes;
  GemmKernel kernel = {};
  kernel.mr = tile.mr;
  kernel.dual_panel_rows = kind.dual_panel_rows;
  kernel.row_parallel_rows = 48;
  kernel.a = {kind.a_bytes, kKc * step, tile.nr * step, (kKc + 16) * 4, 1};
  if (kind.grouped) kernel.a.kc = kernel.a.k_align = kGroup;
  kernel.b = {kind.grouped ? size_t{1} : 4, 1, tile.nr, tile.lanes, kind.grouped ? kGroup : 0};
  kernel.scratch_fixed = kind.scratch_fixed;
  kernel.scratch_row = kind.rounded ? tile.nr * sizeof(float) : 0;
  if (kind.grouped) kernel.store_hidden = StoreNothing;
  return kernel;
}

struct PlanCase {
  Shape shape;  // hidden 0: a linear
  size_t tokens;
  Tile tiling;
  size_t l2_bytes, threads;
  Kind kind = {};

  GemmKernel kernel() const { return KernelOf(tiling, kind); }
  Sizes sizes() const { return {shape.dim, shape.hidden, shape.out, shape.gated}; }
  Plan plan() const { return MakePlan(sizes(), tokens, kernel(), l2_bytes, threads); }
};

Plan PlanOfClipL(size_t tokens, const Tile& tile, size_t threads) {
  return PlanCase{kClipL, tokens, tile, size_t{1} << 20, threads}.plan();
}

std::ostream& operator<<(std::ostream& out, const PlanCase& c) {
  return out << "shape " << c.shape << ", " << c.tokens << " tokens, tile " << c.tiling.mr << "x"
             << c.tiling.nr << ", L2 " << c.l2_bytes << ", " << c.threads << " threads";
}

// AVX-512, Zen 4's, AVX2, NEON and SSE, then two that no target has.
constexpr Tile kRealTilings[] = {{8, 48, 16}, {6, 64, 16}, {6, 16, 8}, {6, 16, 4}, {6, 8, 4}};
constexpr Tile kTilings[] = {{8, 48, 16}, {6, 64, 16},  {6, 16, 8}, {6, 16, 4},
                             {6, 8, 4},   {14, 32, 16}, {1, 1, 1}};

// The ranges that range(0) to range(parts - 1) return, in order and without gaps, from 0 to total.
template <class RangeOf>
testing::AssertionResult CoversOnce(size_t total, size_t parts, const RangeOf& range) {
  size_t end = 0;
  for (size_t i = 0; i < parts; ++i) {
    const Range r = range(i);
    if (r.begin != end || r.end < r.begin) {
      return testing::AssertionFailure()
             << "part " << i << " of " << parts << " is [" << r.begin << ", " << r.end << ") after " << end;
    }
    end = r.end;
  }
  if (end == total) return testing::AssertionSuccess();
  return testing::AssertionFailure() << parts << " parts end at " << end << " of " << total;
}

TEST(EvenRangeTest, CoversOnceAndEvenly) {
  for (size_t total = 0; total <= 300; ++total) {
    for (size_t parts = 1; parts <= 70; ++parts) {
      const auto range = [&](size_t i) { return EvenRange(total, parts, i); };
      ASSERT_TRUE(CoversOnce(total, parts, range)) << total;
      for (size_t i = 0; i < parts; ++i) {
        ASSERT_GE(range(i).size(), total / parts);
        ASSERT_LE(range(i).size(), DivideUp(total, parts));
      }
    }
  }
}

bool Before(const WorkPoint& a, const WorkPoint& b) {
  return a.panel != b.panel ? a.panel < b.panel : a.row <= b.row;
}

// Rows times columns, padded to whole vectors, between two points.
BLayout PanelsOf(const Tile& tiling) { return {4, 1, tiling.nr, tiling.lanes, 0}; }

size_t WorkBetween(const WorkPoint& begin, const WorkPoint& end, size_t n, const Tile& tiling,
                   size_t tokens) {
  size_t work = 0;
  for (size_t panel = begin.panel; panel <= end.panel; ++panel) {
    const size_t row_begin = panel == begin.panel ? begin.row : 0;
    const size_t row_end = panel == end.panel ? end.row : tokens;
    const size_t columns = std::min(tiling.nr, n - std::min(n, panel * tiling.nr));
    work += (row_end - row_begin) * RoundUp(columns, tiling.lanes);
  }
  return work;
}

// From the first panel to behind the last, in order, inside the panels.
void CheckSplits(size_t n, const Tile& tiling, size_t tokens, size_t parts) {
  const size_t panels = DivideUp(n, tiling.nr);
  WorkPoint last = SplitAt(n, PanelsOf(tiling), tokens, parts, 0);
  ASSERT_TRUE(last.panel == 0 && last.row == 0);
  for (size_t i = 1; i <= parts; ++i) {
    const WorkPoint cut = SplitAt(n, PanelsOf(tiling), tokens, parts, i);
    ASSERT_TRUE(Before(last, cut)) << "part " << i - 1 << " of " << parts;
    ASSERT_TRUE(cut.panel < panels ? cut.row < tokens : cut.panel == panels && cut.row == 0)
        << "part " << i << " of " << parts << " at " << cut.panel << ", " << cut.row;
    last = cut;
  }
  ASSERT_EQ(last.panel, panels);
}

TEST(SplitTest, EveryPanelAndRowOnce) {
  for (const Tile& tiling : kTilings) {
    for (size_t n = 1; n <= 400; n += 7) {
      for (const size_t tokens : {1u, 2u, 12u, 13u, 64u, 257u}) {
        for (size_t parts = 1; parts <= 130; parts += 3) {
          CheckSplits(n, tiling, tokens, parts);
          ASSERT_FALSE(HasFailure()) << "n " << n << ", nr " << tiling.nr << ", " << tokens << " tokens";
        }
      }
    }
  }
}

// The mean part's work over the largest one's.
double Balance(size_t n, const Tile& tiling, size_t tokens, size_t parts) {
  size_t largest = 0, sum = 0;
  for (size_t i = 0; i < parts; ++i) {
    const size_t work = WorkBetween(SplitAt(n, PanelsOf(tiling), tokens, parts, i),
                                    SplitAt(n, PanelsOf(tiling), tokens, parts, i + 1), n, tiling, tokens);
    largest = std::max(largest, work);
    sum += work;
  }
  return static_cast<double>(sum) / static_cast<double>(largest * parts);
}

// Every row and column once, no more workers than threads and no fewer tasks, and each array as large as
// src/execute.cc uses it.
void CheckPlan(const PlanCase& c) {
  const Plan plan = c.plan();
  const Shape& shape = c.shape;
  ASSERT_GE(plan.workers, 1u);
  ASSERT_LE(plan.workers, c.threads);
  ASSERT_GE(plan.tasks, plan.workers);
  if (plan.row_parallel) {
    ASSERT_LE(plan.tasks, c.tokens);
    ASSERT_TRUE(
        CoversOnce(c.tokens, plan.tasks, [&](size_t i) { return EvenRange(c.tokens, plan.tasks, i); }));
  } else {
    for (const size_t n : {shape.hidden, shape.out}) {
      if (n != 0) CheckSplits(n, c.tiling, c.tokens, plan.tasks);
    }
  }
  const GemmKernel kernel = c.kernel();
  const size_t rows = plan.row_parallel ? plan.mc : c.tokens;
  const size_t hidden = plan.row_parallel ? std::min(plan.hidden_chunk, shape.hidden) : shape.hidden;
  ASSERT_EQ(plan.ldy % c.tiling.lanes, 0u) << "rows of y must start on a vector";
  if (shape.hidden == 0 && plan.row_parallel) {
    ASSERT_EQ(plan.ldy % c.tiling.nr, 0u) << "a linear's columns are computed in whole panels at once";
  } else {
    ASSERT_GE(plan.ldy, RoundUp(shape.out, c.tiling.lanes));
  }
  ASSERT_GE(plan.y_bytes, rows * plan.ldy * sizeof(float));
  ASSERT_GE(plan.x_bytes, kernel.a.bytes(rows, shape.dim, plan.x_chunk));
  for (const size_t chunk : {plan.x_chunk, plan.hidden_chunk}) {
    if (chunk == plan.hidden_chunk && shape.hidden == 0) continue;
    ASSERT_GT(chunk, 0u);
    ASSERT_LE(chunk, kernel.a.kc) << "a row of A has no room for more";
    ASSERT_LE(chunk * kernel.a.element_bytes, kernel.a.row_bytes) << "a row of A has no room for more";
    if (c.kind.grouped) {
      ASSERT_EQ(chunk, kGroup);
    } else {
      ASSERT_EQ(chunk % (c.tiling.nr * 4 / c.kind.a_bytes), 0u) << "a panel of fc1 must end in one chunk";
    }
  }
  const bool pairs = c.tokens <= c.kind.dual_panel_rows && !plan.row_parallel;
  ASSERT_EQ(plan.panels, pairs ? 2u : 1u);
  ASSERT_GE(plan.kernel_bytes, kernel.scratch_bytes(rows));
  ASSERT_GE(plan.ld_gate, plan.panels * c.tiling.nr);
  ASSERT_GE(plan.gate_bytes, shape.gated ? rows * plan.ld_gate * sizeof(float) : 0);
  if (shape.hidden != 0) {
    ASSERT_GE(plan.hidden_bytes, kernel.a.bytes(rows, hidden, plan.hidden_chunk));
    if (c.kind.grouped) {
      ASSERT_GE(plan.ld_values, RoundUp(hidden, c.tiling.lanes));
      ASSERT_EQ(plan.ld_values % c.tiling.lanes, 0u) << "its rows must start on a vector";
      ASSERT_GE(plan.values_bytes, rows * plan.ld_values * sizeof(float));
    }
  }
  const size_t block = plan.x_bytes + plan.hidden_bytes + plan.y_bytes + plan.values_bytes;
  const size_t worker = plan.kernel_bytes + plan.gate_bytes;
  ASSERT_GE(plan.scratch_bytes, plan.workers * worker + (plan.row_parallel ? plan.workers : 1) * block);
  for (const size_t more : {1u, 3u}) {
    ASSERT_LE(plan.scratch_bytes,
              MostScratchBytes(c.sizes(), more * c.tokens, kernel, c.l2_bytes, more * c.threads));
  }
  if (!plan.row_parallel) return;
  ASSERT_GE(plan.mc, 1u);
  ASSERT_EQ(plan.mc, EvenRange(c.tokens, plan.tasks, 0).size());
}

TEST(PlanTest, CoversAllWorkOnce) {
  const Shape shapes[] = {kClipL,        {1, 1, 1},      {768, 3072, 768}, {1152, 4304, 1152},
                          {31, 5000, 3}, {4096, 50, 17}, {1024, 0, 3072},  {1, 0, 1},
                          {1500, 0, 70}};
  for (const Shape& shape : shapes) {
    for (const Tile& tiling : kTilings) {
      for (const size_t tokens : {1u, 2u, 7u, 16u, 49u, 100u, 257u, 1028u, 14400u}) {
        for (size_t threads = 1; threads <= 256; threads += FullOrLight<size_t>(1, 17)) {
          for (const size_t l2_bytes : {size_t{256} << 10, size_t{2} << 20}) {
            const PlanCase c = {shape, tokens, tiling, l2_bytes, threads};
            CheckPlan(c);
            if (testing::Test::HasFailure()) FAIL() << c;
          }
        }
      }
    }
  }
}

// Kernels of every kind, whether or not a precision has them.
TEST(PlanTest, HasScratchForEveryPrecision) {
  const Kind kinds[] = {{4, false, false, 2, size_t{576} * 64 * 4},
                        {2, false, true, 0, size_t{2} * 64 * 4},
                        {1, true, false, 0, 0},
                        {2, true, false, 2, 0}};
  for (const Shape& shape : {kClipL, Shape{1, 1, 1}, Shape{1152, 4304, 1152}, Shape{5000, 31, 3},
                             Shape{1280, 6848, 1280, true}, Shape{1, 1, 1, true}, Shape{1500, 0, 70}}) {
    for (const Tile& tiling : kTilings) {
      for (const Kind& kind : kinds) {
        for (const size_t tokens : {1u, 2u, 3u, 49u, 257u, 1028u}) {
          for (const size_t threads : {1u, 2u, 7u, 64u}) {
            CheckPlan({shape, tokens, tiling, size_t{1} << 20, threads, kind});
            if (testing::Test::HasFailure()) FAIL() << shape << ", " << tokens << ", " << threads;
          }
        }
      }
    }
  }
}

TEST(PlanTest, AtMostFourMegabytesAThreadAtClipL) {
  size_t worst = 0;
  for (const Tile& tiling : kRealTilings) {
    for (const size_t l2_bytes : {size_t{256} << 10, size_t{1} << 20, size_t{2} << 20, size_t{64} << 20}) {
      for (size_t threads = 1; threads <= 256; ++threads) {
        for (const size_t tokens : {1u, 16u, 101u, 257u, 577u, 909u, 1028u, 4096u, 14400u, 100000u}) {
          const PlanCase c = {kClipL, tokens, tiling, l2_bytes, threads};
          const size_t bytes = c.plan().scratch_bytes;
          worst = std::max(worst, bytes / threads);
          ASSERT_LE(bytes, threads * 4 * kMegabyte) << c;
        }
      }
    }
  }
  RecordProperty("bytes_a_thread", std::to_string(worst));
}

// 1 thread starts no others.
TEST(PlanTest, OneThreadIsOnePart) {
  for (size_t tokens = 1; tokens <= 600; ++tokens) {
    ASSERT_EQ(PlanOfClipL(tokens, kTilings[0], 1).workers, 1u) << tokens << " tokens";
  }
}

// The slower of the two layers, which have the same work.
double PredictedBalance(const PlanCase& c) {
  const Plan plan = c.plan();
  const size_t each = DivideUp(plan.tasks, c.threads);  // of threads that are equally fast
  if (plan.row_parallel) {
    return static_cast<double>(c.tokens) /
           static_cast<double>(EvenRange(c.tokens, plan.tasks, 0).size() * each * c.threads);
  }
  const double used = static_cast<double>(plan.tasks) / static_cast<double>(each * c.threads);
  return used * std::min(Balance(c.shape.hidden, c.tiling, c.tokens, plan.tasks),
                         Balance(c.shape.out, c.tiling, c.tokens, plan.tasks));
}

TEST(PlanTest, AnImageIsSharedEvenlyByUpTo128Threads) {
  double worst = 1;
  for (const Tile& tiling : kRealTilings) {
    for (size_t threads = 2; threads <= 128; ++threads) {
      const PlanCase c = {kClipL, 257, tiling, size_t{1} << 20, threads};
      worst = std::min(worst, PredictedBalance(c));
      ASSERT_GE(PredictedBalance(c), 0.97) << c;
    }
  }
  RecordProperty("worst_balance", std::to_string(worst));
}

// With few rows whole panels are shared: no thread gets more than one panel above its share.
TEST(PlanTest, FewTokensShareWholePanels) {
  for (const Tile& tiling : kRealTilings) {
    for (const size_t n : {kClipL.hidden, kClipL.out}) {
      const size_t panels = DivideUp(n, tiling.nr);
      for (const size_t tokens : {1u, 4u, 8u, 12u}) {
        for (size_t parts = 1; parts <= panels; ++parts) {
          for (size_t i = 0; i < parts; ++i) {
            const WorkPoint begin = SplitAt(n, PanelsOf(tiling), tokens, parts, i),
                            end = SplitAt(n, PanelsOf(tiling), tokens, parts, i + 1);
            ASSERT_EQ(begin.row, 0u);
            ASSERT_LE(end.panel - begin.panel, panels / parts + 1) << i << " of " << parts;
          }
        }
      }
    }
  }
}

TEST(PlanTest, NoTokensNeedNoScratch) {
  for (size_t threads = 1; threads <= 256; ++threads) {
    EXPECT_EQ(PlanOfClipL(0, kTilings[0], threads).scratch_bytes, 0u) << threads;
  }
}

// The largest arguments that the API lets through: nothing may wrap.
TEST(PlanTest, NothingOverflows) {
  const Shape large = {size_t{1} << 30, 1024, size_t{1} << 30};
  for (const size_t threads : {size_t{1}, size_t{65536}}) {
    for (const size_t tokens : {size_t{1}, size_t{65536}, size_t{1} << 31}) {
      const PlanCase c = {large, tokens, kTilings[0], size_t{1} << 20, threads};
      CheckPlan(c);
      ASSERT_FALSE(HasFailure()) << c;
    }
  }
}

}  // namespace
}  // namespace fusedffn

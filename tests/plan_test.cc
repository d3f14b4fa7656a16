// The plan as a pure function, for machines that are not at hand: 1 to 256 threads, every kind of shape.
#include "src/plan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <ostream>
#include <vector>

#include "kernels/kernels.h"
#include "tests/effort.h"
#include "tests/test_block.h"

namespace fusedffn {
namespace {

constexpr size_t kMegabyte = 1000000;

struct PlanCase {
  Shape shape;
  size_t tokens;
  Tiling tiling;
  size_t l2_bytes, threads;
  Operands operands = {};

  Plan plan() const { return MakePlan(shape, tokens, tiling, l2_bytes, threads, operands); }
};

std::ostream& operator<<(std::ostream& out, const PlanCase& c) {
  return out << "shape " << c.shape << ", " << c.tokens << " tokens, tile " << c.tiling.mr << "x"
             << c.tiling.nr << ", L2 " << c.l2_bytes << ", " << c.threads << " threads";
}

// AVX-512, Zen 4's, AVX2, NEON and SSE, then two that no target has.
constexpr Tiling kRealTilings[] = {{8, 48, 16}, {6, 64, 16}, {6, 16, 8}, {6, 16, 4}, {6, 8, 4}};
constexpr Tiling kTilings[] = {{8, 48, 16}, {6, 64, 16},  {6, 16, 8}, {6, 16, 4},
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
        ASSERT_LE(range(i).size(), (total + parts - 1) / parts);
      }
    }
  }
}

bool Before(const Cut& a, const Cut& b) { return a.panel != b.panel ? a.panel < b.panel : a.row <= b.row; }

// Rows times columns, padded to whole vectors, between two cuts.
size_t WorkBetween(const Cut& begin, const Cut& end, size_t n, const Tiling& tiling, size_t tokens) {
  size_t work = 0;
  for (size_t panel = begin.panel; panel <= end.panel; ++panel) {
    const size_t row_begin = panel == begin.panel ? begin.row : 0;
    const size_t row_end = panel == end.panel ? end.row : tokens;
    const size_t columns = std::min(tiling.nr, n - std::min(n, panel * tiling.nr));
    work += (row_end - row_begin) * ((columns + tiling.lanes - 1) / tiling.lanes * tiling.lanes);
  }
  return work;
}

// From the first panel to behind the last, in order, inside the panels.
void CheckCuts(size_t n, const Tiling& tiling, size_t tokens, size_t parts) {
  const size_t panels = (n + tiling.nr - 1) / tiling.nr;
  Cut last = CutAt(n, tiling, tokens, parts, 0);
  ASSERT_TRUE(last.panel == 0 && last.row == 0);
  for (size_t i = 1; i <= parts; ++i) {
    const Cut cut = CutAt(n, tiling, tokens, parts, i);
    ASSERT_TRUE(Before(last, cut)) << "part " << i - 1 << " of " << parts;
    ASSERT_TRUE(cut.panel < panels ? cut.row < tokens : cut.panel == panels && cut.row == 0)
        << "part " << i << " of " << parts << " at " << cut.panel << ", " << cut.row;
    last = cut;
  }
  ASSERT_EQ(last.panel, panels);
}

TEST(CutTest, EveryPanelAndRowOnce) {
  for (const Tiling& tiling : kTilings) {
    for (size_t n = 1; n <= 400; n += 7) {
      for (const size_t tokens : {1u, 2u, 12u, 13u, 64u, 257u}) {
        for (size_t parts = 1; parts <= 130; parts += 3) {
          CheckCuts(n, tiling, tokens, parts);
          ASSERT_FALSE(HasFailure()) << "n " << n << ", nr " << tiling.nr << ", " << tokens << " tokens";
        }
      }
    }
  }
}

// The mean part's work over the largest one's.
double Balance(size_t n, const Tiling& tiling, size_t tokens, size_t parts) {
  size_t largest = 0, sum = 0;
  for (size_t i = 0; i < parts; ++i) {
    const size_t work = WorkBetween(CutAt(n, tiling, tokens, parts, i),
                                    CutAt(n, tiling, tokens, parts, i + 1), n, tiling, tokens);
    largest = std::max(largest, work);
    sum += work;
  }
  return static_cast<double>(sum) / static_cast<double>(largest * parts);
}

// Every row and column once, no more parts than threads and no fewer pieces, and each array as large as
// src/walk.cc uses it.
void CheckPlan(const PlanCase& c) {
  const Plan plan = c.plan();
  const Shape& shape = c.shape;
  ASSERT_GE(plan.parts, 1u);
  ASSERT_LE(plan.parts, c.threads);
  ASSERT_GE(plan.pieces, plan.parts);
  if (plan.fused) {
    ASSERT_LE(plan.pieces, c.tokens);
    ASSERT_TRUE(
        CoversOnce(c.tokens, plan.pieces, [&](size_t i) { return EvenRange(c.tokens, plan.pieces, i); }));
  } else {
    for (const size_t n : {shape.hidden, shape.out}) CheckCuts(n, c.tiling, c.tokens, plan.pieces);
  }
  ASSERT_GE(plan.ldy, (shape.out + c.tiling.lanes - 1) / c.tiling.lanes * c.tiling.lanes);
  ASSERT_EQ(plan.ldy % c.tiling.lanes, 0u) << "rows of y must start on a vector";

  const size_t rows = plan.fused ? plan.mc : c.tokens;
  const size_t hidden = plan.fused ? std::min(plan.hidden_chunk, shape.hidden) : shape.hidden;
  ASSERT_GE(plan.x_floats, ChunkedFloats(rows, shape.dim, plan.x_chunk));
  ASSERT_GE(plan.hidden_floats, ChunkedFloats(rows, hidden, plan.hidden_chunk));
  for (const size_t chunk : {plan.x_chunk, plan.hidden_chunk}) {
    ASSERT_GT(chunk, 0u);
    ASSERT_LE(chunk, kKc * c.operands.step()) << "a row of A has no room for more";
    if (c.operands.hidden == Hidden::kQuantised) {
      ASSERT_EQ(chunk, kInt8Group);
    } else {
      ASSERT_EQ(chunk % (c.tiling.nr * c.operands.step()), 0u) << "a panel of fc1 must end in one chunk";
    }
  }
  ASSERT_GE(plan.y_floats, rows * plan.ldy);
  const bool rounded = c.operands.hidden == Hidden::kRounded;
  ASSERT_GE(plan.ld_panel, plan.panels * c.tiling.nr);
  const bool pairs = c.operands.in_pairs && c.tokens <= kPairRows && !plan.fused;
  ASSERT_EQ(plan.panels, pairs ? 2u : 1u);
  ASSERT_GE(plan.panel_floats, rounded ? rows * plan.ld_panel : 0);
  ASSERT_GE(plan.gate_floats, shape.gated ? rows * plan.ld_panel : 0);
  ASSERT_GE(plan.wide_floats, c.operands.widen_once ? kKc * c.tiling.nr : 0);
  if (c.operands.hidden == Hidden::kQuantised) {
    ASSERT_GE(plan.ld_values, (hidden + c.tiling.lanes - 1) / c.tiling.lanes * c.tiling.lanes);
    ASSERT_EQ(plan.ld_values % c.tiling.lanes, 0u) << "its rows must start on a vector";
    ASSERT_GE(plan.values_floats, rows * plan.ld_values);
  }
  const size_t block = plan.x_floats + plan.hidden_floats + plan.y_floats + plan.values_floats;
  const size_t part = plan.panel_floats + plan.wide_floats + plan.gate_floats;
  ASSERT_GE(plan.scratch_floats, plan.parts * part + (plan.fused ? plan.parts : 1) * block);
  if (!plan.fused) return;
  ASSERT_GE(plan.mc, 1u);
  ASSERT_EQ(plan.mc, EvenRange(c.tokens, plan.pieces, 0).size());
}

TEST(PlanTest, CoversAllWorkOnce) {
  const Shape shapes[] = {kClipL,        {1, 1, 1},     {768, 3072, 768}, {1152, 4304, 1152},
                          {31, 5000, 3}, {4096, 50, 17}};
  for (const Shape& shape : shapes) {
    for (const Tiling& tiling : kTilings) {
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

// Operands of every kind, whether or not a precision has them.
TEST(PlanTest, HasScratchForEveryPrecision) {
  const Operands kinds[] = {{4, 2, 2, Hidden::kAsIs, true},
                            {2, 2, 2, Hidden::kRounded, false},
                            {1, 1, 4, Hidden::kQuantised, false},
                            {2, 1, 2, Hidden::kQuantised, false}};
  for (const Shape& shape : {kClipL, Shape{1, 1, 1}, Shape{1152, 4304, 1152}, Shape{5000, 31, 3},
                             Shape{1280, 6848, 1280, true}, Shape{1, 1, 1, true}}) {
    for (const Tiling& tiling : kTilings) {
      for (const Operands& operands : kinds) {
        for (const size_t tokens : {1u, 2u, 3u, 49u, 257u, 1028u}) {
          for (const size_t threads : {1u, 2u, 7u, 64u}) {
            CheckPlan({shape, tokens, tiling, size_t{1} << 20, threads, operands});
            if (testing::Test::HasFailure()) FAIL() << shape << ", " << tokens << ", " << threads;
          }
        }
      }
    }
  }
}

TEST(PlanTest, AtMostFourMegabytesAThreadAtClipL) {
  size_t worst = 0;
  for (const Tiling& tiling : kRealTilings) {
    for (const size_t l2_bytes : {size_t{256} << 10, size_t{1} << 20, size_t{2} << 20, size_t{64} << 20}) {
      for (size_t threads = 1; threads <= 256; ++threads) {
        for (const size_t tokens : {1u, 16u, 101u, 257u, 577u, 909u, 1028u, 4096u, 14400u, 100000u}) {
          const PlanCase c = {kClipL, tokens, tiling, l2_bytes, threads};
          const size_t bytes = c.plan().scratch_floats * sizeof(float);
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
    ASSERT_EQ(MakePlan(kClipL, tokens, kTilings[0], size_t{1} << 20, 1).parts, 1u) << tokens << " tokens";
  }
}

// The slower of the two layers, which have the same work.
double PredictedBalance(const PlanCase& c) {
  const Plan plan = c.plan();
  const size_t each = (plan.pieces + c.threads - 1) / c.threads;  // of threads that are equally fast
  if (plan.fused) {
    return static_cast<double>(c.tokens) /
           static_cast<double>(EvenRange(c.tokens, plan.pieces, 0).size() * each * c.threads);
  }
  const double used = static_cast<double>(plan.pieces) / static_cast<double>(each * c.threads);
  return used * std::min(Balance(c.shape.hidden, c.tiling, c.tokens, plan.pieces),
                         Balance(c.shape.out, c.tiling, c.tokens, plan.pieces));
}

TEST(PlanTest, AnImageIsSharedEvenlyByUpTo128Threads) {
  double worst = 1;
  for (const Tiling& tiling : kRealTilings) {
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
  for (const Tiling& tiling : kRealTilings) {
    for (const size_t n : {kClipL.hidden, kClipL.out}) {
      const size_t panels = (n + tiling.nr - 1) / tiling.nr;
      for (const size_t tokens : {1u, 4u, 8u, 12u}) {
        for (size_t parts = 1; parts <= panels; ++parts) {
          for (size_t i = 0; i < parts; ++i) {
            const Cut begin = CutAt(n, tiling, tokens, parts, i),
                      end = CutAt(n, tiling, tokens, parts, i + 1);
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
    EXPECT_EQ(MakePlan(kClipL, 0, kTilings[0], size_t{1} << 20, threads).scratch_floats, 0u) << threads;
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

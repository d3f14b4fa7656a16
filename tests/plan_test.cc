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

  Plan plan() const { return MakePlan(shape, tokens, tiling, l2_bytes, threads); }
};

std::ostream& operator<<(std::ostream& out, const PlanCase& c) {
  return out << "shape " << c.shape << ", " << c.tokens << " tokens, tile " << c.tiling.mr << "x"
             << c.tiling.nr << ", L2 " << c.l2_bytes << ", " << c.threads << " threads";
}

// AVX-512, AVX2, NEON and SSE, then two that no target has.
constexpr Tiling kRealTilings[] = {{8, 48, 16}, {6, 16, 8}, {6, 16, 4}, {6, 8, 4}};
constexpr Tiling kTilings[] = {{8, 48, 16}, {6, 16, 8}, {6, 16, 4}, {6, 8, 4}, {14, 32, 16}, {1, 1, 1}};

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

TEST(ColumnRangeTest, CoversOnceOnWholePanels) {
  for (const size_t nr : {1u, 8u, 16u, 48u}) {
    for (size_t n = 1; n <= 400; n += 3) {
      for (size_t parts = 1; parts <= 70; ++parts) {
        const auto range = [&](size_t i) { return ColumnRange(n, nr, parts, i); };
        ASSERT_TRUE(CoversOnce(n, parts, range)) << "n " << n << ", nr " << nr;
        for (size_t i = 0; i < parts; ++i) {
          ASSERT_TRUE(range(i).begin % nr == 0 || range(i).size() == 0) << "n " << n << ", nr " << nr;
        }
      }
    }
  }
}

// Every row and column once, no more parts than threads, and each array as large as src/ffn.cc uses it.
void CheckPlan(const PlanCase& c) {
  const Plan plan = c.plan();
  const Shape& shape = c.shape;
  ASSERT_GE(plan.row_parts, 1u);
  ASSERT_GE(plan.column_parts, 1u);
  ASSERT_LE(plan.parts(), c.threads);
  ASSERT_LE(plan.row_parts, c.tokens);
  ASSERT_TRUE(
      CoversOnce(c.tokens, plan.row_parts, [&](size_t i) { return EvenRange(c.tokens, plan.row_parts, i); }));
  for (const size_t n : {shape.hidden, shape.out}) {
    ASSERT_TRUE(CoversOnce(n, plan.column_parts,
                           [&](size_t i) { return ColumnRange(n, c.tiling.nr, plan.column_parts, i); }));
  }
  ASSERT_GE(plan.ldy, (shape.out + c.tiling.lanes - 1) / c.tiling.lanes * c.tiling.lanes);
  ASSERT_EQ(plan.ldy % c.tiling.lanes, 0u) << "rows of y must start on a vector";

  const size_t rows = plan.fused ? plan.mc : c.tokens;
  const size_t hidden = plan.fused ? std::min(kKc, shape.hidden) : shape.hidden;
  ASSERT_GE(plan.x_floats, ChunkedFloats(rows, shape.dim));
  ASSERT_GE(plan.hidden_floats, ChunkedFloats(rows, hidden));
  ASSERT_GE(plan.y_floats, rows * plan.ldy);
  const size_t copies = plan.fused ? plan.row_parts : 1;
  ASSERT_GE(plan.scratch_floats, copies * (plan.x_floats + plan.hidden_floats + plan.y_floats));
  if (!plan.fused) return;
  ASSERT_EQ(plan.column_parts, 1u);
  ASSERT_GE(plan.mc, 1u);
  ASSERT_LE(plan.mc, EvenRange(c.tokens, plan.row_parts, 0).size());
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
    ASSERT_EQ(MakePlan(kClipL, tokens, kTilings[0], size_t{1} << 20, 1).parts(), 1u) << tokens << " tokens";
  }
}

// No thread gets more than twice its share of the rows and panels, as long as there are enough of them.
TEST(PlanTest, SharesTheWork) {
  for (const Tiling& tiling : kRealTilings) {
    const size_t panels = (kClipL.out + tiling.nr - 1) / tiling.nr;
    for (size_t tokens = 1; tokens <= 1028; tokens = tokens * 5 / 4 + 1) {
      for (size_t threads = 1; threads <= 256 && threads <= tokens * panels / 4; ++threads) {
        const PlanCase c = {kClipL, tokens, tiling, size_t{1} << 20, threads};
        const Plan plan = c.plan();
        const double rows = static_cast<double>(EvenRange(tokens, plan.row_parts, 0).size());
        const double hidden =
            static_cast<double>(ColumnRange(kClipL.hidden, tiling.nr, plan.column_parts, 0).size());
        const double share = static_cast<double>(tokens * kClipL.hidden) / static_cast<double>(threads);
        ASSERT_LE(rows * hidden, 2 * share) << c;
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

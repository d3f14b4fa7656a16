// The kernels alone, against the scalar chain, bit for bit: no tile shape, row position, panel width or
// split of k may show. Every operand lies against a guard page.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <set>
#include <vector>

#include "kernels/kernels.h"
#include "src/pack.h"
#include "tests/chain.h"
#include "tests/compare.h"
#include "tests/guarded_buffer.h"
#include "tests/random.h"
#include "tests/targets.h"

namespace fusedffn {
namespace {

// One layer with data for up to `max_m` rows, and what it should give.
class GemmProblem {
 public:
  GemmProblem(const Kernels& kernels, size_t max_m, size_t n, size_t k, uint64_t seed)
      : kernels_(kernels),
        layout_{n, k, kernels.nr, kernels.lanes},
        packed_(layout_.floats(), Flush::kRight),
        bias_(layout_.padded_n(), Flush::kRight) {
    Random random(seed);
    a_ = random.SymmetricVector(max_m * k, 1.0f);
    const std::vector<float> weight = random.SymmetricVector(n * k, 1.0f);
    const std::vector<float> bias = random.SymmetricVector(n, 1.0f);
    std::fill_n(packed_.data(), packed_.size(), 0.0f);
    std::fill_n(bias_.data(), bias_.size(), 0.0f);
    std::copy(bias.begin(), bias.end(), bias_.data());
    PackRows(layout_, 0, n, weight.data(), DType::kF32, k, packed_.data());

    Linear linear;
    linear.weight = weight.data();
    linear.bias = bias.data();
    for (size_t m = 0; m < max_m; ++m) {
      const std::vector<float> row = ChainLinear(kernels.fma, linear, n, k, &a_[m * k]);
      identity_.insert(identity_.end(), row.begin(), row.end());
    }
    quick_gelu_.resize(identity_.size());
    kernels.activations[0].map(identity_.data(), identity_.size(), quick_gelu_.data());
  }

  // Columns [n0, n) of the first m rows; in calls of at most `steps` of k each.
  testing::AssertionResult Run(size_t m, size_t n0, size_t steps, bool activation, Flush flush) {
    const size_t n = layout_.n, k = layout_.k;
    const size_t ldc = layout_.padded_n() - n0 + 2 * layout_.lanes;
    GuardedBuffer<float> c((m - 1) * ldc + layout_.padded_n() - n0, flush);
    for (size_t k0 = 0; k0 < k; k0 += steps) {
      GemmBlock block = {};
      block.m = m;
      block.n = n - n0;
      block.k = std::min(steps, k - k0);
      GuardedBuffer<float> a(ChunkedFloatsOf(m, block.k), flush);
      FillChunks(m, k0, block.k, a.data());
      block.a = a.data();
      block.a_chunk = m * kAStride;
      block.b = packed_.data() + n0 * k;
      block.b_k = k;
      block.b_k0 = k0;
      block.bias = k0 == 0 ? bias_.data() + n0 : nullptr;
      block.c = c.data();
      block.ldc = ldc;
      if (activation && k0 + block.k == k) block.activate = kernels_.activations[0].tile;
      kernels_.gemm(block);
    }
    for (size_t row = 0; row + 1 < m; ++row) {
      for (size_t col = layout_.padded_n() - n0; col < ldc; ++col) {
        if (BitsOf(c[row * ldc + col]) != kPoisonBits) {
          return testing::AssertionFailure() << "wrote beyond row " << row << " at column " << col;
        }
      }
    }
    const std::vector<float>& want = activation ? quick_gelu_ : identity_;
    return SameBits(c.data(), ldc, want.data() + n0, n, m, n - n0);
  }

 private:
  // Steps [k0, k0 + k) of the first m rows of A, in chunks.
  void FillChunks(size_t m, size_t k0, size_t k, float* chunks) const {
    for (size_t row = 0; row < m; ++row) {
      for (size_t i = 0; i < k; ++i) {
        chunks[(i / kKc * m + row) * kAStride + i % kKc] = a_[row * layout_.k + k0 + i];
      }
    }
  }

  // Up to the last step of the last row.
  static size_t ChunkedFloatsOf(size_t m, size_t k) {
    const size_t last = (k - 1) / kKc * kKc;
    return (last / kKc * m + m - 1) * kAStride + k - last;
  }

  const Kernels& kernels_;
  PackedLayout layout_;
  GuardedBuffer<float> packed_, bias_;
  std::vector<float> a_, identity_, quick_gelu_;
};

class GemmBlockTest : public TargetTest {
 protected:
  const Kernels& kernels() const { return KernelsNamed(GetParam()); }

  // Around a vector, a panel, and several of them.
  std::set<size_t> ColumnCounts() const {
    const size_t lanes = kernels().lanes, nr = kernels().nr;
    std::set<size_t> counts = {1, lanes, lanes + 1, nr - 1, nr, nr + 1, nr + lanes, 2 * nr - 1, 3 * nr + 1};
    counts.insert(lanes > 1 ? lanes - 1 : 1);
    return counts;
  }
};

constexpr size_t kDepths[] = {1, 2, 3, 4, 5, 7, 8, 9, 31, kKc - 1, kKc, kKc + 1, kKc + 6, 2 * kKc + 3};

TEST_P(GemmBlockTest, EveryHeightWidthAndDepth) {
  const size_t max_m = 2 * kernels().mr + 1;
  uint64_t seed = 0;
  for (const size_t n : ColumnCounts()) {
    for (const size_t k : kDepths) {
      GemmProblem problem(kernels(), max_m, n, k, ++seed);
      for (size_t m = 1; m <= max_m; ++m) {
        for (const bool activation : {false, true}) {
          const Flush flush = (m + activation) % 2 == 0 ? Flush::kLeft : Flush::kRight;
          ASSERT_TRUE(problem.Run(m, 0, k, activation, flush))
              << "m " << m << ", n " << n << ", k " << k << ", activation " << activation << ", seed "
              << seed;
        }
      }
    }
  }
}

TEST_P(GemmBlockTest, EverySplitOfKIntoCalls) {
  const size_t m = kernels().mr + 1, n = kernels().nr + kernels().lanes + 1, k = 97;
  GemmProblem problem(kernels(), m, n, k, 1);
  for (size_t steps = 1; steps <= k; ++steps) {
    ASSERT_TRUE(problem.Run(m, 0, steps, true, Flush::kRight)) << "calls of " << steps << " of k " << k;
  }
}

TEST_P(GemmBlockTest, StartsAtAnyPanel) {
  const size_t m = kernels().mr, nr = kernels().nr, n = 4 * nr + 1;
  GemmProblem problem(kernels(), m, n, kKc + 1, 1);
  for (size_t n0 = 0; n0 < n; n0 += nr) {
    ASSERT_TRUE(problem.Run(m, n0, kKc + 1, true, Flush::kRight)) << "columns from " << n0 << " of " << n;
  }
}

INSTANTIATE_TEST_SUITE_P(Targets, GemmBlockTest, testing::ValuesIn(SupportedTargets()), TargetAsName());

}  // namespace
}  // namespace fusedffn

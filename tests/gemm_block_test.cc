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
#include "tests/widen.h"

namespace fusedffn {
namespace {

enum class Kind { kF32, kBF16, kBF16WidenedOnce, kBF16Dot, kInt8 };

Precision PrecisionOf(Kind kind) {
  if (kind == Kind::kF32) return Precision::kF32;
  if (kind == Kind::kInt8) return Precision::kInt8;
  return kind == Kind::kBF16Dot ? Precision::kBF16Dot : Precision::kBF16;
}

// One layer with data for up to `max_m` rows, and what it should give. Weights are exact in the kind's type;
// for kBF16Dot and kInt8 all data are small integers, so that every order of adding gives the same sum.
class GemmProblem {
 public:
  GemmProblem(const Kernels& kernels, Kind kind, size_t max_m, size_t n, size_t k, uint64_t seed)
      : kernels_(kernels),
        kind_(kind),
        operands_(OperandsOf(PrecisionOf(kind), kernels)),
        layout_{n, k, kernels.nr, kernels.lanes, operands_.b_bytes, operands_.group},
        packed_(layout_.bytes(), Flush::kRight),
        scale_(layout_.scales(), Flush::kRight),
        sum_(layout_.scales(), Flush::kRight),
        bias_(layout_.padded_n(), Flush::kRight) {
    Random random(seed);
    a_ = Values(max_m * k, false, &random);
    std::vector<float> weight = Values(n * k, kind != Kind::kF32, &random);
    for (size_t i = 0; kind == Kind::kInt8 && i < n * k; ++i) {
      if (i % k % kInt8Group == 0) weight[i] = 127;  // so that the scale is 1
    }
    const std::vector<float> bias = Values(n, false, &random);
    const PackedWeight packed = {packed_.data(), scale_.data(), sum_.data()};
    ZeroPadding(layout_, packed);
    std::fill_n(bias_.data(), bias_.size(), 0.0f);
    std::copy(bias.begin(), bias.end(), bias_.data());
    PackRows(layout_, 0, n, weight.data(), DType::kF32, k, packed);

    Linear linear;
    linear.weight = weight.data();
    linear.bias = bias.data();
    for (size_t m = 0; m < max_m; ++m) {
      const std::vector<float> row = ChainLinear(kernels.fma, linear, n, k, &a_[m * k]);
      identity_.insert(identity_.end(), row.begin(), row.end());
    }
    quick_gelu_.resize(identity_.size());
    kernels.activations[0].map(identity_.data(), identity_.size(), quick_gelu_.data());
    gate_ = random.SymmetricVector(identity_.size(), 2.0f);
  }

  // Columns [n0, n) of the first m rows; in calls of at most `steps` of k each.
  testing::AssertionResult Run(size_t m, size_t n0, size_t steps, bool activation, Flush flush,
                               bool gated = false) {
    const size_t n = layout_.n, k = layout_.k;
    const size_t ldc = layout_.padded_n() - n0 + 2 * layout_.lanes;
    GuardedBuffer<float> c((m - 1) * ldc + layout_.padded_n() - n0, flush);
    GuardedBuffer<float> wide(kKc * kernels_.nr, flush), gate(c.size(), flush);
    std::vector<float> want = activation ? quick_gelu_ : identity_;
    for (size_t i = 0; gated && i < m * n; ++i) {
      if (i % n < n0) continue;
      gate[i / n * ldc + i % n - n0] = gate_[i];
      want[i] *= gate_[i];
    }
    const size_t step = operands_.step(), all_steps = (k + step - 1) / step;
    for (size_t k0 = 0; k0 < all_steps; k0 += steps) {
      GemmBlock block = {};
      block.m = m;
      block.n = n - n0;
      block.k = std::min(steps, all_steps - k0);
      GuardedBuffer<float> a(ChunkedFloatsOf(m, block.k), flush);
      FillChunks(m, k0, block.k, a.data());
      block.a = a.data();
      block.a_steps = ChunkSteps();
      block.a_chunk = m * kAStride;
      if (kind_ == Kind::kInt8) {
        const size_t first = k0 * step / kInt8Group * layout_.padded_n() + n0;
        block.b_scale = scale_.data() + first;
        block.b_sum = sum_.data() + first;
        block.b_group = layout_.padded_n();
      }
      block.b = packed_.data() + layout_.offset(n0, 0);
      block.b_k = layout_.padded_k() / step;
      block.b_k0 = k0;
      if (kind_ == Kind::kBF16WidenedOnce) block.wide = wide.data();
      block.bias = k0 == 0 ? bias_.data() + n0 : nullptr;
      block.c = c.data();
      block.ldc = ldc;
      if (activation && k0 + block.k == all_steps) block.activate = kernels_.activations[0].tile;
      if (gated && k0 + block.k == all_steps) block.gate = gate.data(), block.ld_gate = ldc;
      kernels_.gemm[static_cast<size_t>(PrecisionOf(kind_))](block);
    }
    for (size_t row = 0; row + 1 < m; ++row) {
      for (size_t col = layout_.padded_n() - n0; col < ldc; ++col) {
        if (BitsOf(c[row * ldc + col]) != kPoisonBits) {
          return testing::AssertionFailure() << "wrote beyond row " << row << " at column " << col;
        }
      }
    }
    return SameBits(c.data(), ldc, want.data() + n0, n, m, n - n0);
  }

 private:
  std::vector<float> Values(size_t count, bool bf16, Random* random) const {
    return random->Fill(count, [=](Random& r) {
      if (kind_ >= Kind::kBF16Dot) return static_cast<float>(r.Integer(-4, 4));
      return bf16 ? RoundToBf16(r.Symmetric()) : r.Symmetric();
    });
  }

  // Steps [k0, k0 + steps) of the first m rows of A, in chunks.
  void FillChunks(size_t m, size_t k0, size_t steps, float* chunks) const {
    for (size_t row = 0; row < m; ++row) {
      for (size_t i = 0; i < steps; ++i) {
        float* const chunk = chunks + (i / ChunkSteps() * m + row) * kAStride;
        chunk[i % ChunkSteps()] = Step(row, (k0 + i) * operands_.step());
        if (kind_ == Kind::kInt8) *reinterpret_cast<RowQuant*>(chunk + kKc) = {1, kZero};
      }
    }
  }

  // Of one row, from element k on, as its bits lie there.
  float Step(size_t row, size_t k) const {
    const auto element = [&](size_t i) { return k + i < layout_.k ? a_[row * layout_.k + k + i] : 0.0f; };
    if (operands_.step() == 1) return element(0);
    if (kind_ == Kind::kBF16Dot)
      return FloatOf(BitsOf(element(0)) >> 16 | (BitsOf(element(1)) & 0xFFFF0000u));
    uint32_t bits = 0;
    for (size_t i = 0; i < operands_.step(); ++i) {
      const auto q = static_cast<uint32_t>(static_cast<int32_t>(element(i)) + kZero);
      bits |= q << (i * 32 / operands_.step());
    }
    return FloatOf(bits);
  }

  // int8: a group. Else of any length up to kKc, and here of kKc itself.
  size_t ChunkSteps() const { return kind_ == Kind::kInt8 ? kInt8Group / operands_.step() : kKc; }

  // Up to the last step of the last row, or to its scale and zero.
  size_t ChunkedFloatsOf(size_t m, size_t k) const {
    const size_t chunks = (k - 1) / ChunkSteps(), last_row = (chunks * m + m - 1) * kAStride;
    return last_row + (kind_ == Kind::kInt8 ? kKc + 2 : k - chunks * ChunkSteps());
  }

  static constexpr int32_t kZero = 100;

  const Kernels& kernels_;
  Kind kind_;
  Operands operands_;
  PackedLayout layout_;
  GuardedBuffer<unsigned char> packed_;
  GuardedBuffer<float> scale_;
  GuardedBuffer<int32_t> sum_;
  GuardedBuffer<float> bias_;
  std::vector<float> a_, identity_, quick_gelu_, gate_;
};

class GemmBlockTest : public TargetTest {
 protected:
  const Kernels& kernels() const { return KernelsNamed(GetParam()); }
  size_t mr(Kind kind) const { return kernels().mr[static_cast<size_t>(PrecisionOf(kind))]; }

  std::vector<Kind> Kinds() const {
    std::vector<Kind> kinds = {Kind::kF32, Kind::kBF16, Kind::kBF16WidenedOnce, Kind::kInt8};
    if (kernels().gemm[static_cast<size_t>(Precision::kBF16Dot)]) kinds.push_back(Kind::kBF16Dot);
    return kinds;
  }

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
  uint64_t seed = 0;
  for (const Kind kind : Kinds()) {
    const size_t max_m = 2 * mr(kind) + 1;
    for (const size_t n : ColumnCounts()) {
      for (const size_t k : kDepths) {
        GemmProblem problem(kernels(), kind, max_m, n, k, ++seed);
        for (size_t m = 1; m <= max_m; ++m) {
          for (const bool activation : {false, true}) {
            const Flush flush = (m + activation) % 2 == 0 ? Flush::kLeft : Flush::kRight;
            ASSERT_TRUE(problem.Run(m, 0, k, activation, flush))
                << "kind " << static_cast<int>(kind) << ", m " << m << ", n " << n << ", k " << k
                << ", activation " << activation << ", seed " << seed;
          }
        }
      }
    }
  }
}

// From four row tiles on, on AVX-512 from nine, a panel may be widened before it is multiplied.
TEST_P(GemmBlockTest, ManyRows) {
  for (const Kind kind : Kinds()) {
    const size_t m = 9 * mr(kind) + 1;
    for (const size_t k : {1u, 2u, 35u, 1200u}) {
      GemmProblem problem(kernels(), kind, m, 2 * kernels().nr + 1, k, k);
      ASSERT_TRUE(problem.Run(m, 0, k, true, Flush::kRight))
          << "kind " << static_cast<int>(kind) << ", k " << k;
    }
  }
}

TEST_P(GemmBlockTest, EverySplitOfKIntoCalls) {
  const size_t n = kernels().nr + kernels().lanes + 1, k = 97;
  for (const Kind kind : Kinds()) {
    const size_t m = mr(kind) + 1;
    GemmProblem problem(kernels(), kind, m, n, k, 1);
    if (kind == Kind::kInt8) continue;                // only at a group, see below
    for (size_t steps = 2; steps <= k; steps += 2) {  // bf16 starts at an even k
      ASSERT_TRUE(problem.Run(m, 0, steps, true, Flush::kRight))
          << "kind " << static_cast<int>(kind) << ", calls of " << steps << " of k " << k;
    }
  }
}

TEST_P(GemmBlockTest, GateComesLast) {
  for (const Kind kind : Kinds()) {
    const size_t m = 2 * mr(kind) + 1;
    for (const size_t n : ColumnCounts()) {
      for (const size_t k : {1u, 31u, 1200u}) {
        GemmProblem problem(kernels(), kind, m, n, k, n);
        for (const bool activation : {false, true}) {
          ASSERT_TRUE(problem.Run(m, 0, k, activation, Flush::kRight, true))
              << "kind " << static_cast<int>(kind) << ", n " << n << ", k " << k << ", activation "
              << activation;
        }
      }
    }
  }
}

TEST_P(GemmBlockTest, Int8GoesOnFromGroupToGroup) {
  const size_t m = mr(Kind::kInt8) + 1, k = 2 * kInt8Group + 97;
  GemmProblem problem(kernels(), Kind::kInt8, m, 2 * kernels().nr + 1, k, 1);
  for (const size_t groups : {1u, 2u}) {
    ASSERT_TRUE(problem.Run(m, 0, groups * kInt8Group / kernels().int8_step, true, Flush::kRight)) << groups;
  }
}

TEST_P(GemmBlockTest, StartsAtAnyPanel) {
  const size_t nr = kernels().nr, n = 4 * nr + 1;
  for (const Kind kind : Kinds()) {
    const size_t m = mr(kind);
    GemmProblem problem(kernels(), kind, m, n, kKc + 1, 1);
    for (size_t n0 = 0; n0 < n; n0 += nr) {
      ASSERT_TRUE(problem.Run(m, n0, kKc + 2, true, Flush::kRight))
          << "kind " << static_cast<int>(kind) << ", columns from " << n0 << " of " << n;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Targets, GemmBlockTest, testing::ValuesIn(SupportedTargets()), TargetAsName());

}  // namespace
}  // namespace fusedffn

// The kernels alone, against the scalar chain, bit for bit: no tile shape, row position, panel width or
// split of k may show. Every operand lies against a guard page.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <set>
#include <vector>

#include "kernels/gemm.h"
#include "kernels/kernels.h"
#include "kernels/pack_b.h"
#include "tests/chain.h"
#include "tests/compare.h"
#include "tests/guarded_buffer.h"
#include "tests/random.h"
#include "tests/targets.h"
#include "tests/widen.h"

namespace fusedffn {
namespace {

enum class Kind { kF32, kBF16, kBF16WidenedOnce, kBF16Dot, kInt8, kSmallInt8 };

bool IsInt8(Kind kind) { return kind >= Kind::kInt8; }

Precision PrecisionOf(Kind kind) {
  if (kind == Kind::kF32) return Precision::kF32;
  if (IsInt8(kind)) return Precision::kInt8;
  return kind == Kind::kBF16Dot ? Precision::kBF16Dot : Precision::kBF16;
}

size_t GroupOf(Kind kind) { return kind == Kind::kSmallInt8 ? kSmallInt8GroupSize : kInt8GroupSize; }

// The one of `kind`, whether or not it is preferred on this CPU.
const GemmKernel& KernelOf(const Kernels& kernels, Kind kind) {
  if (IsInt8(kind)) return *kernels.Gemm(Precision::kInt8, GroupOf(kind));
  for (const GemmKernel* gemm : kernels.gemm) {
    if (gemm == nullptr) break;
    const bool once = gemm->precision == Precision::kBF16 && gemm->scratch_fixed != 0;
    if (gemm->precision == PrecisionOf(kind) && once == (kind == Kind::kBF16WidenedOnce)) return *gemm;
  }
  ADD_FAILURE() << kernels.name << " has no kernel of kind " << static_cast<int>(kind);
  return *kernels.gemm[0];
}

// One layer with data for up to `max_m` rows, and what it should give. Weights are exact in the kind's type;
// for kBF16Dot and kInt8 all data are small integers, so that every order of adding gives the same sum.
class GemmProblem {
 public:
  GemmProblem(const Kernels& kernels, Kind kind, size_t max_m, size_t n, size_t k, uint64_t seed)
      : kernels_(kernels),
        kind_(kind),
        gemm_(KernelOf(kernels, kind)),
        layout_{gemm_.b, n, k},
        packed_(layout_.bytes(), Flush::kRight),
        scale_(layout_.scales(), Flush::kRight),
        sum_(layout_.scales(), Flush::kRight),
        bias_(layout_.padded_n(), Flush::kRight),
        b_{layout_, packed_.data(), bias_.data(), scale_.data(), sum_.data()} {
    Random random(seed);
    a_ = Values(max_m * k, false, &random);
    std::vector<float> weight = Values(n * k, kind != Kind::kF32, &random);
    for (size_t i = 0; IsInt8(kind) && i < n * k; ++i) {
      if (i % k % GroupOf(kind) == 0) weight[i] = 127;  // so that the scale is 1
    }
    const std::vector<float> bias = Values(n, false, &random);
    ZeroPadding(b_);
    std::fill_n(bias_.data(), bias_.size(), 0.0f);
    std::copy(bias.begin(), bias.end(), bias_.data());
    gemm_.pack_b({weight.data(), k, DType::kF32}, {0, n}, b_);

    Linear linear;
    linear.weight = weight.data();
    linear.bias = bias.data();
    for (size_t m = 0; m < max_m; ++m) {
      const std::vector<float> row = ChainLinear(kernels.fma, linear, n, k, &a_[m * k]);
      identity_.insert(identity_.end(), row.begin(), row.end());
    }
    quick_gelu_.resize(identity_.size());
    kernels.ops.activations[0].map(identity_.data(), identity_.size(), quick_gelu_.data());
    gate_ = random.SymmetricVector(identity_.size(), 2.0f);
  }

  // Columns [n0, n) of the first m rows; in calls of at most `calls` elements of k each.
  testing::AssertionResult Run(size_t m, size_t n0, size_t calls, bool activation, Flush flush,
                               bool gated = false) {
    const size_t n = layout_.n, k = layout_.k;
    const size_t ldc = layout_.padded_n() - n0 + 2 * gemm_.b.n_align;
    GuardedBuffer<float> c((m - 1) * ldc + layout_.padded_n() - n0, flush);
    GuardedBuffer<unsigned char> scratch(gemm_.scratch_bytes(m), flush);
    GuardedBuffer<float> gate(c.size(), flush);
    std::vector<float> want = activation ? quick_gelu_ : identity_;
    for (size_t i = 0; gated && i < m * n; ++i) {
      if (i % n < n0) continue;
      gate[i / n * ldc + i % n - n0] = gate_[i];
      want[i] *= gate_[i];
    }
    if (gemm_.enter != nullptr) gemm_.enter();
    for (size_t k0 = 0; k0 < k; k0 += calls) {
      GemmBlock block = {};
      block.m = m;
      block.n = n - n0;
      block.k = std::min(calls, k - k0);
      GuardedBuffer<unsigned char> a(PackedBytesOf(m, block.k), flush);
      FillChunks(m, k0, block.k, a.data());
      block.a = a.data();
      block.a_chunk = gemm_.a.kc;
      block.a_chunk_bytes = m * gemm_.a.row_bytes;
      block.b = &b_;
      block.n0 = n0;
      block.k0 = k0;
      if (gemm_.scratch_bytes(m) != 0) block.scratch = scratch.data();
      block.c = c.data();
      block.ldc = ldc;
      if (activation && k0 + block.k == k) block.activate = kernels_.ops.activations[0].tile;
      if (gated && k0 + block.k == k) block.gate = gate.data(), block.ld_gate = ldc;
      gemm_.run(block);
    }
    if (gemm_.leave != nullptr) gemm_.leave();
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

  // Elements [k0, k0 + count) of the first m rows of A, in chunks of a.kc.
  void FillChunks(size_t m, size_t k0, size_t count, unsigned char* chunks) const {
    const size_t step = Step();
    for (size_t row = 0; row < m; ++row) {
      for (size_t i = 0; i < count; i += step) {
        const float bits = StepBits(row, k0 + i);
        std::memcpy(chunks + gemm_.a.offset(row, i, m, gemm_.a.kc), &bits, sizeof(bits));
        if (!IsInt8(kind_) || i % GroupOf(kind_) != 0) continue;
        const struct {
          float scale;
          int32_t zero;
        } quant = {1, ZeroAt(k0 + i)};
        const size_t chunk = i / gemm_.a.kc * gemm_.a.kc, group = (i - chunk) / GroupOf(kind_);
        std::memcpy(chunks + gemm_.a.offset(row, chunk, m, gemm_.a.kc) + QuantBytes(group), &quant,
                    sizeof(quant));
      }
    }
  }

  // int8: another one in each group.
  int32_t ZeroAt(size_t k) const { return 100 + static_cast<int32_t>(k / GroupOf(kind_) % 20); }

  // int8: from a row's first element in a chunk to a group's scale and zero.
  size_t QuantBytes(size_t group) const { return gemm_.a.kc * gemm_.a.element_bytes + group * 8; }

  // Elements of k in 4 bytes of A.
  size_t Step() const { return 4 / gemm_.a.element_bytes; }

  // Of one row, from element k on, as its bits lie there.
  float StepBits(size_t row, size_t k) const {
    const auto element = [&](size_t i) { return k + i < layout_.k ? a_[row * layout_.k + k + i] : 0.0f; };
    if (Step() == 1) return element(0);
    if (kind_ == Kind::kBF16Dot)
      return FloatOf(BitsOf(element(0)) >> 16 | (BitsOf(element(1)) & 0xFFFF0000u));
    uint32_t bits = 0;
    for (size_t i = 0; i < Step(); ++i) {
      const auto q = static_cast<uint32_t>(static_cast<int32_t>(element(i)) + ZeroAt(k));
      bits |= q << (i * 32 / Step());
    }
    return FloatOf(bits);
  }

  // Up to the last step of the last row, or to its last scale and zero.
  size_t PackedBytesOf(size_t m, size_t k) const {
    const size_t last = k - 1,
                 last_row = gemm_.a.offset(m - 1, last / gemm_.a.kc * gemm_.a.kc, m, gemm_.a.kc);
    if (IsInt8(kind_)) return last_row + QuantBytes(last % gemm_.a.kc / GroupOf(kind_)) + 8;
    return last_row + RoundUp((last % gemm_.a.kc + 1) * gemm_.a.element_bytes, 4);
  }

  const Kernels& kernels_;
  Kind kind_;
  const GemmKernel& gemm_;
  PanelLayout layout_;
  GuardedBuffer<unsigned char> packed_;
  GuardedBuffer<float> scale_;
  GuardedBuffer<int32_t> sum_;
  GuardedBuffer<float> bias_;
  PackedB b_;
  std::vector<float> a_, identity_, quick_gelu_, gate_;
};

class GemmBlockTest : public TargetTest {
 protected:
  const Kernels& kernels() const { return KernelsNamed(GetParam()); }
  const GemmKernel& gemm(Kind kind) const { return *kernels().Gemm(PrecisionOf(kind), GroupOf(kind)); }
  size_t mr(Kind kind) const { return gemm(kind).mr; }
  size_t nr() const { return gemm(Kind::kF32).b.nr; }
  size_t lanes() const { return gemm(Kind::kF32).b.n_align; }
  size_t kc() const { return gemm(Kind::kF32).a.kc; }

  std::vector<Kind> Kinds() const {
    std::vector<Kind> kinds = {Kind::kF32, Kind::kBF16, Kind::kBF16WidenedOnce, Kind::kInt8,
                               Kind::kSmallInt8};
    if (kernels().Gemm(Precision::kBF16Dot) != nullptr) kinds.push_back(Kind::kBF16Dot);
    return kinds;
  }

  // Around a vector, a panel, and several of them.
  std::set<size_t> ColumnCounts() const {
    const size_t l = lanes(), n = nr();
    return {1, l > 1 ? l - 1 : 1, l, l + 1, n - 1, n, n + 1, n + l, 2 * n - 1, 3 * n + 1};
  }

  // Around the unrolled steps and the chunks of k.
  std::vector<size_t> Depths() const {
    return {1, 2, 3, 4, 5, 7, 8, 9, 31, kc() - 1, kc(), kc() + 1, kc() + 6, 2 * kc() + 3};
  }
};

TEST_P(GemmBlockTest, EveryHeightWidthAndDepth) {
  uint64_t seed = 0;
  for (const Kind kind : Kinds()) {
    const size_t max_m = 2 * mr(kind) + 1;
    for (const size_t n : ColumnCounts()) {
      for (const size_t k : Depths()) {
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
      GemmProblem problem(kernels(), kind, m, 2 * nr() + 1, k, k);
      ASSERT_TRUE(problem.Run(m, 0, k, true, Flush::kRight))
          << "kind " << static_cast<int>(kind) << ", k " << k;
    }
  }
}

TEST_P(GemmBlockTest, EverySplitOfKIntoCalls) {
  const size_t n = nr() + lanes() + 1, k = 97;
  for (const Kind kind : Kinds()) {
    const size_t m = mr(kind) + 1;
    GemmProblem problem(kernels(), kind, m, n, k, 1);
    if (IsInt8(kind)) continue;                       // only at a group, see below
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
  for (const Kind kind : {Kind::kInt8, Kind::kSmallInt8}) {
    const size_t m = mr(kind) + 1, k = 2 * kInt8GroupSize + 97;
    GemmProblem problem(kernels(), kind, m, 2 * nr() + 1, k, 1);
    for (const size_t groups : {1u, 2u}) {
      ASSERT_TRUE(problem.Run(m, 0, groups * GroupOf(kind), true, Flush::kRight)) << groups;
    }
  }
}

TEST_P(GemmBlockTest, StartsAtAnyPanel) {
  const size_t n = 4 * nr() + 1;
  for (const Kind kind : Kinds()) {
    const size_t m = mr(kind);
    GemmProblem problem(kernels(), kind, m, n, kc() + 1, 1);
    for (size_t n0 = 0; n0 < n; n0 += nr()) {
      ASSERT_TRUE(problem.Run(m, n0, kc() + 2, true, Flush::kRight))
          << "kind " << static_cast<int>(kind) << ", columns from " << n0 << " of " << n;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Targets, GemmBlockTest, testing::ValuesIn(SupportedTargets()), TargetAsName());

}  // namespace
}  // namespace fusedffn

// LayerNorm and RMSNorm of single rows by the kernels, and the sum of a row and a residual: against scalar
// models bit for bit, and against double precision; rows that are unusual.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "fusedffn/fusedffn.h"
#include "kernels/kernels.h"
#include "tests/chain.h"
#include "tests/compare.h"
#include "tests/effort.h"
#include "tests/element_types.h"
#include "tests/error_bounds.h"
#include "tests/guarded_buffer.h"
#include "tests/random.h"
#include "tests/targets.h"

namespace fusedffn {
namespace {

std::vector<size_t> Sizes() {
  std::vector<size_t> sizes = {63, 64, 65, 127, 528, 1023, 1024, 1025, 1152};
  for (size_t size = 1; size <= 50; ++size) sizes.push_back(size);
  return sizes;
}

class NormTest : public TargetTest {
 protected:
  const Kernels& kernels() const { return KernelsNamed(GetParam()); }

  // A row of fp32, in pieces of at most `piece`.
  std::vector<float> Normalized(const Norm& norm, const std::vector<float>& x, size_t piece = 1000) const {
    return NormalizedAs(DType::kF32, norm, x.data(), x.size(), piece);
  }

  std::vector<float> NormalizedAs(DType dtype, const Norm& norm, const void* x, size_t size,
                                  size_t piece) const {
    const NormFns& fns = kernels().ops.norm[static_cast<size_t>(dtype)];
    const RowStats stats = fns.stats[static_cast<size_t>(norm.kind)](x, size, norm.eps);
    GuardedBuffer<float> y(size, Flush::kRight);
    for (size_t k = 0; k < size; k += piece) {
      const auto at = [&](const void* data, DType type) -> const void* {
        return data == nullptr ? nullptr : static_cast<const unsigned char*>(data) + k * ElementBytes(type);
      };
      fns.normalize[static_cast<size_t>(norm.dtype)](at(x, dtype), std::min(piece, size - k), stats,
                                                     at(norm.weight, norm.dtype), norm.weight_offset,
                                                     at(norm.bias, norm.dtype), y.data() + k);
    }
    EXPECT_TRUE(y.GapIsUntouched());
    return std::vector<float>(y.data(), y.data() + size);
  }
};

// What a norm may have.
struct Parts {
  bool weight, bias;
  double offset;
};
constexpr Parts kParts[] = {{false, false, 0}, {true, false, 0}, {false, true, 0},  {true, true, 0},
                            {true, false, 1},  {true, true, 1},  {true, true, -0.3}};

TEST_P(NormTest, GivesTheBitsOfTheModelAndStaysInside) {
  Random random(1);
  for (const size_t size : Sizes()) {
    const std::vector<float> weight = SevenBits(size, &random), bias = SevenBits(size, &random);
    const std::vector<float> x = SevenBits(size, &random);
    for (const DType norm_dtype : kDTypes) {
      GuardedBuffer<unsigned char> stored_weight(Stored(kernels(), weight, norm_dtype), Flush::kRight);
      GuardedBuffer<unsigned char> stored_bias(Stored(kernels(), bias, norm_dtype), Flush::kRight);
      for (const NormKind kind : kNormKinds) {
        for (const auto& [has_weight, has_bias, offset] : kParts) {
          const Norm norm = {kind,
                             has_weight ? stored_weight.data() : nullptr,
                             has_bias ? stored_bias.data() : nullptr,
                             norm_dtype,
                             1e-5,
                             offset};
          const Norm wide = {kind,
                             has_weight ? weight.data() : nullptr,
                             has_bias ? bias.data() : nullptr,
                             DType::kF32,
                             1e-5,
                             offset};
          const std::vector<float> want = ChainNorm(kernels().fma, wide, x.data(), size);
          for (const DType dtype : kDTypes) {
            GuardedBuffer<unsigned char> stored(Stored(kernels(), x, dtype), Flush::kRight);
            for (const size_t piece : {size, size_t{7}}) {
              const std::vector<float> got = NormalizedAs(dtype, norm, stored.data(), size, piece);
              ASSERT_TRUE(SameBits(got.data(), size, want.data(), size, 1, size))
                  << NameOf(kind) << " of " << size << " elements of type " << static_cast<int>(dtype)
                  << ", weight of type " << static_cast<int>(norm_dtype) << ", offset " << offset
                  << ", in pieces of " << piece;
            }
          }
        }
      }
    }
  }
}

struct Rows {
  const char* name;
  float (*value)(Random& random);
};

constexpr Rows kRows[] = {
    {"near 1", [](Random& r) { return 2 * r.Symmetric(); }},
    {"far from zero", [](Random& r) { return 1e6f + r.Symmetric(); }},
    {"all powers of two", [](Random& r) { return r.WideRange(60); }},
    {"tiny", [](Random& r) { return 0x1p-140f * r.Symmetric(); }},
    {"huge", [](Random& r) { return std::numeric_limits<float>::max() * r.Symmetric(); }},
    {"positive", [](Random& r) { return std::fabs(r.Symmetric()); }},
};

TEST_P(NormTest, IsWithinItsBoundOfDoublePrecision) {
  for (const Rows& rows : kRows) {
    for (uint64_t seed = 1; seed <= FullOrLight<uint64_t>(200, 20); ++seed) {
      Random random(seed);
      const size_t size = static_cast<size_t>(random.Integer(2, 2000));
      const std::vector<float> weight = random.SymmetricVector(size, 2),
                               bias = random.SymmetricVector(size, 1);
      const std::vector<float> x = random.Fill(size, rows.value);
      for (const NormKind kind : kNormKinds) {
        const Norm norm = {kind,
                           weight.data(),
                           bias.data(),
                           DType::kF32,
                           seed % 2 == 0 ? 1e-5 : 0.0,
                           seed % 3 == 0 ? 1.0 : 0.0};
        const std::vector<ValueAndError> want = NormBound(norm, x.data(), size);
        const std::vector<float> got = Normalized(norm, x);
        for (size_t k = 0; k < size; ++k) {
          ASSERT_LE(std::fabs(got[k] - want[k].value), want[k].error)
              << NameOf(kind) << ", rows " << rows.name << ", seed " << seed << ", element " << k << " of "
              << size << ": " << got[k] << " instead of " << want[k].value;
        }
      }
    }
  }
}

// Without eps, a power of two times the row changes nothing: no square underflows or overflows.
TEST_P(NormTest, ScaleDoesNotMatter) {
  Random random(1);
  const std::vector<float> x = SevenBits(777, &random);
  for (const NormKind kind : kNormKinds) {
    const Norm norm = {kind, nullptr, nullptr, DType::kF32, 0};
    const std::vector<float> want = Normalized(norm, x);
    for (const float scale : {0x1p-140f, 0x1p-70f, 0x1p70f, 0x1p125f}) {
      std::vector<float> scaled = x;
      for (float& value : scaled) value *= scale;
      const std::vector<float> got = Normalized(norm, scaled);
      EXPECT_TRUE(SameBits(got.data(), 777, want.data(), 777, 1, 777)) << NameOf(kind) << ", scale " << scale;
    }
  }
}

// As many fp32 numbers as a row may have cannot overflow a double.
TEST_P(NormTest, TheLargestNumbersAreNoInfinity) {
  const size_t size = 1000;
  const std::vector<float> x(size, std::numeric_limits<float>::max());
  for (const float y : Normalized({NormKind::kRmsNorm}, x)) ASSERT_EQ(y, 1.0f);
}

TEST_P(NormTest, RowsWithoutSpreadBecomeTheBias) {
  Random random(1);
  const size_t size = 1000;
  const std::vector<float> weight = random.SymmetricVector(size, 2), bias = random.SymmetricVector(size, 1);
  for (const NormKind kind : kNormKinds) {
    for (const float value : {0.0f, -0.0f, 0.1f, -3e38f, 1e-45f, 12345.678f}) {
      if (kind == NormKind::kRmsNorm && value != 0) continue;  // such a row has a size
      const std::vector<float> x(size, value);
      const std::vector<float> y = Normalized({kind, weight.data(), bias.data()}, x);
      EXPECT_TRUE(SameBits(y.data(), size, bias.data(), size, 1, size)) << NameOf(kind) << ", " << value;
      for (const float zero : Normalized({kind, weight.data()}, x)) ASSERT_EQ(BitsOf(zero), 0u);
      for (const float nan : Normalized({kind, weight.data(), bias.data(), DType::kF32, 0}, x))
        ASSERT_TRUE(std::isnan(nan)) << NameOf(kind) << ", " << value;
    }
  }
}

TEST_P(NormTest, ARowThatIsNotFiniteBecomesNaN) {
  Random random(1);
  for (const NormKind kind : kNormKinds) {
    for (const double eps : {0.0, 1e-5}) {
      for (const size_t size : {1u, 9u, 100u}) {
        for (const float bad : {NAN, HUGE_VALF, -HUGE_VALF}) {
          for (size_t at = 0; at < size; ++at) {
            std::vector<float> x = random.SymmetricVector(size, 1);
            x[at] = bad;
            for (const float y : Normalized({kind, nullptr, nullptr, DType::kF32, eps}, x))
              ASSERT_TRUE(std::isnan(y)) << NameOf(kind) << ", " << bad << " at " << at;
          }
        }
      }
    }
  }
}

// Without an offset a weight of -0 stays one: with a bias of -0 the sign of its product shows.
TEST_P(NormTest, NoOffsetLeavesMinusZero) {
  const std::vector<float> x = {3, 3, -3, 3}, zeros(4, -0.0f);
  const uint32_t minus_zero = BitsOf(-0.0f);
  const std::vector<uint32_t> want = {minus_zero, minus_zero, 0, minus_zero};
  for (const double offset : {0.0, -0.0}) {
    const Norm norm = {NormKind::kRmsNorm, zeros.data(), zeros.data(), DType::kF32, 0, offset};
    const std::vector<float> y = Normalized(norm, x);
    for (size_t k = 0; k < 4; ++k) EXPECT_EQ(BitsOf(y[k]), want[k]) << k;
  }
}

TEST_P(NormTest, ResidualsAreAddedInFp32) {
  Random random(1);
  for (const size_t size : Sizes()) {
    const std::vector<float> residual = SevenBits(size, &random), y = random.SymmetricVector(size, 3);
    std::vector<float> want(size);
    std::transform(residual.begin(), residual.end(), y.begin(), want.begin(), std::plus<>());
    for (const DType dtype : kDTypes) {
      GuardedBuffer<unsigned char> stored(Stored(kernels(), residual, dtype), Flush::kRight);
      GuardedBuffer<float> sum(y, Flush::kRight);
      kernels().ops.add[static_cast<size_t>(dtype)](stored.data(), size, sum.data());
      ASSERT_TRUE(SameBits(sum.data(), size, want.data(), size, 1, size)) << size;
      ASSERT_TRUE(sum.GapIsUntouched());
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Targets, NormTest, testing::ValuesIn(SupportedTargets()), TargetAsName());

}  // namespace
}  // namespace fusedffn

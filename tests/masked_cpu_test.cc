// A system that keeps from programs what its CPU has, AVX-512 or a part of NEON: the rest is used, and what
// is hidden is refused, not run into. In a program of its own, since the library asks only once.
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "hwy/detect_targets.h"
#include "kernels/detect.h"
#include "tests/reference.h"
#include "tests/targets.h"
#include "tests/test_block.h"

namespace fusedffn {
namespace {

constexpr int64_t kHidden =
    HWY_ARCH_X86 ? HWY_AVX3 | HWY_AVX3_DL | HWY_AVX3_ZEN4 | HWY_AVX3_SPR : HWY_NEON | HWY_NEON_BF16;

class MaskedCpuTest : public testing::Test {
 protected:
  static void SetUpTestSuite() { HideTargets(kHidden); }
};

TEST_F(MaskedCpuTest, TheRestIsUsed) {
  Random random(1);
  const Shape shape = {33, 70, 19};
  const TestBlock block = RandomBlock(shape, &random);
  const std::vector<float> x = RandomTokens(shape, 9, &random);
  PackedFfn ffn;
  ASSERT_TRUE(Pack(block.weights(), {}, &ffn).ok());
  EXPECT_EQ(ffn.target(), SupportedTargets().front());
  const std::vector<float> y = RunDense(ffn, x.data(), 9);
  const std::vector<double> want = ReferenceFfn(block.weights(), x.data(), shape.dim, 9);
  for (size_t i = 0; i < y.size(); ++i) EXPECT_NEAR(y[i], want[i], 1e-5);
}

TEST_F(MaskedCpuTest, TheHiddenIsRefused) {
  size_t count = 0, hidden = 0;
  const Target* targets = Targets(&count);
  for (size_t i = 0; i < count; ++i) {
    const std::string name = targets[i].name;
    if ((KernelsNamed(name).target & kHidden) == 0) continue;
    ++hidden;
    EXPECT_FALSE(targets[i].supported) << name;
    PackedFfn ffn;
    EXPECT_EQ(PackedFfn::Create({1, 1, 1}, Activation::kQuickGelu, {name.c_str()}, &ffn).code(),
              StatusCode::kUnsupportedTarget)
        << name;
  }
  // For AArch64, older compilers build the baseline alone.
  EXPECT_TRUE(hidden > 0 || !HWY_ARCH_X86);
}

}  // namespace
}  // namespace fusedffn

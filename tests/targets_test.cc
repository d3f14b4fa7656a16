// Which instruction sets are found, beside what the system and the compiler's own library say of this CPU; so
// that suites which run on each of SupportedTargets() have run on those that matter.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#if defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#endif

#include "hwy/targets.h"
#include "kernels/detect.h"
#include "tests/targets.h"

namespace fusedffn {
namespace {

bool IsAmong(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// By this build's configuration.
[[maybe_unused]] bool IsLeftOut(const std::string& name) {
  return ("," + std::string(FUSEDFFN_DISABLED_TARGETS) + ",").find("," + name + ",") != std::string::npos;
}

TEST(TargetsTest, ScalableVectorsAreLeftOut) {
  size_t count = 0;
  const Target* targets = Targets(&count);
  for (size_t i = 0; i < count; ++i) EXPECT_EQ(std::string(targets[i].name).find("SVE"), std::string::npos);
}

// Whether they are compiled or not.
TEST(TargetsTest, AreThoseThatHighwayFinds) {
  constexpr int64_t kX86 =
      HWY_SSE2 | HWY_SSSE3 | HWY_SSE4 | HWY_AVX2 | HWY_AVX3 | HWY_AVX3_DL | HWY_AVX3_ZEN4 | HWY_AVX3_SPR;
  constexpr int64_t kNeon = HWY_NEON_WITHOUT_AES | HWY_NEON | HWY_NEON_BF16;
  constexpr int64_t kOurs = HWY_ARCH_X86 ? kX86 : HWY_ARCH_ARM ? kNeon : HWY_ENABLED_BASELINE;
  EXPECT_EQ(DetectedTargets() & kOurs, hwy::SupportedTargets() & kOurs);
}

void ExpectSound(const GemmKernel& gemm) {
  const auto& [a, b] = std::pair(gemm.a, gemm.b);
  EXPECT_LE(a.kc * a.element_bytes, a.row_bytes) << "a row has no room for a chunk";
  EXPECT_EQ(a.kc % a.k_align, 0u) << "a chunk that is rounded up would be too long";
  EXPECT_EQ(a.k_align % b.nr, 0u) << "a panel of fc1 must end in one chunk";
  EXPECT_EQ(b.nr % b.n_align, 0u) << "a panel is whole vectors";
  if (b.scale_group != 0) {
    EXPECT_TRUE(b.scale_group == kInt8GroupSize || b.scale_group == kSmallInt8GroupSize)
        << "files are written with groups of these sizes";
    EXPECT_EQ(a.kc % b.scale_group, 0u) << "a group must end in one chunk";
    EXPECT_EQ(a.k_align, a.kc) << "scales and zeros lie behind as many elements in every row";
    EXPECT_LE(a.kc * a.element_bytes + a.kc / b.scale_group * 8, a.row_bytes)
        << "a row has no room for its scales and zeros";
    EXPECT_NE(gemm.store_hidden, nullptr) << "what is quantized has to be whole";
  }
  EXPECT_GE(gemm.mr, 1u);
  EXPECT_TRUE(gemm.pack_a != nullptr && gemm.pack_b != nullptr && gemm.run != nullptr);
  EXPECT_EQ(gemm.enter == nullptr, gemm.leave == nullptr);
}

// Those that this CPU does not have among them: they are constants, which any CPU can read.
TEST(TargetsTest, EveryKernelsNumbersFitTogether) {
  const KernelList& all = AllKernels();
  ASSERT_GE(all.count, 1u);
  for (size_t i = 0; i < all.count; ++i) {
    const Kernels& kernels = all.kernels[i];
    for (const Precision precision : {Precision::kF32, Precision::kBF16, Precision::kInt8}) {
      EXPECT_NE(kernels.Gemm(precision), nullptr) << kernels.name << ", " << PrecisionName(precision);
    }
    for (const size_t group : {kInt8GroupSize, kSmallInt8GroupSize}) {
      ASSERT_NE(kernels.Gemm(Precision::kInt8, group), nullptr) << kernels.name << ", " << group;
      EXPECT_EQ(kernels.Gemm(Precision::kInt8, group)->b.scale_group, group) << kernels.name;
    }
    for (const GemmKernel* gemm : kernels.gemm) {
      if (gemm == nullptr) break;
      SCOPED_TRACE(testing::Message() << kernels.name << ", " << PrecisionName(gemm->precision));
      ExpectSound(*gemm);
    }
  }
}

#if defined(__aarch64__) && defined(__linux__)

// Highway's list of what these compilers can do.
#if defined(__clang__)
constexpr bool kCompilesNeon = __clang_major__ >= 17, kCompilesBf16 = kCompilesNeon;
#else
constexpr bool kCompilesNeon = true;
constexpr bool kCompilesBf16 = __GNUC__ > 13 || (__GNUC__ == 13 && __GNUC_MINOR__ >= 2);
#endif

TEST(TargetsTest, EveryKindOfNeonThatThisCpuHas) {
  constexpr unsigned long kAes = 1ul << 3;    // HWCAP_AES
  constexpr unsigned long kBf16 = 1ul << 14;  // HWCAP2_BF16
  const bool aes = (getauxval(AT_HWCAP) & kAes) != 0;
  const bool bf16 = aes && (getauxval(AT_HWCAP2) & kBf16) != 0;
  const std::vector<std::string> supported = SupportedTargets();
  ASSERT_FALSE(supported.empty());
  EXPECT_EQ(supported.front().rfind("NEON", 0), 0u) << supported.front();
  EXPECT_TRUE(IsAmong(supported, "NEON_WITHOUT_AES"));
  EXPECT_EQ(IsAmong(supported, "NEON"), aes && kCompilesNeon);
  EXPECT_EQ(IsAmong(supported, "NEON_BF16"), bf16 && kCompilesBf16);
}

#elif defined(__x86_64__)

// Of the extensions that Highway asks for, those that name the generation. The compiler's library asks the
// system, too, whether it keeps the larger registers: Highway's own answer is not all there is to go by.
TEST(TargetsTest, WhatTheCompilersLibraryFindsToo) {
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
                      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512cd");
  const std::vector<std::string> supported = SupportedTargets();
  const auto expect = [&](const std::string& name, bool on_this_cpu) {
    EXPECT_EQ(IsAmong(supported, name), on_this_cpu && !IsLeftOut(name)) << name;
  };
  expect("SSE2", true);
  expect("AVX2", avx2);
  expect("AVX3", avx512);
}

#endif

}  // namespace
}  // namespace fusedffn

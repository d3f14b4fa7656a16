// What the environment's variables mean, and that what they say is taken.
#include "src/environment.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <string>

#include "src/targets.h"
#include "tests/targets.h"

namespace fusedffn {
namespace {

TEST(EnvironmentTest, NothingSet) {
  for (const char* value : {static_cast<const char*>(nullptr), ""}) {
    const Environment environment = ReadEnvironment(value, value, value);
    EXPECT_EQ(environment.threads, 0);
    EXPECT_EQ(environment.openmp_threads, 0);
    EXPECT_EQ(environment.first_kernels, 0u);
    EXPECT_TRUE(environment.status.ok());
  }
}

TEST(EnvironmentTest, Threads) {
  EXPECT_EQ(ReadEnvironment(nullptr, "1", nullptr).threads, 1);
  EXPECT_EQ(ReadEnvironment(nullptr, "65536", nullptr).threads, 65536);
  EXPECT_EQ(ReadEnvironment(nullptr, " 3 ", nullptr).threads, 3);
  for (const char* wrong :
       {"0", "-1", "+1", "0x2", "65537", "2x", "two", " ", "1.5", "4,2", "99999999999999999999"}) {
    const Environment environment = ReadEnvironment(nullptr, wrong, nullptr);
    EXPECT_EQ(environment.threads, 0);
    EXPECT_EQ(environment.status.message(),
              "FUSEDFFN_THREADS is '" + std::string(wrong) + "', and ignored; it must be 1 to 65536");
  }
}

// It is not ours: what OpenMP would not understand is no error.
TEST(EnvironmentTest, OpenMPThreads) {
  EXPECT_EQ(ReadEnvironment(nullptr, nullptr, "3").openmp_threads, 3);
  EXPECT_EQ(ReadEnvironment(nullptr, nullptr, "4,2").openmp_threads, 4);
  EXPECT_EQ(ReadEnvironment(nullptr, nullptr, " 4 , 2").openmp_threads, 4);
  for (const char* other : {"", "0", "-4", "many", "4x", ",4"}) {
    const Environment environment = ReadEnvironment(nullptr, nullptr, other);
    EXPECT_EQ(environment.openmp_threads, 0) << other;
    EXPECT_TRUE(environment.status.ok());
  }
}

TEST(EnvironmentTest, TargetIsACap) {
  for (size_t i = 0; i < AllKernels().count; ++i) {
    const std::string name = AllKernels().kernels[i].name;
    EXPECT_EQ(ReadEnvironment(name.c_str(), nullptr, nullptr).first_kernels, i);
    const std::string lower = LowerCase(name);
    EXPECT_EQ(ReadEnvironment(lower.c_str(), nullptr, nullptr).first_kernels, i) << "in any case";
  }
  EXPECT_NE(std::strstr(ReadEnvironment("sse4", nullptr, nullptr).status.message(),
                        "'sse4', which is left out, since SSE2 is almost as fast, and is ignored"),
            nullptr);
  const Environment unknown = ReadEnvironment("AVX9", nullptr, nullptr);
  EXPECT_EQ(unknown.first_kernels, 0u);
  EXPECT_EQ(unknown.status.code(), StatusCode::kUnsupportedTarget);
  EXPECT_NE(std::strstr(unknown.status.message(), "FUSEDFFN_TARGET is 'AVX9', which is unknown"), nullptr);
  for (const std::string& name : SupportedTargets()) {
    EXPECT_NE(std::strstr(unknown.status.message(), (" " + name).c_str()), nullptr)
        << unknown.status.message();
  }
}

// In a process of its own, which reads the environment at its first call: the best target that runs at or
// below each one, the smallest number of threads, and what a call says wins.
TEST(EnvironmentTest, IsTakenByCallsThatDoNotSay) {
  if (std::getenv("FUSEDFFN_TARGET") == nullptr)
    GTEST_SKIP() << "ctest runs it with FUSEDFFN_TARGET and _THREADS";
  const Environment& environment = TheEnvironment();
  ASSERT_TRUE(EnvironmentStatus().ok()) << EnvironmentStatus().message();
  size_t best = environment.first_kernels;
  while (!AllKernels().kernels[best].supported()) ++best;
  Random random(1);
  const TestBlock block = RandomBlock({8, 9, 10}, &random);
  PackedFfn ffn;
  ASSERT_TRUE(Pack(block.weights(), {}, &ffn).ok());
  EXPECT_STREQ(ffn.target(), AllKernels().kernels[best].name);
  size_t count = 0;
  const Target* targets = Targets(&count);
  for (size_t i = 0; i < count; ++i) EXPECT_EQ(targets[i].is_default, i == best);
  for (const std::string& name : SupportedTargets()) {  // above the cap as well
    EXPECT_EQ(PackFor(name, block.weights()).target(), name);
  }
  EXPECT_EQ(DefaultThreads(), 1);
  EXPECT_NE(std::strstr(Describe(ffn, 20).text, "threads  1 by default"), nullptr);
  EXPECT_NE(std::strstr(Describe(ffn, 20, {2}).text, "threads  2 as asked"), nullptr);
}

}  // namespace
}  // namespace fusedffn

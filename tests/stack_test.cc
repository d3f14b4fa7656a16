// How much of a thread's stack a call takes at most: by painting one, for every target and precision.
#include <gtest/gtest.h>
#include <pthread.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "tests/targets.h"
#include "tests/test_block.h"

namespace fusedffn {
namespace {

constexpr size_t kStack = size_t{1} << 20;
constexpr unsigned char kPaint = 0xA5;

// Bytes of stack that a new thread has touched when `work` has returned.
size_t StackOf(const std::function<void()>& work) {
  void* const memory = mmap(nullptr, kStack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  EXPECT_NE(memory, MAP_FAILED);
  std::memset(memory, kPaint, kStack);
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  EXPECT_EQ(pthread_attr_setstack(&attributes, memory, kStack), 0);
  const auto run = [](void* argument) -> void* {
    (*static_cast<const std::function<void()>*>(argument))();
    return nullptr;
  };
  pthread_t thread;
  EXPECT_EQ(pthread_create(&thread, &attributes, run, const_cast<std::function<void()>*>(&work)), 0);
  pthread_join(thread, nullptr);
  pthread_attr_destroy(&attributes);
  const auto* const bytes = static_cast<const unsigned char*>(memory);
  const size_t untouched = std::find_if(bytes, bytes + kStack, [](auto b) { return b != kPaint; }) - bytes;
  munmap(memory, kStack);
  return kStack - untouched;
}

class StackTest : public testing::TestWithParam<std::string> {};

// README promises it. Shapes with tails of everything, gated, with a norm and a residual; on one thread and
// on more.
TEST_P(StackTest, AtMostFourteenKilobytes) {
  constexpr size_t kPromised = 14 << 10, kTokens = 70;
  constexpr Shape kShape = {1160, 600, 1160, true};
  const size_t empty = StackOf([] {});
  Random random(1);
  const TestBlock block = RandomBlock(kShape, &random);
  const std::vector<float> x = RandomTokens(kShape, kTokens, &random), weights(kTokens, 0.5f);
  const std::vector<int32_t> ids(kTokens, 0);
  std::vector<float> y(kTokens * kShape.out);
  const Norm norm;
  for (const Precision precision : PrecisionsOn(GetParam())) {
    PackedFfn ffn;
    const auto expect_small = [&](const char* what, const std::function<Status()>& call) {
      Status status;
      const size_t used = StackOf([&] { status = call(); });
      EXPECT_TRUE(status.ok()) << status.message();
      EXPECT_LE(used, empty + kPromised) << what << ", " << PrecisionName(precision);
    };
    expect_small("Pack", [&] { return Pack(block.weights(), OptionsFor(GetParam(), precision), &ffn); });
    for (const size_t tokens : {size_t{1}, size_t{5}, kTokens}) {
      for (const int threads : {1, 2}) {
        RunOptions options = {threads};
        options.norm = &norm;
        options.residual.data = x.data();
        expect_small("Run", [&] {
          return fusedffn::Run(ffn, x.data(), kShape.dim, tokens, y.data(), kShape.out, options);
        });
        expect_small("RunExperts", [&] {
          return RunExperts(&ffn, 1, {ids.data(), weights.data(), 1, {}}, x.data(), kShape.dim, tokens,
                            y.data(), kShape.out, options);
        });
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Targets, StackTest, testing::ValuesIn(SupportedTargets()), TargetAsName());

}  // namespace
}  // namespace fusedffn

// Handles come and go: 10^5 of them leave no memory, no thread and no file behind, and callers of one handle
// get its bits while other threads create, call and destroy others.
#include <gtest/gtest.h>
#include <malloc.h>

#include <atomic>
#include <cstddef>
#include <filesystem>
#include <iterator>
#include <thread>
#include <vector>

#include "fusedffn/fusedffn.h"
#include "tests/effort.h"
#include "tests/random.h"
#include "tests/test_block.h"

namespace fusedffn {
namespace {

// A block and a linear with what they give: to be packed again and again.
struct Model {
  Shape shape;
  size_t tokens;
  Random random{1};
  TestBlock block = RandomBlock(shape, &random);
  TestLinear linear = RandomLinear(shape.dim, shape.out, &random);
  std::vector<float> x = RandomTokens(shape, tokens, &random);
  PackedFfn packed = PackBlock();
  std::vector<float> block_y = RunDense(packed, x.data(), tokens),
                     linear_y = RunDense(PackLinear(), x.data(), tokens);

  PackedFfn PackBlock() const {
    PackedFfn ffn;
    EXPECT_TRUE(Pack(block.weights(), {}, &ffn).ok());
    return ffn;
  }
  PackedLinear PackLinear() const {
    PackedLinear packed_linear;
    EXPECT_TRUE(Pack(linear.weights(), linear.in, linear.out, linear.activation, {}, &packed_linear).ok());
    return packed_linear;
  }

  // Whether a handle that lives here gives its bits.
  bool OneLife(bool of_block) const {
    if (of_block) return RunDense(PackBlock(), x.data(), tokens, {2}) == block_y;
    return RunDense(PackLinear(), x.data(), tokens, {2}) == linear_y;
  }
};

struct Held {
  size_t bytes, threads, files;
};

size_t CountEntries(const char* folder) {
  return static_cast<size_t>(std::distance(std::filesystem::directory_iterator(folder), {}));
}

// What the process has of the C library's allocator, in all its arenas, and of the system.
Held HeldNow() {
  const struct mallinfo2 info = mallinfo2();
  return {info.uordblks + info.hblkhd, CountEntries("/proc/self/task"), CountEntries("/proc/self/fd")};
}

TEST(LifeTest, HandlesLeaveNothingBehind) {
  // The allocator counts as held what a thread keeps for itself: 7 pieces of each of 64 sizes up to 1 KB. One
  // piece of the smallest, 32 bytes, lost by each handle would come to more.
  constexpr size_t kKept = 7 * 64 * (24 + 1032) / 2;
  const int lives = FullOrLight(100000, 10000);
  const Model model = {{9, 33, 7}, 20};
  for (int i = 0; i < 1000; ++i) ASSERT_TRUE(model.OneLife(i % 2 == 0));
  const Held before = HeldNow();
  for (int i = 0; i < lives; ++i) ASSERT_TRUE(model.OneLife(i % 2 == 0)) << "life " << i;
  const Held after = HeldNow();
  EXPECT_LE(after.bytes, before.bytes + kKept);
  EXPECT_EQ(after.threads, before.threads);
  EXPECT_EQ(after.files, before.files);
}

TEST(LifeTest, CallersGetTheirBitsWhileOthersComeAndGo) {
  const int callers = FullOrLight(100, 10), calls = FullOrLight(1000, 100);
  const Model model = {{32, 128, 32}, 64};
  std::atomic<int> wrong{0}, calling{callers};
  std::atomic<long> lives{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < callers; ++i) {
    threads.emplace_back([&, i] {
      for (int call = 0; call < calls; ++call) {
        wrong += RunDense(model.packed, model.x.data(), model.tokens, {1 + (i + call) % 3}) != model.block_y;
      }
      --calling;
    });
  }
  for (int i = 0; i < 2; ++i) {
    threads.emplace_back([&] {
      for (; calling > 0; ++lives) {
        wrong += !model.OneLife(lives % 2 == 0);
        if (lives % 8 == 0) ReleaseScratch();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_GT(lives, 0);
}

}  // namespace
}  // namespace fusedffn

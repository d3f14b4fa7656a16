// Pieces are done once each on any number of threads, and of several errors the first piece's counts.
#include "src/models/pieces.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace fusedffn::io {
namespace {

constexpr int kThreads[] = {1, 2, 3, 100};

TEST(PiecesTest, AreDoneOnceEach) {
  for (const int threads : kThreads) {
    for (const size_t count : {0u, 1u, 2u, 500u}) {
      std::vector<std::atomic<int>> done(count);
      ForEachPiece(threads, count, [&](size_t piece, std::vector<char>*) { ++done[piece]; });
      for (const std::atomic<int>& times : done) EXPECT_EQ(times, 1);
    }
  }
}

TEST(PiecesTest, EachThreadHasABufferOfItsOwn) {
  for (const int threads : kThreads) {
    ForEachPiece(threads, 500, [](size_t piece, std::vector<char>* buffer) {
      buffer->assign(1000, static_cast<char>(piece));
      for (const char byte : *buffer) ASSERT_EQ(byte, static_cast<char>(piece));
    });
  }
}

// All before it are done, and not all behind it. What is thrown goes away with the last that looks at it.
TEST(PiecesTest, TheFirstErrorCounts) {
  struct Failure {
    size_t piece;
    std::shared_ptr<int> alive;
  };
  const auto alive = std::make_shared<int>();
  for (const int threads : kThreads) {
    for (int round = 0; round < 50; ++round) {
      std::vector<std::atomic<int>> done(500);
      size_t failed = 0;
      try {
        ForEachPiece(threads, done.size(), [&](size_t piece, std::vector<char>*) {
          if (piece >= 7 && piece % 2 == 1) throw Failure{piece, alive};
          ++done[piece];
        });
      } catch (const Failure& failure) {
        failed = failure.piece;
      }
      ASSERT_EQ(failed, 7u);
      for (size_t piece = 0; piece < failed; ++piece) ASSERT_EQ(done[piece], 1) << piece;
      ASSERT_EQ(done[498], 0);
      ASSERT_EQ(alive.use_count(), 1);
    }
  }
}

}  // namespace
}  // namespace fusedffn::io

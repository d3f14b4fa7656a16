#include "src/models/pieces.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <future>
#include <mutex>
#include <system_error>

#include "fusedffn/fusedffn.h"

namespace fusedffn {
inline namespace v0_2 {
namespace io {
namespace {

class Pieces {
 public:
  Pieces(size_t count, const PieceWork& work) : end_(count), work_(work) {}

  // What each thread does: one piece after the other, until there are no more.
  void Work() {
    std::vector<char> buffer;
    for (size_t piece = next_++; piece < end_; piece = next_++) {
      try {
        work_(piece, &buffer);
      } catch (...) {
        Fail(piece, std::current_exception());
      }
    }
  }

  void Rethrow() const {
    if (error_) std::rethrow_exception(error_);
  }

 private:
  // Pieces are given away in order, so all before this one are done or being done.
  void Fail(size_t piece, std::exception_ptr error) {
    const std::lock_guard<std::mutex> lock(failing_);
    if (piece >= end_) return;
    end_ = piece;
    error_ = std::move(error);
  }

  std::atomic<size_t> next_{0}, end_;
  const PieceWork& work_;
  std::mutex failing_;
  std::exception_ptr error_;
};

}  // namespace

void ForEachPiece(int threads, size_t count, const PieceWork& work) {
  Pieces pieces(count, work);
  const size_t most = std::min(static_cast<size_t>(std::min(threads, DefaultThreads())), count);
  std::vector<std::future<void>> others;  // which wait for their threads when they are destroyed
  try {
    while (others.size() + 1 < most) {
      others.push_back(std::async(std::launch::async, [&pieces] { pieces.Work(); }));
    }
  } catch (const std::system_error&) {  // the system has no more threads for us: those that there are do it
  }
  pieces.Work();
  for (std::future<void>& other : others) other.get();
  pieces.Rethrow();
}

}  // namespace io
}  // namespace v0_2
}  // namespace fusedffn

#include "tools/fusedffn/progress_bar.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <utility>

#include "tools/fusedffn/units.h"

namespace fusedffn::program {
namespace {

constexpr const char* kEraseLine = "\r\x1b[K";
constexpr double kSecondsBetween = 0.05;

}  // namespace

ProgressBar::ProgressBar(std::string what, uint64_t total_bytes)
    : what_(std::move(what)), total_(total_bytes), visible_(isatty(STDERR_FILENO) == 1) {
  if (visible_) Draw();
}

ProgressBar::~ProgressBar() {
  if (!visible_) return;
  std::fputs(kEraseLine, stderr);
  std::fflush(stderr);
}

void ProgressBar::Add(uint64_t bytes) {
  done_ += bytes;
  if (!visible_ || (seconds() < next_ && done_ < total_)) return;
  Draw();
  next_ = seconds() + kSecondsBetween;
}

double ProgressBar::seconds() const {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
}

void ProgressBar::Draw() const {
  constexpr size_t kWidth = 30;
  const double part = total_ == 0 ? 1 : static_cast<double>(done_) / static_cast<double>(total_);
  const auto full = static_cast<size_t>(std::min(part, 1.0) * kWidth);
  const std::string line = fmt::format("{}{} [{:#<{}}{:-<{}}] {} of {}, {:.1f} s", kEraseLine, what_, "",
                                       full, "", kWidth - full, Bytes(done_), Bytes(total_), seconds());
  std::fputs(line.c_str(), stderr);
  std::fflush(stderr);
}

}  // namespace fusedffn::program

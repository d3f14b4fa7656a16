// How far a long reading is, on stderr, while somebody looks at it.
#ifndef FUSEDFFN_TOOLS_FUSEDFFN_PROGRESS_BAR_H_
#define FUSEDFFN_TOOLS_FUSEDFFN_PROGRESS_BAR_H_

#include <chrono>
#include <cstdint>
#include <string>

namespace fusedffn::program {

// One line that is written again and again, and taken away at the end. Nothing at all where stderr is not a
// terminal.
class ProgressBar {
 public:
  ProgressBar(std::string what, uint64_t total_bytes);
  ~ProgressBar();
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  void Add(uint64_t bytes);

  double seconds() const;  // since the beginning

 private:
  void Draw() const;

  const std::string what_;
  const uint64_t total_;
  const bool visible_;
  const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  uint64_t done_ = 0;
  double next_ = 0;  // seconds, when it is drawn again
};

}  // namespace fusedffn::program

#endif  // FUSEDFFN_TOOLS_FUSEDFFN_PROGRESS_BAR_H_

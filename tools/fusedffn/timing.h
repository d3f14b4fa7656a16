// Times of calls.
#ifndef FUSEDFFN_TOOLS_FUSEDFFN_TIMING_H_
#define FUSEDFFN_TOOLS_FUSEDFFN_TIMING_H_

#include <chrono>
#include <vector>

namespace fusedffn::program {

template <class Call>
double Milliseconds(const Call& call) {
  const auto start = std::chrono::steady_clock::now();
  call();
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
}

struct Spread {
  double min, median, max;
};

// Of one or more.
Spread SpreadOf(std::vector<double> times);

}  // namespace fusedffn::program

#endif  // FUSEDFFN_TOOLS_FUSEDFFN_TIMING_H_

#include "tools/fusedffn/timing.h"

#include <algorithm>

namespace fusedffn::program {

Spread SpreadOf(std::vector<double> times) {
  std::sort(times.begin(), times.end());
  const double median = (times[(times.size() - 1) / 2] + times[times.size() / 2]) / 2;
  return {times.front(), median, times.back()};
}

}  // namespace fusedffn::program

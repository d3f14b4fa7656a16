// Calls when the process ends: from a destructor of a static object that is older than all of the library's,
// and from a thread that main() does not wait for. The program's exit code is the result.
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <thread>

#include "fusedffn/fusedffn.h"

namespace {

struct Caller {
  fusedffn::PackedFfn& ffn = *new fusedffn::PackedFfn;  // for ever, since the other thread uses it

  bool Works() const {
    const float x[40] = {2};
    float y[40] = {};
    const fusedffn::Status status = fusedffn::Run(ffn, x, 1, 40, y, 1, {2});
    return status.ok() && std::fabs(y[0] - 2 / (1 + std::exp(-1.702 * 2))) < 1e-6;
  }

  ~Caller() {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));  // while the other thread calls
    if (Works()) return;
    std::puts("a call from a static object's destructor failed");
    std::_Exit(1);
  }
};

Caller caller;

}  // namespace

int main() {
  const float one = 1;
  fusedffn::Weights weights;
  weights.shape = {1, 1, 1};
  weights.fc1.weight = &one, weights.fc2.weight = &one;
  if (!fusedffn::Pack(weights, {}, &caller.ffn).ok() || !caller.Works()) return 1;
  std::thread([] {
    while (caller.Works()) std::this_thread::yield();
    std::puts("a call from a thread that outlives main() failed");
    std::_Exit(1);
  }).detach();
  std::this_thread::sleep_for(std::chrono::milliseconds(10));
  return 0;
}

// Signals that arrive during calls, on as small an alternate stack as there may be, change nothing: handlers
// run on the caller's thread, since helpers take none, and see a frame that fits.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/time.h>
#include <unistd.h>

#include <csignal>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "tests/effort.h"
#include "tests/random.h"
#include "tests/targets.h"
#include "tests/test_block.h"

namespace fusedffn {
namespace {

std::vector<unsigned char> stack;
pthread_t caller;
volatile std::sig_atomic_t signals, elsewhere;

// `elsewhere`: on another thread or stack.
void Handle(int) {
  const unsigned char local = 0;
  const auto here = reinterpret_cast<uintptr_t>(&local), low = reinterpret_cast<uintptr_t>(stack.data());
  const bool on_stack = here >= low && here < low + stack.size();
  const bool expected = on_stack && pthread_equal(pthread_self(), caller) != 0;
  signals = signals + 1;
  elsewhere = elsewhere + (expected ? 0 : 1);
}

// While it lives, a signal each millisecond, on the alternate stack.
class Signals {
 public:
  Signals() {
    // What the system stores there, by its own account, and this handler's frames.
    stack.resize(static_cast<size_t>(sysconf(_SC_MINSIGSTKSZ)) + 1024);
    caller = pthread_self();
    const stack_t alternate = {stack.data(), 0, stack.size()};
    EXPECT_EQ(sigaltstack(&alternate, &before_), 0);
    struct sigaction action = {};
    action.sa_handler = Handle;
    action.sa_flags = SA_ONSTACK | SA_RESTART;
    EXPECT_EQ(sigaction(SIGALRM, &action, nullptr), 0);
    Every({0, 1000});
  }
  ~Signals() {
    Every({0, 0});
    std::signal(SIGALRM, SIG_IGN);
    sigaltstack(&before_, nullptr);
  }
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;

 private:
  static void Every(timeval time) {
    const itimerval interval = {time, time};
    EXPECT_EQ(setitimer(ITIMER_REAL, &interval, nullptr), 0);
  }
  stack_t before_ = {};
};

class SignalTest : public TargetTest {};

TEST_P(SignalTest, ChangeNothing) {
  Random random(1);
  const Shape shape = {150, 300, 70};
  const TestBlock block = RandomBlock(shape, &random);
  const std::vector<float> x = RandomTokens(shape, 100, &random);
  for (const Precision precision : PrecisionsOn(GetParam())) {
    SCOPED_TRACE(PrecisionName(precision));
    const PackedFfn ffn = PackFor(GetParam(), block.weights(), precision);
    const std::vector<float> want = RunDense(ffn, x.data(), 100);
    signals = elsewhere = 0;
    const Signals here;
    for (int call = 0; signals < FullOrLight(50, 5); ++call) {
      ASSERT_EQ(RunDense(ffn, x.data(), 100, {1 + call % 3}), want);
    }
    EXPECT_EQ(elsewhere, 0);
  }
}

INSTANTIATE_TEST_SUITE_P(Targets, SignalTest, testing::ValuesIn(SupportedTargets()), TargetAsName());

}  // namespace
}  // namespace fusedffn

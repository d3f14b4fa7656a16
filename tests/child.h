// A part of a test in a process of its own, whose memory, limits and threads are thrown away afterwards.
#ifndef FUSEDFFN_TESTS_CHILD_H_
#define FUSEDFFN_TESTS_CHILD_H_

#include <sys/wait.h>
#include <unistd.h>

namespace fusedffn {

// What waitpid() says of a process: its exit code, or minus the signal that ended it.
inline int ExitCodeOf(int status) { return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status); }

// What work() returns, 0 to 255, in a child that a signal ends if it hangs.
template <class Work>
int InChild(const Work& work) {
  const pid_t child = fork();
  if (child == 0) {
    alarm(60);
    _exit(work());
  }
  int status = 0;
  waitpid(child, &status, 0);
  return ExitCodeOf(status);
}

}  // namespace fusedffn

#endif  // FUSEDFFN_TESTS_CHILD_H_

// Compiled once. What this machine can do at most, measured: the lines of a roofline.
#ifndef FUSEDFFN_KERNELS_PROBE_PROBE_H_
#define FUSEDFFN_KERNELS_PROBE_PROBE_H_

#include "fusedffn/fusedffn.h"

namespace fusedffn {

// What the kernels of one precision multiply and add with, in registers, on `threads` threads at once with
// the instruction set `target` (a name in Targets() that is supported): operations/s of all of them together,
// 2 for each product, the best of several rounds that take `seconds` in all. 0 where the target lacks the
// instruction.
double ProbePeak(const char* target, Precision precision, int threads, double seconds = 0.2);

// The same with the loads that a kernel has: of the target's largest tile, whose sums stay in registers while
// A and B come from the L1 cache, on numbers like a run's. Below the peak where a core has a lower clock with
// loads, and where they get in the way. Each thread has up to 100 KB on its stack.
double ProbeTile(const char* target, Precision precision, int threads, double seconds = 0.2);

// Reading memory that no cache holds, on `threads` threads at once: bytes/s of all of them together, the
// best of several rounds that take about `seconds` in all. Allocates `bytes` for that time.
double ProbeReadBandwidth(int threads, double seconds = 0.5, unsigned long bytes = 256ul << 20);

}  // namespace fusedffn

#endif  // FUSEDFFN_KERNELS_PROBE_PROBE_H_

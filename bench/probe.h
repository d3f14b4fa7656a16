// Compiled once. What this machine can do at most, measured: the two lines of a roofline.
#ifndef FUSEDFFN_BENCH_PROBE_H_
#define FUSEDFFN_BENCH_PROBE_H_

namespace fusedffn {

// Fused multiply-adds in registers on `threads` threads at once with the instruction set `target` (a name
// in Targets() that is supported; multiplies and adds where it has no FMA): FLOP/s of all of them
// together, the best of several rounds that take `seconds` in all.
double ProbeFmaPeak(const char* target, int threads, double seconds = 0.2);

// Inputs of a dot product whose sums are 32 bits wide.
enum class DotInput { kBF16, kU8S8 };

// As ProbeFmaPeak(), with the target's dot-product instruction (vdpbf16ps, vpdpbusd, ...): 2 operations for
// each pair of inputs. Where it has none, with what Highway does instead: fused multiply-adds of bf16 that
// was widened before; u8 and s8 through 16-bit products that cannot overflow.
double ProbeDotPeak(const char* target, int threads, DotInput input, double seconds = 0.2);

// Reading memory that no cache holds, on `threads` threads at once: bytes/s of all of them together, the
// best of several rounds that take about `seconds` in all. Allocates `bytes` for that time.
double ProbeReadBandwidth(int threads, double seconds = 0.5, unsigned long bytes = 256ul << 20);

}  // namespace fusedffn

#endif  // FUSEDFFN_BENCH_PROBE_H_

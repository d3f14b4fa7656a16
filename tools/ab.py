#!/usr/bin/env python3
"""Compares two builds of this library: which is faster, and is the difference more than noise?

  tools/ab.py build/before build/after --tokens 257 1028 --threads 1 2
  tools/ab.py build/release build/release --dtype int8-128 --dtype-b int8

Each build's bench/peers/peer_ours runs in a process of its own; the two take turns (A B, B A, A B, ...), the
other one stopped. Every round starts new processes, since where a process's memory happens to lie is worth a
few percent. The ratio is A's time / B's: above 1, B is faster. A verdict is given only when the ranges of the
best times of all rounds are apart.
"""

import argparse
import collections
import statistics
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "bench" / "peers"))
from peer_blocks import BLOCKS
from peer_process import PeerError, PeerProcess
from peer_report import DTYPES


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build_a", type=Path)
    parser.add_argument("build_b", type=Path)
    parser.add_argument("--block", choices=list(BLOCKS), metavar="BLOCK", default="clip_l",
                        help="of " + " ".join(BLOCKS) + "; default: clip_l")
    parser.add_argument("--tokens", type=int, nargs="+", default=[257], help="default: 257")
    parser.add_argument("--threads", type=int, nargs="+", default=[1], help="default: 1")
    dtypes = [*DTYPES, "int8-128"]  # the last: int8 in groups of 128
    parser.add_argument("--dtype", choices=dtypes, default="f32", help="default: f32")
    parser.add_argument("--dtype-b", choices=dtypes, help="of the second build; default: the same")
    parser.add_argument("--isa", nargs="+", default=[""], help="targets, AVX2 for example; default: the best")
    parser.add_argument("--mode", choices=["warm", "cold"], default="warm",
                        help="one layer again and again (default), or more layers in turn than a cache holds")
    parser.add_argument("--rounds", type=int, default=7, help="default: 7")
    parser.add_argument("--seconds", type=float, default=0.4, help="of one turn; default: 0.4")
    return parser.parse_args()


def start(build, dtype, threads, isa, arguments):
    program = build / "bench" / "peers" / "peer_ours"
    if not program.exists():
        sys.exit(f"ab: {program} not found: configure {build} with -DFUSEDFFN_BUILD_BENCH=ON and build it")
    try:
        return PeerProcess([program, *BLOCKS[arguments.block].arguments(), f"--threads={threads}",
                            f"--dtype={dtype}", f"--variant={isa}"])
    except PeerError as error:
        sys.exit(f"ab: {program}: {error}")


def run_round(builds, threads, isa, arguments, swap, times):
    """Adds each build's best ms to times[tokens][side]; returns how the library was configured."""
    dtypes = (arguments.dtype, arguments.dtype_b or arguments.dtype)
    pair = [start(build, dtype, threads, isa, arguments) for build, dtype in zip(builds, dtypes)]
    for tokens in arguments.tokens:
        for side in (1, 0) if swap else (0, 1):
            times[tokens][side].append(pair[side].run(tokens, arguments.mode, arguments.seconds)["best_ms"])
    for process in pair:
        process.close()
    return pair[0].hello["config"]


def verdict(a, b):
    if min(a) > max(b):
        return "B is faster"
    if min(b) > max(a):
        return "A is faster"
    return "no verdict: the ranges overlap"


def show_ms(times):
    return f"{min(times):.3f} ({statistics.median(times):.3f}, {max(times):.3f})"


def compare(threads, isa, arguments):
    times = collections.defaultdict(lambda: ([], []))
    for number in range(arguments.rounds):
        swap = number % 2 == 1
        config = run_round((arguments.build_a, arguments.build_b), threads, isa, arguments, swap, times)
    for tokens, (a, b) in times.items():
        ratios = [x / y for x, y in zip(a, b)]
        print(f"{config}, {threads} threads, {tokens} tokens: A {show_ms(a)}  B {show_ms(b)}  "
              f"ratio {statistics.median(ratios):.3f} ({min(ratios):.3f}..{max(ratios):.3f})  {verdict(a, b)}",
              flush=True)


def main():
    arguments = parse_arguments()
    print(f"A = {arguments.build_a}, B = {arguments.build_b}; {arguments.block}, {arguments.mode}; ms: best (median, worst) of "
          f"{arguments.rounds} rounds; ratio A / B: median (range) of the pairs", flush=True)
    for isa in arguments.isa:
        for threads in arguments.threads:
            compare(threads, isa, arguments)


if __name__ == "__main__":
    main()

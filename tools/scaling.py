#!/usr/bin/env python3
"""How this library's speed grows with the number of threads: a Markdown table.

  tools/scaling.py                                     CLIP-L's block in fp32, 1, 2, 4, ... threads
  tools/scaling.py --dtype int8 --tokens 1 257 --threads 1 8 16

Each cell: best ms of all rounds; how many times as fast that is as on the first of the thread counts; and its
shares of the arithmetic peak, and of what a tile in the L1 cache reaches, that were probed on as many threads.
Both limits fall as cores lower their clock.
"""

import argparse
import statistics
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "bench" / "peers"))
from peer_blocks import BLOCKS
from peer_process import PeerError, PeerProcess
from peer_report import DTYPES, usable_cpus

ROOT = Path(__file__).resolve().parent.parent


def powers_of_two(most):
    return [*(2 ** i for i in range(most.bit_length()) if 2 ** i < most), most]


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--block", choices=list(BLOCKS), metavar="BLOCK", default="clip_l",
                        help="of " + " ".join(BLOCKS) + "; default: clip_l")
    parser.add_argument("--tokens", type=int, nargs="+", default=[1, 16, 64, 257, 1028, 4096],
                        help="default: 1 16 64 257 1028 4096")
    parser.add_argument("--threads", type=int, nargs="+", default=powers_of_two(usable_cpus()),
                        help="default: powers of two, and all CPUs")
    parser.add_argument("--dtype", choices=DTYPES, default="f32", help="default: f32")
    parser.add_argument("--isa", default="", help="target, AVX2 for example; default: the best")
    parser.add_argument("--mode", choices=["warm", "cold"], default="warm",
                        help="one layer again and again (default), or more layers in turn than a cache holds")
    parser.add_argument("--rounds", type=int, default=3, help="default: 3")
    parser.add_argument("--seconds", type=float, default=0.3, help="of one turn; default: 0.3")
    parser.add_argument("--build", type=Path, default=ROOT / "build" / "release", help="default: build/release")
    arguments = parser.parse_args()
    if min(arguments.threads) < 1 or min(arguments.tokens) < 1:
        parser.error("--threads and --tokens: 1 or more are accepted")
    return arguments


def start(name, arguments, threads):
    program = arguments.build / "bench" / "peers" / f"peer_{name}"
    if not program.exists():
        sys.exit(f"scaling: {program} not found: configure {arguments.build} with -DFUSEDFFN_BUILD_BENCH=ON and "
                 f"build it")
    options = [] if name == "limits" else [*BLOCKS[arguments.block].arguments(), f"--threads={threads}",
                                           f"--dtype={arguments.dtype}", f"--variant={arguments.isa}"]
    return PeerProcess([program, *options])


def measure(arguments):
    """{(tokens, threads): [ms of each round]} and {threads: [limits of each round]}."""
    ms = {(tokens, threads): [] for tokens in arguments.tokens for threads in arguments.threads}
    probed = {threads: [] for threads in arguments.threads}
    limits = start("limits", arguments, 0)
    target = arguments.isa.upper() or limits.hello["targets"][0]
    for _ in range(arguments.rounds):
        for threads in arguments.threads:
            ours = start("ours", arguments, threads)
            probed[threads].append(limits.ask(f"probe {target} {threads} {arguments.dtype} 0.1"))
            for tokens in arguments.tokens:
                ms[tokens, threads].append(ours.run(tokens, arguments.mode, arguments.seconds)["best_ms"])
            config = ours.hello["config"]
            ours.close()
    limits.close()
    return ms, probed, config


def median_limit(rounds, name):
    return statistics.median(limits[name] for limits in rounds)


def print_table(arguments, ms, probed):
    threads = arguments.threads
    print("| tokens | " + " | ".join(f"{n} thread{'s' * (n > 1)}" for n in threads) + " |")
    print("| --- |" + " --- |" * len(threads))
    for tokens in arguments.tokens:
        flop = 2 * BLOCKS[arguments.block].weights() * tokens
        first = min(ms[tokens, threads[0]])
        cells = []
        for n in threads:
            best = min(ms[tokens, n])
            shares = [f"{100 * flop / (best / 1e3 * median_limit(probed[n], name)):.0f} %"
                      for name in ("flops", "tile_flops")]
            cells.append(", ".join([f"{best:.4g}", f"{first / best:.2f}x", *shares]))
        print(f"| {tokens} | " + " | ".join(cells) + " |")


def main():
    arguments = parse_arguments()
    try:
        ms, probed, config = measure(arguments)
    except PeerError as error:
        sys.exit(f"scaling: {error}")
    print(f"{arguments.block}, {arguments.dtype}, {config}, {arguments.mode}; best ms of {arguments.rounds} rounds, "
          f"times as fast as on {arguments.threads[0]}, shares of the peak and of its tile\n")
    print_table(arguments, ms, probed)
    peaks = ", ".join(f"{n}: {median_limit(rounds, 'flops') / 1e9:.0f}" for n, rounds in probed.items())
    print(f"\nPeak by threads, G operations/s: {peaks}\n")


if __name__ == "__main__":
    main()

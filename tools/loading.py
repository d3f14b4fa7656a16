#!/usr/bin/env python3
"""How many times as fast a tower loads on several threads as on one: a Markdown table.

  tools/make_clip_l.py --tokens 1 --out build/loading
  tools/loading.py build/loading

Runs `fusedffn tower` on one thread and on --threads by turns (1 N, N 1, 1 N, ...), each run a process of its
own, and takes the seconds that it says loading has taken. The first run reads the file into the page cache and
does not count. The ratio is one thread's time / that of more: median (range) of the pairs, and of the best
times.
"""

import argparse
import re
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="with clip_l.safetensors and x.npy, by tools/make_clip_l.py")
    parser.add_argument("--dtype", nargs="+", default=["f32", "bf16", "int8"], help="default: f32 bf16 int8")
    parser.add_argument("--threads", type=int, default=2, help="default: 2")
    parser.add_argument("--rounds", type=int, default=11, help="default: 11")
    parser.add_argument("--build", type=Path, default=ROOT / "build" / "release", help="default: build/release")
    return parser.parse_args()


def load(arguments, dtype, threads):
    """Seconds that loading takes."""
    command = [arguments.build / "bin" / "fusedffn", "tower", "--weights", arguments.folder / "clip_l.safetensors",
               "--input", arguments.folder / "x.npy", "--dtype", dtype, "--threads", str(threads)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"loading: {done.stderr.strip()}")
    return float(re.search(r"loaded in ([0-9.]+) s", done.stdout)[1])


def measure(arguments, dtype):
    """[seconds of each round] on one thread, and on more."""
    load(arguments, dtype, arguments.threads)
    times = {1: [], arguments.threads: []}
    for number in range(arguments.rounds):
        for threads in list(times)[::-1 if number % 2 else 1]:
            times[threads].append(load(arguments, dtype, threads))
    return times.values()


def main():
    arguments = parse_arguments()
    if arguments.threads < 2:
        sys.exit("loading: --threads: 2 or more are accepted")
    print(f"| dtype | 1 thread: best (median) s | {arguments.threads} threads | ratio of pairs | of the best |")
    print("| --- | --- | --- | --- | --- |")
    for dtype in arguments.dtype:
        one, more = measure(arguments, dtype)
        ratios = [a / b for a, b in zip(one, more)]
        print(f"| {dtype} | {min(one):.3f} ({statistics.median(one):.3f}) | {min(more):.3f} "
              f"({statistics.median(more):.3f}) | {statistics.median(ratios):.2f} ({min(ratios):.2f}.."
              f"{max(ratios):.2f}) | {min(one) / min(more):.2f} |", flush=True)


if __name__ == "__main__":
    main()

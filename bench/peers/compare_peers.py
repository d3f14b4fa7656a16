#!/usr/bin/env python3
"""Measures this library against the ones that a user might call instead, side by side.

  bench/peers/compare_peers.py --quick                      MKL and PyTorch, 257 and 1028 tokens: a few minutes
  bench/peers/compare_peers.py --install                    all peers, everywhere; first installs what is missing
  bench/peers/compare_peers.py --tokens 1 257 --threads 2 --isa AVX2 --peers mkl mkl_packed onednn
  bench/peers/compare_peers.py --dtypes bf16 int8           every peer in that precision, and our own f32
  bench/peers/compare_peers.py --blocks sam ocr2            other blocks than CLIP-L's

The blocks (bench/peers/peer_blocks.py has the token counts that each is measured with):
{blocks}

Every peer runs in a process of its own, checks its result against a double-precision reference, and takes
turns with the others in slices of --seconds; the ones that wait are stopped. Each round starts new processes
and gives one ratio, the peer's best time / ours (above 1: ours is faster); the table has their median and
range. Results are kept in OUT/results.json after every turn of them all: called again, it goes on where it
stopped, and tries again what failed. If they are of another build of this library, or of another machine, it
says so and ends: --out begins in another folder, --fresh forgets them. OUT/results.md has the tables of all
that is in results.json, pictures are beside it.
"""

import argparse
import shlex
import subprocess
import sys
import time
from pathlib import Path

import peer_report
from peer_blocks import BLOCKS
from peer_list import PEERS, Installation
from peer_process import PeerError, PeerProcess
from peer_report import AnotherBuildError, Cell, DTYPES, OURS, Results

ROOT = Path(__file__).resolve().parents[2]


def parse_arguments():
    blocks = "\n".join(f"  {name:16}{block}" for name, block in BLOCKS.items())
    parser = argparse.ArgumentParser(description=__doc__.format(blocks=blocks),
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true",
                        help="tokens 257 and 1028, threads 1 and 2, best target, MKL and PyTorch, 3 rounds")
    parser.add_argument("--blocks", nargs="+", choices=list(BLOCKS), metavar="BLOCK", default=["clip_l"],
                        help="of " + " ".join(BLOCKS) + "; default: clip_l")
    parser.add_argument("--tokens", type=int, nargs="+", help="default: each block's own")
    parser.add_argument("--dtypes", nargs="+", choices=DTYPES, default=["f32"],
                        help="default: f32; bf16-dot: ours with x and the hidden array in bf16, too, beside "
                        "the peers in bf16")
    parser.add_argument("--threads", type=int, nargs="+", help="default: 1, 2 and all")
    parser.add_argument("--isa", nargs="+", help="targets; 'best' is the machine's. Peers are capped to the "
                        "others where they can be. Default: best AVX2")
    parser.add_argument("--mode", nargs="+", choices=["warm", "cold"], default=["warm"],
                        help="one layer again and again, or the 24 of CLIP-L's tower in turn (of other "
                        "blocks as many as have as many weights), which takes about 1 GB of memory for each "
                        "peer; default: warm")
    parser.add_argument("--peers", nargs="+", choices=list(PEERS), metavar="PEER",
                        help="default: all but naive, of " + " ".join(PEERS))
    parser.add_argument("--rounds", type=int, help="default: 5")
    parser.add_argument("--seconds", type=float, default=0.5, help="of one turn; default: 0.5")
    parser.add_argument("--build", type=Path, default=ROOT / "build" / "release",
                        help="default: build/release")
    parser.add_argument("--venv", type=Path, default=ROOT / "build" / "venv", help="default: build/venv")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "peers", help="default: build/peers")
    parser.add_argument("--fresh", action="store_true", help="forget the results in OUT")
    parser.add_argument("--install", action="store_true",
                        help="first install the peers' packages, with apt-get and into the venv, and "
                        "build them")
    arguments = parser.parse_args()
    fill_in_defaults(arguments)
    return arguments


def fill_in_defaults(arguments):
    cores = peer_report.usable_cpus()
    quick = {"tokens": [257, 1028], "threads": sorted({1, min(2, cores)}), "isa": ["best"],
             "peers": ["mkl", "mkl_packed", "torch"], "rounds": 3}
    full = {"threads": sorted({1, min(2, cores), cores}), "isa": ["best", "AVX2"],
            "peers": [name for name in PEERS if name != "naive"], "rounds": 5}
    for name, value in (quick if arguments.quick else full).items():
        if getattr(arguments, name) is None:
            setattr(arguments, name, value)


def resolve_targets(names, supported):
    """Highway's names, each once; 'best' is the first of `supported`."""
    targets = list(dict.fromkeys(supported[0] if name == "best" else name.upper() for name in names))
    for target in targets:
        if target not in supported:
            sys.exit(f"compare_peers: --isa {target} does not run here; accepted: best {' '.join(supported)}")
    return targets


class Group:
    """The processes of one block, dtype, target and thread count, for one round: ours, the limits and the
    peers."""

    def __init__(self, installation, block, dtype, target, threads, names, log):
        self.block, self.dtype, self.target, self.threads = block, dtype, target, threads
        self.problems, self.processes = {}, {}
        self.limits = PeerProcess([installation.program("limits")], log=log)
        best = self.limits.hello["targets"][0]
        capped = target != best and not (target.startswith("AVX3") and best.startswith("AVX3"))
        for name in names:
            try:
                self.processes[name] = installation.start(name, block, dtype, target, capped, threads, log)
            except PeerError as error:
                self.problems[name] = str(error)
        for name, why in self.problems.items():
            where = f"{block}, {dtype}, {target}, {peer_report.show_threads(threads)}"
            print(f"compare_peers: {where}: without {name}: {why}", file=sys.stderr)

    def measure(self, cell, names, seconds, backwards):
        """One turn of those: the round for Results, and {name: why not}."""
        limits = self.limits.ask(f"probe {self.target} {self.threads} {self.dtype} {min(seconds, 0.2)}")
        round_, problems = {"limits": limits, "ms": {}, "errors": {}}, {}
        for name in reversed(names) if backwards else names:
            try:
                answer = self.processes[name].run(cell.tokens, cell.mode, seconds)
                round_["ms"][name] = answer["best_ms"]
                round_["errors"][name] = answer["relative_error"]
            except PeerError as error:
                problems[name] = str(error)
        return round_, problems

    def close(self):
        for process in [self.limits, *self.processes.values()]:
            process.close()


def names_for(dtype, peers):
    """Ours, and those of `peers` that are for that dtype."""
    return [*(OURS if dtype != "f32" else OURS[:1]),
            *(name for name in peers if not PEERS[name].dtypes or dtype in PEERS[name].dtypes)]


def run_round(arguments, installation, results, group_cells, number, progress, log):
    """One round of those cells, all of one block, dtype, target and thread count, with those that lack it."""
    def missing(cell):
        return results.to_measure(cell, names_for(cell.dtype, arguments.peers), number + 1)
    names = list(dict.fromkeys(name for cell in group_cells for name in missing(cell)))
    if not names:
        return
    group = Group(installation, *group_cells[0][:4], names, log)
    results.add_processes(group, group_cells)
    for cell in group_cells:
        if names := missing(cell):
            round_, problems = group.measure(cell, names, arguments.seconds, backwards=number % 2 == 1)
            results.add_round(cell, round_, problems)
            results.save()
            progress.report(f"round {number + 1}: {cell}", round_)
    group.close()


class Progress:
    def __init__(self, rounds_left):
        self.rounds_left, self.done, self.start = rounds_left, 0, time.monotonic()

    def report(self, what, round_):
        self.done += 1
        left = self.rounds_left()
        minutes = (time.monotonic() - self.start) / self.done * left / 60
        ours = round_["ms"].get("ours")
        others = {name: ms for name, ms in round_["ms"].items() if name not in OURS}
        text = f"ours {ours:.3f} ms" if ours else "without ours"
        if others:
            best = min(others, key=others.get)
            text += f", {best} {others[best]:.3f} ms"
            text += f", ratio {others[best] / ours:.3f}" if ours else ""
        print(f"[{self.done}/{self.done + left}, {minutes:.1f} min left] {what}: {text}", file=sys.stderr,
              flush=True)


def leave_out_missing(arguments, installation):
    """Takes the peers that are not there out of arguments.peers, says so, and returns why."""
    why = {name: installation.why_missing(name) for name in arguments.peers}
    missing = {name: reason for name, reason in why.items() if reason}
    for name, reason in missing.items():
        print(f"compare_peers: without {name}: {reason}", file=sys.stderr)
    if missing:
        print(f"compare_peers: to install what is missing: {installation.fix}", file=sys.stderr)
    arguments.peers = [name for name in arguments.peers if name not in missing]
    return missing


def open_results(arguments, fingerprint, build):
    arguments.out.mkdir(parents=True, exist_ok=True)
    command = shlex.join(["bench/peers/compare_peers.py", *(argument for argument in sys.argv[1:]
                                                            if argument not in ("--install", "--fresh"))])
    try:
        return Results(arguments.out / "results.json", fingerprint, build, command, arguments.fresh)
    except AnotherBuildError as error:
        sys.exit(f"compare_peers: {error}\n"
                 f"to keep those: --out FOLDER, another one; to forget them: --fresh")


def write_report(out, text, installation):
    (out / "results.md").write_text(text)
    print(text)
    if installation.has_packages(["matplotlib"]):
        subprocess.run([installation.python, Path(__file__).with_name("plot_results.py"), out], check=True)
    else:
        print(f"compare_peers: no pictures: no matplotlib in the venv: {installation.fix}", file=sys.stderr)


def main():
    arguments = parse_arguments()
    fix = shlex.join([*(argument for argument in sys.argv if argument != "--install"), "--install"])
    installation = Installation(ROOT, arguments.build, arguments.venv, fix)
    if arguments.install:
        installation.install(arguments.peers)
    build = installation.describe_build()
    targets = resolve_targets(arguments.isa, build["targets"])
    results = open_results(arguments, installation.fingerprint(), build)
    missing = leave_out_missing(arguments, installation)
    groups = [[Cell(block, dtype, target, threads, mode, tokens)
               for mode in arguments.mode for tokens in arguments.tokens or BLOCKS[block].tokens]
              for block in arguments.blocks for dtype in arguments.dtypes for target in targets
              for threads in arguments.threads]

    progress = Progress(lambda: sum(
        results.rounds_left(cell, names_for(cell.dtype, arguments.peers), arguments.rounds)
        for group_cells in groups for cell in group_cells))
    with open(arguments.out / "stderr.log", "w") as log:
        for number in range(arguments.rounds):
            for group_cells in groups:
                run_round(arguments, installation, results, group_cells, number, progress, log)
    write_report(arguments.out, peer_report.markdown(results, missing), installation)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("\ncompare_peers: interrupted: called again, without --fresh, it goes on from here")

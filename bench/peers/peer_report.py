"""Results of compare_peers.py: kept as JSON, summed up, and shown as Markdown."""

import json
import os
import platform
import statistics
from pathlib import Path
from typing import NamedTuple

from peer_blocks import BLOCKS

# What this library computes in; the peers' precision, where that has another name; bytes of a weight.
DTYPES = ["f32", "bf16", "bf16-dot", "bf16-x3", "int8"]
PEERS_DTYPE = {"bf16-dot": "bf16", "bf16-x3": "f32"}
WEIGHT_BYTES = {"f32": 4, "bf16": 2, "bf16-dot": 2, "bf16-x3": 2, "int8": 1}

# Not peers: this library, and in other dtypes than f32 its own f32 in the same rounds.
OURS = ("ours", "ours_f32")


class Cell(NamedTuple):
    block: str  # of BLOCKS
    dtype: str
    target: str
    threads: int
    mode: str
    tokens: int

    def __str__(self):
        return f"{self.block}, {show_group(self[:5])}, {self.tokens} tokens"

    def key(self):
        return "/".join(map(str, self))


def parse_cell(key):
    block, dtype, target, threads, mode, tokens = key.split("/")
    return Cell(block, dtype, target, int(threads), mode, int(tokens))


def show_group(group):
    """Without its block, which stands above it."""
    _, dtype, target, threads, mode = group
    return f"{dtype}, {target}, {show_threads(threads)}, {mode}"


def unit(dtype):
    return "Gop/s" if dtype == "int8" else "GFLOP/s"


def show_threads(threads):
    return f"{threads} thread" + ("s" if threads > 1 else "")


def usable_cpus():
    return len(os.sched_getaffinity(0))


def cpu_name():
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def process_key(block, dtype, target, threads):
    return f"{block}/{dtype}/{target}/{threads}"


def flops(block, tokens):
    return 2.0 * tokens * BLOCKS[block].weights()


def bytes_moved(block, dtype, tokens):
    """Weights; biases, x and y in fp32."""
    shape = BLOCKS[block]
    biases = 0 if shape.gated else shape.hidden + shape.dim
    return WEIGHT_BYTES[dtype] * float(shape.weights()) + 4.0 * (biases + 2 * tokens * shape.dim)


def load(path):
    return json.loads(path.read_text())


class AnotherBuildError(Exception):
    """Results are there, and are of another build of this library or of another machine."""


def describe_origin(data):
    """Of what build and machine results are, in one line."""
    machine, build = data["machine"], data["build"]
    return (f"commit {build['commit']}, {build['compiler']}, peer_ours {data['fingerprint']}, "
            f"for {' '.join(build['targets'])}; {machine['cpu']}, {machine['cpus']} CPUs, "
            f"Linux {machine['kernel']}")


class Results:
    """For each cell a list of rounds, {"ms": {name: best}, "errors": {name: relative L2}, "limits": {...}}, and
    what failed in it last."""

    def __init__(self, path, fingerprint, build, command, fresh=False):
        """Goes on from what is in `path`, if not `fresh`. Raises AnotherBuildError: a ratio of two builds, or of
        two machines, would look like any other."""
        self.path, self.command = path, command
        self.failed_now = set()  # (cell, name) in this call: tried again in the next one
        self.data = {"machine": {"cpu": cpu_name(), "cpus": usable_cpus(), "kernel": platform.release()},
                     "fingerprint": fingerprint, "build": build, "commands": [], "processes": {}, "cells": {},
                     "failures": {}}
        if path.exists() and not fresh:
            old = load(path)
            if any(old[key] != self.data[key] for key in ("fingerprint", "build", "machine")):
                raise AnotherBuildError(f"{path} is of another build or machine\n"
                                        f"  there: {describe_origin(old)}\n"
                                        f"  here:  {describe_origin(self.data)}")
            self.data = old

    def rounds(self, cell):
        return self.data["cells"].get(cell.key(), [])

    def failures(self, cell):
        return self.data["failures"].get(cell.key(), {})

    def cells(self):
        """All that have been measured, in the order in which they are shown."""
        targets = self.data["build"]["targets"]
        cells = [parse_cell(key) for key, rounds in self.data["cells"].items() if rounds]
        blocks = list(BLOCKS)
        return sorted(cells, key=lambda cell: (blocks.index(cell.block), DTYPES.index(cell.dtype),
                                               targets.index(cell.target), cell.threads, cell.mode != "warm",
                                               cell.tokens))

    def rounds_left(self, cell, names, rounds):
        """How many until each of `names` has `rounds`, leaving out those that failed in this call."""
        done = [sum(name in round_["ms"] for round_ in self.rounds(cell)) for name in names
                if (cell, name) not in self.failed_now]
        return max(0, rounds - min(done, default=rounds))

    def to_measure(self, cell, names, rounds):
        """Those of `names` that do not have `rounds` yet, and ours beside them; none if all have."""
        lacking = {name for name in names if self.rounds_left(cell, [name], rounds)}
        return [name for name in names
                if name in lacking or (lacking and name in OURS and (cell, name) not in self.failed_now)]

    def add_round(self, cell, round_, problems):
        """What has been measured, and {name: why not}, of the same turn."""
        if self.command not in self.data["commands"]:
            self.data["commands"].append(self.command)
        self.data["cells"].setdefault(cell.key(), []).append(round_)
        failures = {name: why for name, why in self.failures(cell).items() if name not in round_["ms"]}
        self.data["failures"][cell.key()] = {**failures, **problems}
        self.failed_now |= {(cell, name) for name in problems}

    def add_processes(self, group, cells):
        """How each peer of a group describes itself, or why it does not start; `cells`: all of that group."""
        noted = self.data["processes"].setdefault(
            process_key(group.block, group.dtype, group.target, group.threads), {})
        started_before = {name: hello for name, hello in noted.items() if "error" not in hello}
        noted.update({name: {"error": why} for name, why in group.problems.items()})
        noted.update(started_before)  # and has results
        noted.update({name: process.hello for name, process in group.processes.items()})
        self.failed_now |= {(cell, name) for cell in cells for name in group.problems}

    def save(self):
        temporary = self.path.with_suffix(".tmp")
        temporary.write_text(json.dumps(self.data, indent=1))
        temporary.replace(self.path)


def summary(rounds):
    """One cell: best ms, paired ratios to ours and the error of all, and the limits of the same rounds, of which
    older results have no "tile_flops"."""
    peers = {}
    for name in dict.fromkeys(name for round_ in rounds for name in round_["ms"]):
        times = [round_["ms"] for round_ in rounds if name in round_["ms"]]
        peers[name] = {"best_ms": min(ms[name] for ms in times)}
        if ratios := [ms[name] / ms["ours"] for ms in times if "ours" in ms]:
            peers[name].update(ratio=statistics.median(ratios), low=min(ratios), high=max(ratios))
        if errors := [round_["errors"][name] for round_ in rounds if name in round_.get("errors", {})]:
            peers[name]["error"] = max(errors)
    limits = {name: max(values) for name in ("flops", "tile_flops", "bytes_per_s")
              if (values := [round_["limits"][name] for round_ in rounds if name in round_["limits"]])}
    return {"peers": peers, **limits}


def best_peer(peers):
    """The one that comes nearest to ours, or passes it; None if there is none, or ours did not run."""
    others = [name for name in peers if name not in OURS and "ratio" in peers[name]]
    return min(others, key=lambda name: peers[name]["ratio"], default=None)


def markdown(results, missing):
    """What ran and what did not, then for each block a table for each dtype, target, threads and mode, of all
    results."""
    data, cells = results.data, results.cells()
    machine, build = data["machine"], data["build"]
    commands = ", ".join(f"`{command}`" for command in data["commands"])
    lines = [f"{machine['cpu']}, {machine['cpus']} CPUs, "
             f"Linux {machine['kernel']}; this library at commit {build['commit']}, "
             f"built with {build['compiler']}.",
             *([f"By {commands}."] if commands else []),
             "Ratio: the peer's time / ours, in turns; median (range) of the rounds. ms: best of all rounds.",
             "Peak: of fused multiply-adds; in bf16 of the bf16 dot product where that is faster, in int8 of "
             "the dot product of u8 and s8. Tile: of that with operands in the L1 cache. Bandwidth: of reading memory.",
             ""]
    lines += describe_peers(data["processes"], cells)
    lines += [f"- {name}: **not measured**: {why}" for name, why in missing.items()] + [""]
    for block in dict.fromkeys(cell.block for cell in cells):
        lines += [f"## {block}: {BLOCKS[block]}", ""]
        for group in dict.fromkeys(cell[:5] for cell in cells if cell.block == block):
            lines += group_table(results, group, [cell for cell in cells if cell[:5] == group])
    return "\n".join(lines).rstrip() + "\n"


def describe_peers(processes, cells):
    """One line for each way in which a peer ran, with the blocks, dtypes, targets and threads that it ran so
    for."""
    ways = {}
    for group in dict.fromkeys(cell[:4] for cell in cells):
        block, dtype, target, threads = group
        for name, hello in processes.get(process_key(*group), {}).items():
            what = (f"{name}: **not measured**: {hello['error']}" if "error" in hello
                    else f"{name} {hello['version']}: {hello['config']}")
            ways.setdefault(what, []).append(f"{block} {dtype} {target} {show_threads(threads)}")
    return [f"- {what} [{'; '.join(where)}]" for what, where in sorted(ways.items())]


def group_table(results, group, cells):
    dtype = group[1]
    names = [name for name, hello in results.data["processes"].get(process_key(*group[:4]), {}).items()
             if "error" not in hello]
    peers = [name for name in names if name not in OURS]
    totals = {cell: summary(results.rounds(cell)) for cell in cells}
    titles = ["tokens", "ours ms", unit(dtype), "% of peak", "% of tile", "% of bandwidth", "best peer", "ratio",
              *(["our f32 / ours"] if dtype != "f32" else []), *(f"{name} ms" for name in peers)]
    rows = [table_row(cell, totals[cell], peers) for cell in cells]
    failed = [f"- {cell.tokens} tokens, {name}: **failed**: {why}" for cell in cells
              for name, why in results.failures(cell).items() if name in names]
    errors = [(name, max(peer["error"] for peer in measured)) for name in names if (measured := [
        total["peers"][name] for total in totals.values() if "error" in total["peers"].get(name, {})])]
    text = "Largest relative L2 error: " + ", ".join(f"{name} {error:.2g}" for name, error in errors)
    return [f"### {show_group(group)}", "", "| " + " | ".join(titles) + " |", "|" + " --- |" * len(titles),
            *("| " + " | ".join(row) + " |" for row in rows), "", *failed, *([""] if failed else []),
            *([text, ""] if errors else [])]


def table_row(cell, totals, names):
    peers, best = totals["peers"], best_peer(totals["peers"])
    row = [str(cell.tokens), *["" for _ in range(5)]]
    if "ours" in peers:
        seconds = 1e-3 * peers["ours"]["best_ms"]
        memory_bound = cell.tokens <= 32  # beyond, the bytes are never the limit
        moved, work = bytes_moved(cell.block, cell.dtype, cell.tokens), flops(cell.block, cell.tokens)
        row = [str(cell.tokens), f"{peers['ours']['best_ms']:.4g}",
               f"{1e-9 * work / seconds:.1f}", f"{100 * work / seconds / totals['flops']:.1f}",
               f"{100 * work / seconds / totals['tile_flops']:.1f}" if "tile_flops" in totals else "",
               f"{100 * moved / seconds / totals['bytes_per_s']:.1f}" if memory_bound else ""]
    row += [best or "", show_ratio(peers.get(best, {}))]
    if cell.dtype != "f32":
        row.append(show_ratio(peers.get("ours_f32", {})))
    return row + [f"{peers[name]['best_ms']:.4g}" if name in peers else "" for name in names]


def show_ratio(peer):
    return f"{peer['ratio']:.3f} ({peer['low']:.3f}..{peer['high']:.3f})" if "ratio" in peer else ""

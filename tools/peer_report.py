"""Results of tools/compare_peers.py: kept as JSON, summed up, and shown as Markdown."""

import json
import os
import platform
import statistics
import sys
from pathlib import Path
from typing import NamedTuple

DIM, HIDDEN = 1024, 4096


class Cell(NamedTuple):
    target: str
    threads: int
    mode: str
    tokens: int

    def __str__(self):
        return f"{show_group(self[:3])}, {self.tokens} tokens"

    def key(self):
        return "/".join(map(str, self))


def parse_cell(key):
    target, threads, mode, tokens = key.split("/")
    return Cell(target, int(threads), mode, int(tokens))


def show_group(group):
    target, threads, mode = group
    return f"{target}, {show_threads(threads)}, {mode}"


def show_threads(threads):
    return f"{threads} thread" + ("s" if threads > 1 else "")


def usable_cpus():
    return len(os.sched_getaffinity(0))


def cpu_name():
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def flops(tokens):
    return 4.0 * tokens * DIM * HIDDEN


def bytes_moved(tokens):
    return 4.0 * (2 * DIM * HIDDEN + HIDDEN + DIM + 2 * tokens * DIM)


def upgrade(data):
    """Results of earlier versions, which kept what failed in each round."""
    failures = data.setdefault("failures", {})
    for key, rounds in data["cells"].items():
        for round_ in rounds:
            for name, why in round_.pop("problems", {}).items():
                failures.setdefault(key, {})[name] = why
    return data


class Results:
    """For each cell a list of rounds, {"ms": {name: best}, "limits": {...}}, and what failed in it last."""

    def __init__(self, path, fingerprint, build, fresh=False):
        self.path = path
        self.failed_now = set()  # (cell, name) in this call: tried again in the next one
        self.data = {"machine": {"cpu": cpu_name(), "cpus": usable_cpus(), "kernel": platform.release()},
                     "fingerprint": fingerprint, "build": build, "processes": {}, "cells": {}, "failures": {}}
        if path.exists() and not fresh:
            old = upgrade(json.loads(path.read_text()))
            if old["fingerprint"] == fingerprint and old["machine"] == self.data["machine"]:
                self.data = old
            else:
                kept = path.replace(path.with_name(f"results-{old['fingerprint']}.json"))
                print(f"compare_peers: {path} was of another build or machine: it is {kept.name} now",
                      file=sys.stderr)

    def rounds(self, cell):
        return self.data["cells"].get(cell.key(), [])

    def failures(self, cell):
        return self.data["failures"].get(cell.key(), {})

    def cells(self):
        """All that have been measured, in the order in which they are shown."""
        targets = self.data["build"]["targets"]
        cells = [parse_cell(key) for key, rounds in self.data["cells"].items() if rounds]
        return sorted(cells, key=lambda cell: (targets.index(cell.target), cell.threads, cell.mode != "warm",
                                               cell.tokens))

    def rounds_left(self, cell, names, rounds):
        """How many are needed for each of `names` to have `rounds`, but for those that failed in this call."""
        done = [sum(name in round_["ms"] for round_ in self.rounds(cell)) for name in names
                if (cell, name) not in self.failed_now]
        return max(0, rounds - min(done, default=rounds))

    def to_measure(self, cell, names, rounds):
        """Those of `names` that do not have `rounds` yet, and ours beside them; none if all have."""
        lacking = {name for name in names if self.rounds_left(cell, [name], rounds)}
        return [name for name in names
                if name in lacking or (lacking and name == "ours" and (cell, name) not in self.failed_now)]

    def add_round(self, cell, round_, problems):
        """What has been measured, and {name: why not}, of the same turn."""
        self.data["cells"].setdefault(cell.key(), []).append(round_)
        failures = {name: why for name, why in self.failures(cell).items() if name not in round_["ms"]}
        self.data["failures"][cell.key()] = {**failures, **problems}
        self.failed_now |= {(cell, name) for name in problems}

    def add_processes(self, group, cells):
        """How every peer of a group describes itself, or why it does not start; `cells`: all of that group."""
        noted = self.data["processes"].setdefault(f"{group.target}/{group.threads}", {})
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
    """One cell: best ms and paired ratios of every peer, and the limits of the same rounds."""
    peers = {}
    for name in dict.fromkeys(name for round_ in rounds for name in round_["ms"]):
        both = [round_["ms"] for round_ in rounds if {name, "ours"} <= set(round_["ms"])]
        ratios = [ms[name] / ms["ours"] for ms in both]
        if both:
            peers[name] = {"best_ms": min(ms[name] for ms in both), "ratio": statistics.median(ratios),
                           "low": min(ratios), "high": max(ratios)}
    return {"peers": peers, "flops": max(round_["limits"]["flops"] for round_ in rounds),
            "bytes_per_s": max(round_["limits"]["bytes_per_s"] for round_ in rounds)}


def best_peer(peers):
    """The one that comes nearest to ours, or passes it; None if there is none."""
    others = [name for name in peers if name != "ours"]
    return min(others, key=lambda name: peers[name]["ratio"], default=None)


def markdown(results, missing):
    """What ran and what did not, then one table for each target, thread count and mode, of all results."""
    data, cells = results.data, results.cells()
    machine, build = data["machine"], data["build"]
    lines = [f"fp32, dim {DIM}, hidden {HIDDEN}. {machine['cpu']}, {machine['cpus']} CPUs, "
             f"Linux {machine['kernel']}; this library at commit {build['commit']}, "
             f"built with {build['compiler']}.",
             "Ratio: the peer's time / ours, in turns; median (range) of the rounds. ms: best of all rounds.",
             ""]
    lines += describe_peers(data["processes"], cells)
    lines += [f"- {name}: **not measured**: {why}" for name, why in missing.items()] + [""]
    for group in dict.fromkeys(cell[:3] for cell in cells):
        lines += group_table(results, group, [cell for cell in cells if cell[:3] == group])
    return "\n".join(lines).rstrip() + "\n"


def describe_peers(processes, cells):
    """One line for each way in which a peer ran, with the targets and threads that it ran so for."""
    ways = {}
    for target, threads in dict.fromkeys(cell[:2] for cell in cells):
        for name, hello in processes.get(f"{target}/{threads}", {}).items():
            what = (f"{name}: **not measured**: {hello['error']}" if "error" in hello
                    else f"{name} {hello['version']}: {hello['config']}")
            ways.setdefault(what, []).append(f"{target} {show_threads(threads)}")
    return [f"- {what} [{'; '.join(where)}]" for what, where in sorted(ways.items())]


def group_table(results, group, cells):
    peers = [name for name, hello in results.data["processes"].get(f"{group[0]}/{group[1]}", {}).items()
             if name != "ours" and "error" not in hello]
    rows, problems = [], []
    for cell in cells:
        rounds = results.rounds(cell)
        problems += [f"- {cell.tokens} tokens, {name}: **failed**: {why}"
                     for name, why in results.failures(cell).items() if name == "ours" or name in peers]
        totals = summary(rounds) if rounds else {"peers": {}}
        if "ours" in totals["peers"]:
            rows.append(table_row(cell.tokens, totals, peers))
    titles = ["tokens", "ours ms", "GFLOP/s", "% of FMA peak", "% of bandwidth", "best peer", "ratio",
              *(f"{name} ms" for name in peers)]
    return [f"### {show_group(group)}", "", "| " + " | ".join(titles) + " |", "|" + " --- |" * len(titles),
            *("| " + " | ".join(row) + " |" for row in rows), "", *problems, *([""] if problems else [])]


def table_row(tokens, totals, names):
    peers, best = totals["peers"], best_peer(totals["peers"])
    seconds = 1e-3 * peers["ours"]["best_ms"]
    ratio = peers[best] if best else None
    memory_bound = tokens <= 32  # beyond, the bytes are never the limit
    return [str(tokens), f"{peers['ours']['best_ms']:.4g}", f"{1e-9 * flops(tokens) / seconds:.1f}",
            f"{100 * flops(tokens) / seconds / totals['flops']:.1f}",
            f"{100 * bytes_moved(tokens) / seconds / totals['bytes_per_s']:.1f}" if memory_bound else "",
            best or "none",
            f"{ratio['ratio']:.3f} ({ratio['low']:.3f}..{ratio['high']:.3f})" if ratio else "",
            *(f"{peers[name]['best_ms']:.4g}" if name in peers else "" for name in names)]

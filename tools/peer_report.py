"""Results of tools/compare_peers.py: kept as JSON, summed up, and shown as Markdown."""

import json
import os
import platform
import statistics
import sys
from pathlib import Path

DIM, HIDDEN = 1024, 4096


def usable_cpus():
    return len(os.sched_getaffinity(0))


def cpu_name():
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def cell_key(isa, threads, mode, tokens):
    return f"{isa}/{tokens}/{threads}/{mode}"


class Results:
    """A list of rounds a cell; each round is what Group.measure() returned."""

    def __init__(self, path, fingerprint, fresh):
        self.path = path
        self.data = {"machine": {"cpu": cpu_name(), "cpus": usable_cpus(), "kernel": platform.release()},
                     "fingerprint": fingerprint, "limits": {}, "processes": {}, "cells": {}}
        if path.exists() and not fresh:
            old = json.loads(path.read_text())
            if old["fingerprint"] == fingerprint and old["machine"] == self.data["machine"]:
                self.data = old
            else:
                print(f"compare_peers: {path} is of another build or machine: starting afresh", file=sys.stderr)

    def rounds(self, isa, threads, mode, tokens):
        return self.data["cells"].get(cell_key(isa, threads, mode, tokens), [])

    def add(self, isa, threads, mode, tokens, cell):
        self.data["cells"].setdefault(cell_key(isa, threads, mode, tokens), []).append(cell)

    def note_processes(self, isa, threads, group):
        self.data["limits"] = group.limits.hello
        self.data["processes"][f"{isa}/{threads}"] = {
            "target": group.target, "problems": group.problems,
            "peers": {name: process.hello for name, process in group.processes.items()}}

    def save(self):
        temporary = self.path.with_suffix(".tmp")
        temporary.write_text(json.dumps(self.data, indent=1))
        temporary.replace(self.path)


def summary(rounds):
    """One cell: best ms and paired ratios of every peer, and the limits of the same rounds."""
    peers = {}
    for name in {name for cell in rounds for name in cell["ms"]}:
        times = [cell["ms"][name] for cell in rounds if name in cell["ms"]]
        ratios = [cell["ms"][name] / cell["ms"]["ours"] for cell in rounds
                  if name in cell["ms"] and "ours" in cell["ms"]]
        if ratios:
            peers[name] = {"best_ms": min(times), "median_ms": statistics.median(times),
                           "ratio": statistics.median(ratios), "low": min(ratios), "high": max(ratios)}
    return {"peers": peers, "flops": max(cell["limits"]["flops"] for cell in rounds),
            "bytes_per_s": max(cell["limits"]["bytes_per_s"] for cell in rounds)}


def best_peer(peers):
    others = [name for name in peers if name != "ours"]
    return min(others, key=lambda name: peers[name]["ratio"], default=None)


def flops(tokens):
    return 4.0 * tokens * DIM * HIDDEN


def bytes_moved(tokens):
    return 4.0 * (2 * DIM * HIDDEN + HIDDEN + DIM + 2 * tokens * DIM)


def markdown(results, cells):
    """The cells' summary: what ran, then one table for each target, thread count and mode."""
    data = results.data
    machine, limits = data["machine"], data["limits"]
    lines = [f"fp32, dim {DIM}, hidden {HIDDEN}. {machine['cpu']}, {machine['cpus']} CPUs, Linux {machine['kernel']}; "
             f"this library at {limits.get('commit')}, built with {limits.get('compiler')}.",
             "Ratio: the peer's time / ours, in turns; median (range) of the rounds. ms: the best of all rounds.", ""]
    groups = list(dict.fromkeys((isa, threads, mode) for isa, threads, mode, _ in cells))
    lines += describe_peers(data, groups)
    for group in groups:
        lines += group_table(results, group, [cell[3] for cell in cells if cell[:3] == group])
    return "\n".join(lines) + "\n"


def describe_peers(data, groups):
    lines = []
    for isa, threads in dict.fromkeys((isa, threads) for isa, threads, _ in groups):
        processes = data["processes"].get(f"{isa}/{threads}", {"target": isa, "peers": {}, "problems": {}})
        for name, hello in processes["peers"].items():
            lines.append(f"- {processes['target']}, {threads} threads, {name} {hello['version']}: {hello['config']}")
        for name, problem in processes["problems"].items():
            lines.append(f"- {processes['target']}, {threads} threads, {name}: **not measured**: {problem}")
    return [*lines, ""]


def group_table(results, group, tokens_of_group):
    isa, threads, mode = group
    processes = results.data["processes"].get(f"{isa}/{threads}", {"target": isa, "peers": {}})
    others = [name for name in processes["peers"] if name != "ours"]
    rows, problems = [], []
    for tokens in tokens_of_group:
        rounds = results.rounds(isa, threads, mode, tokens)
        cell = summary(rounds) if rounds else None
        if cell is None or "ours" not in cell["peers"]:
            problems.append(f"- {tokens} tokens: not measured")
            continue
        rows.append(table_row(tokens, cell, others))
        failed = {name: why for round_ in rounds for name, why in round_["problems"].items() if name in others}
        problems += [f"- {tokens} tokens, {name}: **failed**: {why}" for name, why in failed.items()]
    titles = ["tokens", "ours ms", "GFLOP/s", "% of FMA peak", "% of bandwidth", "best peer", "ratio",
              *(f"{name} ms" for name in others)]
    return [f"### {processes['target']}, {threads} {'thread' if threads == 1 else 'threads'}, {mode}", "",
            "| " + " | ".join(titles) + " |", "|" + " --- |" * len(titles),
            *("| " + " | ".join(row) + " |" for row in rows), "", *problems, ""]


def table_row(tokens, cell, others):
    peers, best = cell["peers"], best_peer(cell["peers"])
    seconds = 1e-3 * peers["ours"]["best_ms"]
    ratio = peers.get(best)
    return [str(tokens), f"{peers['ours']['best_ms']:.3g}", f"{1e-9 * flops(tokens) / seconds:.1f}",
            f"{100 * flops(tokens) / seconds / cell['flops']:.1f}",
            f"{100 * bytes_moved(tokens) / seconds / cell['bytes_per_s']:.1f}" if tokens <= 32 else "",
            best or "none", f"{ratio['ratio']:.3f} ({ratio['low']:.3f}..{ratio['high']:.3f})" if ratio else "",
            *(f"{peers[name]['best_ms']:.3g}" if name in peers else "" for name in others)]

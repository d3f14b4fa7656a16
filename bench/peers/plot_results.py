#!/usr/bin/env python3
"""Draws what compare_peers.py has measured; needs matplotlib.

  build/venv/bin/python bench/peers/plot_results.py build/peers

Writes beside OUT/results.json: for each block, dtype, target, thread count and mode, speed_*.png, GFLOP/s over
tokens of every peer under the roofline (the peak, or the tile in the L1 cache, and the read bandwidth probed in
the same rounds; caches may beat the bandwidth when one layer runs again and again), and ratio_BLOCK_DTYPE.png,
the best peer's time / ours in every cell.
"""

import argparse
import sys
from pathlib import Path

import peer_report

try:
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib import colors, pyplot
except ImportError:
    sys.exit("plot_results: matplotlib not found: build/venv/bin/pip install matplotlib")


def load(path):
    """The machine and {(block, dtype, target, threads, mode): {tokens: summary}}, tokens in order."""
    data = peer_report.load(path)
    groups = {}
    for key, rounds in data["cells"].items():
        cell = peer_report.parse_cell(key)
        if any(round_["ms"] for round_ in rounds):
            groups.setdefault(cell[:5], {})[cell.tokens] = peer_report.summary(rounds)
    return data["machine"], {group: dict(sorted(cells.items())) for group, cells in groups.items()}


def plot_roofline(axes, block, dtype, cells, ceiling, style, label):
    """GFLOP/s that the probes allow, by tokens; `ceiling` is a key of the limits, which older results may lack."""
    def limit(tokens, cell):
        flops, moved = peer_report.flops(block, tokens), peer_report.bytes_moved(block, dtype, tokens)
        return 1e-9 * min(cell[ceiling], flops / moved * cell["bytes_per_s"])
    points = [(tokens, limit(tokens, cell)) for tokens, cell in cells.items() if ceiling in cell]
    if points:
        axes.plot(*zip(*points), style, color="gray", label=label)


def line_style(name, index):
    if name == "ours":
        return {"color": "black", "linewidth": 3}
    if name in peer_report.OURS:
        return {"color": "black", "linestyle": ":"}
    return {"color": pyplot.cm.tab20(index)}


def plot_speed(machine, group, cells, path):
    block, dtype = group[:2]
    figure, axes = pyplot.subplots(figsize=(9, 6), layout="constrained")
    plot_roofline(axes, block, dtype, cells, "flops", "--", "roofline (probed)")
    plot_roofline(axes, block, dtype, cells, "tile_flops", ":", "the same of a tile in L1")
    names = dict.fromkeys(name for cell in cells.values() for name in cell["peers"])
    for index, name in enumerate(sorted(names, key=lambda name: (name != "ours", name))):
        points = [(tokens, 1e-6 * peer_report.flops(block, tokens) / cell["peers"][name]["best_ms"])
                  for tokens, cell in cells.items() if name in cell["peers"]]
        axes.plot(*zip(*points), marker="o", markersize=4, label=name, **line_style(name, index))
    axes.set_xscale("log", base=2)
    axes.set_xticks(list(cells), [str(tokens) for tokens in cells], rotation=60)
    axes.minorticks_off()
    axes.set_ylim(bottom=0)
    axes.set(xlabel="tokens", ylabel=f"{peer_report.unit(dtype)}, best of all rounds",
             title=f"{machine['cpu']}: {block}, {peer_report.show_group(group)}")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=130)
    pyplot.close(figure)


def plot_ratios(machine, block, groups, path):
    columns = sorted({tokens for cells in groups.values() for tokens in cells})
    size = (5 + 0.9 * len(columns), 1.5 + 0.7 * len(groups))
    figure, axes = pyplot.subplots(figsize=size, layout="constrained")
    norm = colors.TwoSlopeNorm(vcenter=1.0, vmin=0.7, vmax=1.5)
    for row, cells in enumerate(groups.values()):
        for tokens, cell in cells.items():
            best = peer_report.best_peer(cell["peers"])
            if best is None:
                continue
            ratio, column = cell["peers"][best]["ratio"], columns.index(tokens)
            color = pyplot.cm.RdYlGn(norm(ratio))
            axes.add_patch(pyplot.Rectangle((column - 0.5, row - 0.5), 1, 1, color=color))
            axes.text(column, row, f"{ratio:.2f}\n{best}", ha="center", va="center", fontsize=7)
    axes.set(xlim=(-0.5, len(columns) - 0.5), ylim=(len(groups) - 0.5, -0.5), xlabel="tokens",
             title=f"{machine['cpu']}, {block}: best peer's time / ours\n(above 1: ours is faster)")
    axes.set_xticks(range(len(columns)), columns)
    axes.set_yticks(range(len(groups)), [peer_report.show_group(group) for group in groups])
    figure.savefig(path, dpi=130)
    pyplot.close(figure)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="the folder given to compare_peers.py as --out")
    out = parser.parse_args().out
    if not (out / "results.json").exists():
        sys.exit(f"plot_results: {out / 'results.json'} not found: run bench/peers/compare_peers.py first")
    machine, groups = load(out / "results.json")
    for group, cells in groups.items():
        plot_speed(machine, group, cells, out / "speed_{}_{}_{}_{}_{}.png".format(*group))
    for block, dtype in dict.fromkeys(group[:2] for group in groups):
        chosen = {group: cells for group, cells in groups.items() if group[:2] == (block, dtype)}
        plot_ratios(machine, block, chosen, out / f"ratio_{block}_{dtype}.png")
    print("plot_results: wrote " + ", ".join(str(path) for path in sorted(out.glob("*.png"))))


if __name__ == "__main__":
    main()

"""The Python side of peer.h and peer_main.cc: same data, same lines, for peers that are called from Python.

A peer is a Peer below. The weights are the same arrays for every layer (peer.h says why); those of bf16 are
exact in bf16.
"""

import argparse
import json
import sys
import time

from block import ACTIVATIONS, most_relative_error, random_block, random_tokens, relative_error

FEWEST_RUNS = 3


class Peer:
    VARIANTS = {"f32": ("",)}  # of every dtype that it computes in
    REASONS = {}               # for a dtype that is not among them

    def __init__(self, options):
        """options.threads, options.dtype and options.variant, one of those above."""

    def version(self):
        raise NotImplementedError

    def config(self):
        """Asked for when the first layer has been added."""
        raise NotImplementedError

    def add_layer(self, block):
        raise NotImplementedError

    def prepare(self, x):
        """What run() takes for numpy's x. Untimed."""
        return x

    def run(self, layer, x):
        """y, in whatever form the package gives it."""
        raise NotImplementedError

    def to_numpy(self, y):
        return y


def refusal(peer_class, options):
    """Why not, in one line; empty if the peer computes so."""
    variants = peer_class.VARIANTS
    if options.variant in variants.get(options.dtype, ()):
        return ""
    if options.dtype in peer_class.REASONS:
        return f"does not compute in {options.dtype}: {peer_class.REASONS[options.dtype]}"
    accepted = [f"{dtype} {variant}".strip() for dtype in variants for variant in variants[dtype]]
    asked = f"{options.dtype} {options.variant}".strip()
    return f"does not compute in {asked}, only in {', '.join(accepted)}"


class PeerProcess:
    def __init__(self, peer, options):
        self.peer, self.options = peer, options
        self.block = random_block(options)
        self.layers = 0
        self.errors = {}  # by token count
        self.add_layer()

    def add_layer(self):
        self.peer.add_layer(self.block)
        self.layers += 1

    def hello(self):
        return {"version": self.peer.version(), "config": self.peer.config(),
                "threads": self.options.threads, "dtype": self.options.dtype}

    def answer(self, line):
        words = line.split()
        if len(words) != 4 or words[0] != "run" or words[2] not in ("warm", "cold"):
            raise ValueError(f"unknown line '{line.strip()}': accepted is run TOKENS warm|cold SECONDS")
        tokens, mode, seconds = int(words[1]), words[2], float(words[3])
        while mode == "cold" and self.layers < self.options.cold_layers:
            self.add_layer()
        x = random_tokens(self.block, tokens, 11)
        prepared = self.peer.prepare(x)
        if tokens not in self.errors:
            error = relative_error(self.block, x, self.peer.to_numpy(self.peer.run(0, prepared)))
            most = most_relative_error(self.block, self.options.dtype)
            if not error <= most:
                raise ValueError(f"wrong result: relative error {error:g}, accepted is up to {most:g}")
            self.errors[tokens] = error
        timed = self.time(prepared, self.options.cold_layers if mode == "cold" else 1, seconds)
        return {**timed, "relative_error": self.errors[tokens]}

    def time(self, x, layers, seconds):
        begin = time.perf_counter()
        self.peer.run(0, x)  # wakes threads and fills caches
        ms = []
        while len(ms) < FEWEST_RUNS or time.perf_counter() - begin < seconds:
            start = time.perf_counter()
            self.peer.run((len(ms) + 1) % layers, x)
            ms.append(1e3 * (time.perf_counter() - start))
        ms.sort()
        return {"best_ms": ms[0], "median_ms": ms[len(ms) // 2], "runs": len(ms)}


def one_line(error):
    return (str(error) or type(error).__name__).splitlines()[0]


def print_line(answer):
    print(json.dumps(answer), flush=True)


def serve(peer_class):
    """The whole program around a Peer. Returns the exit code."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--dim", type=int, required=True)
    parser.add_argument("--hidden", type=int, required=True)
    parser.add_argument("--activation", choices=list(ACTIVATIONS), default="quick_gelu")
    parser.add_argument("--gated", action="store_true", help="and without biases")
    parser.add_argument("--cold-layers", type=int, default=24)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--dtype", default="f32")
    parser.add_argument("--variant", default="")
    options = parser.parse_args()
    if why := refusal(peer_class, options):
        print_line({"error": why})
        return 1
    try:
        process = PeerProcess(peer_class(options), options)
        print_line(process.hello())
    except Exception as error:  # whatever a package throws is the answer
        print_line({"error": one_line(error)})
        return 1
    while line := sys.stdin.readline():
        try:
            print_line(process.answer(line))
        except Exception as error:
            print_line({"error": one_line(error)})
    return 0

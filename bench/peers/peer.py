"""The Python side of peer.h and peer_main.cc: same data, same lines, for peers that are called from Python.

A peer is a Peer below. The weights are (w1, b1, w2, b2) as nn.Linear stores them, the same arrays for every
layer (peer.h says why); those of bf16 are exact in bf16.
"""

import argparse
import json
import sys
import time

import numpy

DIM, HIDDEN = 1024, 4096
COLD_LAYERS = 24
MAX_RELATIVE_ERROR = {"f32": 2e-6, "bf16": 3 / 512, "int8": 0.04}  # derived in workload.h
FEWEST_RUNS = 3


class Peer:
    VARIANTS = {"f32": ("",)}  # of every dtype that it computes in
    REASONS = {}               # for a dtype that is not among them

    def __init__(self, options):
        """options.threads, options.dtype and options.variant, one of those above."""

    def version(self):
        raise NotImplementedError

    def config(self):
        raise NotImplementedError

    def add_layer(self, weights):
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


def round_to_bf16(values):
    """To the nearest, ties to even."""
    bits = values.view(numpy.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF0000).astype(numpy.uint32).view(numpy.float32)


def random_weights(dtype):
    rng = numpy.random.default_rng(1)
    normal = lambda deviation, *shape: (deviation * rng.standard_normal(shape)).astype(numpy.float32)
    weights = (normal(DIM**-0.5, HIDDEN, DIM), normal(0.1, HIDDEN),
               normal(HIDDEN**-0.5, DIM, HIDDEN), normal(0.1, DIM))
    return tuple(map(round_to_bf16, weights)) if dtype == "bf16" else weights


def relative_error(weights, x, y):
    """Against double precision, of up to eight rows."""
    w1, b1, w2, b2 = (array.astype(numpy.float64) for array in weights)
    rows = numpy.unique(numpy.linspace(0, len(x) - 1, 8).astype(int))
    hidden = x[rows].astype(numpy.float64) @ w1.T + b1
    expected = (hidden / (1 + numpy.exp(-1.702 * hidden))) @ w2.T + b2
    return float(numpy.linalg.norm(y[rows] - expected) / numpy.linalg.norm(expected))


class PeerProcess:
    def __init__(self, peer, options):
        self.peer, self.options = peer, options
        self.weights = random_weights(options.dtype)
        self.layers = 0
        self.errors = {}  # by token count
        self.add_layer()

    def add_layer(self):
        self.peer.add_layer(self.weights)
        self.layers += 1

    def hello(self):
        return {"version": self.peer.version(), "config": self.peer.config(),
                "threads": self.options.threads, "dtype": self.options.dtype}

    def answer(self, line):
        words = line.split()
        if len(words) != 4 or words[0] != "run" or words[2] not in ("warm", "cold"):
            raise ValueError(f"unknown line '{line.strip()}': accepted is run TOKENS warm|cold SECONDS")
        tokens, mode, seconds = int(words[1]), words[2], float(words[3])
        while mode == "cold" and self.layers < COLD_LAYERS:
            self.add_layer()
        x = numpy.random.default_rng(11).standard_normal((tokens, DIM)).astype(numpy.float32)
        prepared = self.peer.prepare(x)
        if tokens not in self.errors:
            error = relative_error(self.weights, x, self.peer.to_numpy(self.peer.run(0, prepared)))
            most = MAX_RELATIVE_ERROR[self.options.dtype]
            if not error <= most:
                raise ValueError(f"wrong result: relative error {error:g}, accepted is up to {most:g}")
            self.errors[tokens] = error
        timed = self.time(prepared, COLD_LAYERS if mode == "cold" else 1, seconds)
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

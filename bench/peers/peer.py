"""The Python side of peer.h and peer_main.cc: same data, same lines, for peers that are called from Python.

A peer is a class with version(), config(), add_layer(weights), prepare(x) and run(layer, x) -> y. weights is
(w1, b1, w2, b2) as nn.Linear stores them, the same arrays for every layer (peer.h says why), and prepare(),
untimed, turns numpy's x into what run() takes.
"""

import argparse
import json
import sys
import time

import numpy

DIM, HIDDEN = 1024, 4096
COLD_LAYERS = 24
MAX_RELATIVE_ERROR = 2e-6
FEWEST_RUNS = 3


def random_weights():
    rng = numpy.random.default_rng(1)
    normal = lambda deviation, *shape: (deviation * rng.standard_normal(shape)).astype(numpy.float32)
    return (normal(DIM**-0.5, HIDDEN, DIM), normal(0.1, HIDDEN),
            normal(HIDDEN**-0.5, DIM, HIDDEN), normal(0.1, DIM))


def relative_error(weights, x, y):
    """Against double precision, of up to eight rows."""
    w1, b1, w2, b2 = (array.astype(numpy.float64) for array in weights)
    rows = numpy.unique(numpy.linspace(0, len(x) - 1, 8).astype(int))
    hidden = x[rows].astype(numpy.float64) @ w1.T + b1
    expected = (hidden / (1 + numpy.exp(-1.702 * hidden))) @ w2.T + b2
    return float(numpy.linalg.norm(numpy.asarray(y)[rows] - expected) / numpy.linalg.norm(expected))


class PeerProcess:
    def __init__(self, peer, threads):
        self.peer, self.threads = peer, threads
        self.weights = random_weights()
        self.layers = 0
        self.errors = {}  # by token count
        self.add_layer()

    def add_layer(self):
        self.peer.add_layer(self.weights)
        self.layers += 1

    def hello(self):
        return {"version": self.peer.version(), "config": self.peer.config(), "threads": self.threads}

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
            error = relative_error(self.weights, x, self.peer.run(0, prepared))
            if not error <= MAX_RELATIVE_ERROR:
                raise ValueError(f"wrong result: relative error {error:g}, "
                                 f"accepted is up to {MAX_RELATIVE_ERROR:g}")
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


def print_line(answer):
    print(json.dumps(answer), flush=True)


def serve(make_peer):
    """make_peer(threads, variant) -> peer. Returns the exit code."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--variant", default="")
    arguments = parser.parse_args()
    try:
        process = PeerProcess(make_peer(arguments.threads, arguments.variant), arguments.threads)
        print_line(process.hello())
    except Exception as error:  # whatever a package throws is the answer
        print_line({"error": f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"})
        return 1
    while line := sys.stdin.readline():
        try:
            print_line(process.answer(line))
        except Exception as error:
            print_line({"error": str(error).splitlines()[0]})
    return 0

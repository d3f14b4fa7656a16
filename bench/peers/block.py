"""The block and the check against double precision: to Python's peers what workload.h is to those in C++."""

import math
from typing import NamedTuple

import numpy

MAX_RELATIVE_ERROR = {"f32": 2e-6, "bf16": 3 / 512, "int8": 0.04}  # derived in workload.h
MAX_RELATIVE_ERROR_INT8_GATED = 0.12


def times_sigmoid(x, z):
    return x / (1 + numpy.exp(-z))


# In the precision of their argument, but for the exact GELU's erfc, which is always double.
ACTIVATIONS = {
    "quick_gelu": lambda x: times_sigmoid(x, 1.702 * x),
    "gelu": lambda x: 0.5 * x * numpy.vectorize(math.erfc)(x * -0.5**0.5),
    "gelu_tanh": lambda x: times_sigmoid(x, 2 * (2 / math.pi)**0.5 * (x + 0.044715 * x**3)),
    "silu": lambda x: times_sigmoid(x, x),
}


class Block(NamedTuple):
    """Weights as nn.Linear stores them: w1 and up [hidden, dim], w2 [dim, hidden]. `up` is None in a block that
    is not gated, and the biases are None in one that is."""
    activation: str  # one of ACTIVATIONS
    w1: numpy.ndarray
    b1: numpy.ndarray | None
    w2: numpy.ndarray
    b2: numpy.ndarray | None
    up: numpy.ndarray | None

    @property
    def dim(self):
        return self.w1.shape[1]

    @property
    def hidden(self):
        return self.w1.shape[0]

    @property
    def gated(self):
        return self.up is not None

    def activate(self, x):
        return ACTIVATIONS[self.activation](x)

    def hidden_array(self, x):
        """What fc2 takes, [tokens, hidden], in x's precision."""
        linear = lambda weight: x @ weight.astype(x.dtype).T
        if self.gated:
            return self.activate(linear(self.w1)) * linear(self.up)
        return self.activate(linear(self.w1) + self.b1)


def round_to_bf16(values):
    """To the nearest, ties to even."""
    bits = values.view(numpy.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF0000).astype(numpy.uint32).view(numpy.float32)


def random_block(options):
    """options.dim, hidden, activation, gated; what is for dtype bf16 is exact in bf16."""
    dim, hidden = options.dim, options.hidden
    rng = numpy.random.default_rng(1)

    def normal(deviation, *shape):
        values = (deviation * rng.standard_normal(shape)).astype(numpy.float32)
        return round_to_bf16(values) if options.dtype == "bf16" else values
    bias = lambda size: None if options.gated else normal(0.1, size)
    return Block(options.activation, normal(dim**-0.5, hidden, dim), bias(hidden), normal(hidden**-0.5, dim, hidden),
                 bias(dim), normal(dim**-0.5, hidden, dim) if options.gated else None)


def random_tokens(block, tokens, seed):
    return numpy.random.default_rng(seed).standard_normal((tokens, block.dim)).astype(numpy.float32)


def relative_error(block, x, y):
    """Against double precision, of up to eight rows."""
    rows = numpy.unique(numpy.linspace(0, len(x) - 1, 8).astype(int))
    expected = block.hidden_array(x[rows].astype(numpy.float64)) @ block.w2.astype(numpy.float64).T
    if block.b2 is not None:
        expected += block.b2
    return float(numpy.linalg.norm(y[rows] - expected) / numpy.linalg.norm(expected))


def most_relative_error(block, dtype):
    return MAX_RELATIVE_ERROR_INT8_GATED if block.gated and dtype == "int8" else MAX_RELATIVE_ERROR[dtype]

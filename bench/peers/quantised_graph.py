"""The block in int8 as an OpenVINO model: weights s8 with a scale for each output channel."""

import numpy
import openvino
from openvino import opset13 as ops

import peer


def compress(weight):
    """[out, in] as s8 and scales, the pattern that the CPU plugin looks for."""
    scale = numpy.abs(weight).max(axis=1, keepdims=True) / numpy.float32(127)
    stored = numpy.rint(weight / scale).astype(numpy.int8)
    return ops.multiply(ops.convert(ops.constant(stored), "f32"), ops.constant(scale))


def quantise(x, largest):
    """To s8 and back. Symmetric: with a zero point the plugin's result was twice as far off."""
    low, high = (ops.constant(numpy.float32(edge * largest / 127)) for edge in (-128, 127))
    return ops.fake_quantize(x, low, high, low, high, levels=256)


def largest_values(weights):
    """Of x and of the hidden array, in a run of other tokens than those that are measured."""
    w1, b1, _, _ = weights
    x = numpy.random.default_rng(12).standard_normal((16, peer.DIM)).astype(numpy.float32)
    hidden = x @ w1.T + b1
    hidden /= 1 + numpy.exp(-1.702 * hidden)
    return numpy.abs(x).max(), numpy.abs(hidden).max()


def make(weights, is_static):
    """Model of x [tokens, DIM] -> y [tokens, DIM]. `is_static`: inputs are quantised with given scales."""
    w1, b1, w2, b2 = weights
    largest_x, largest_hidden = largest_values(weights)
    into = quantise if is_static else lambda x, _: x
    x = ops.parameter([-1, peer.DIM], openvino.Type.f32, name="x")
    x.output(0).set_names({"x"})
    linear = lambda v, weight, bias: ops.add(ops.matmul(v, compress(weight), False, True),
                                             ops.constant(bias[None]))
    hidden = linear(into(x, largest_x), w1, b1)
    active = ops.multiply(hidden, ops.sigmoid(ops.multiply(hidden, ops.constant(numpy.float32(1.702)))))
    return openvino.Model([ops.result(linear(into(active, largest_hidden), w2, b2))], [x], "ffn")

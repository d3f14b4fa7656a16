"""The block in int8 as an OpenVINO model: weights s8 with a scale for each output channel."""

import numpy
import openvino
from openvino import opset13 as ops

from block import random_tokens

ACTIVATIONS = {
    "quick_gelu": lambda x: ops.multiply(x, ops.sigmoid(ops.multiply(x, ops.constant(numpy.float32(1.702))))),
    "silu": lambda x: ops.multiply(x, ops.sigmoid(x)),
    "gelu": lambda x: ops.gelu(x, "erf"),
    "gelu_tanh": lambda x: ops.gelu(x, "tanh"),
}


def compress(weight):
    """[out, in] as s8 and scales, the pattern that the CPU plugin looks for."""
    scale = numpy.abs(weight).max(axis=1, keepdims=True) / numpy.float32(127)
    stored = numpy.rint(weight / scale).astype(numpy.int8)
    return ops.multiply(ops.convert(ops.constant(stored), "f32"), ops.constant(scale))


def quantize(x, largest):
    """To s8 and back. Symmetric: with a zero point the plugin's result was twice as far off."""
    low, high = (ops.constant(numpy.float32(edge * largest / 127)) for edge in (-128, 127))
    return ops.fake_quantize(x, low, high, low, high, levels=256)


def largest_values(block):
    """Of x and of the hidden array, in a run of other tokens than those that are measured."""
    x = random_tokens(block, 16, 12)
    return numpy.abs(x).max(), numpy.abs(block.hidden_array(x)).max()


def linear(x, weight, bias):
    product = ops.matmul(x, compress(weight), False, True)
    return product if bias is None else ops.add(product, ops.constant(bias[None]))


def make(block, is_static):
    """Model of x [tokens, dim] -> y [tokens, dim]. `is_static`: inputs are quantized with given scales."""
    largest_x, largest_hidden = largest_values(block)
    into = quantize if is_static else lambda x, _: x
    x = ops.parameter([-1, block.dim], openvino.Type.f32, name="x")
    x.output(0).set_names({"x"})
    stored_x = into(x, largest_x)
    hidden = ACTIVATIONS[block.activation](linear(stored_x, block.w1, block.b1))
    if block.gated:
        hidden = ops.multiply(hidden, linear(stored_x, block.up, None))
    return openvino.Model([ops.result(linear(into(hidden, largest_hidden), block.w2, block.b2))], [x], "ffn")

"""The block as an ONNX graph, as an exporter writes it: MatMul, Add, Mul, and for the activation the Gelu of
opset 20, or Sigmoid and Mul.
"""

import numpy
import onnx
from onnx import TensorProto, helper, numpy_helper

# (operation, inputs, output, attributes), from sum1 to active.
ACTIVATIONS = {
    "quick_gelu": [("Mul", "sum1 alpha", "scaled", {}), ("Sigmoid", "scaled", "sigmoid", {}),
                   ("Mul", "sum1 sigmoid", "active", {})],
    "silu": [("Sigmoid", "sum1", "sigmoid", {}), ("Mul", "sum1 sigmoid", "active", {})],
    "gelu": [("Gelu", "sum1", "active", {"approximate": "none"})],
    "gelu_tanh": [("Gelu", "sum1", "active", {"approximate": "tanh"})],
}


def operations(block):
    activation = ACTIVATIONS[block.activation]
    if block.gated:
        return [("MatMul", "x w1", "sum1", {}), ("MatMul", "x up", "sum_up", {}), *activation,
                ("Mul", "active sum_up", "hidden", {}), ("MatMul", "hidden w2", "y", {})]
    return [("MatMul", "x w1", "product1", {}), ("Add", "product1 b1", "sum1", {}), *activation,
            ("MatMul", "active w2", "product2", {}), ("Add", "product2 b2", "y", {})]


def describe(block):
    return ", ".join(dict.fromkeys(operation for operation, *_ in operations(block)))


def make(block):
    """Serialized model of x [tokens, dim] -> y [tokens, dim]."""
    constants = {"w1": block.w1.T, "b1": block.b1, "w2": block.w2.T, "b2": block.b2,
                 "up": block.up.T if block.gated else None, "alpha": numpy.float32(1.702)}
    nodes = [helper.make_node(operation, inputs.split(), [output], **attributes)
             for operation, inputs, output, attributes in operations(block)]
    used = {name for node in nodes for name in node.input}
    value = lambda name: helper.make_tensor_value_info(name, TensorProto.FLOAT, ["tokens", block.dim])
    graph = helper.make_graph(nodes, "ffn", [value("x")], [value("y")], [
        numpy_helper.from_array(numpy.ascontiguousarray(array), name) for name, array in constants.items()
        if name in used])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    onnx.checker.check_model(model)
    return model.SerializeToString()

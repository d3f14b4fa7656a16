"""The block as an ONNX graph: MatMul, Add, Sigmoid and Mul, as an exporter writes it."""

import numpy
import onnx
from onnx import TensorProto, helper, numpy_helper

import peer


def make(weights):
    """Serialised model of x [tokens, DIM] -> y [tokens, DIM]."""
    w1, b1, w2, b2 = weights
    constants = {"w1": w1.T, "b1": b1, "w2": w2.T, "b2": b2, "alpha": numpy.float32(1.702)}
    nodes = [helper.make_node(operation, inputs.split(), [output]) for operation, inputs, output in [
        ("MatMul", "x w1", "product1"), ("Add", "product1 b1", "hidden"), ("Mul", "hidden alpha", "scaled"),
        ("Sigmoid", "scaled", "gate"), ("Mul", "hidden gate", "active"), ("MatMul", "active w2", "product2"),
        ("Add", "product2 b2", "y")]]
    value = lambda name: helper.make_tensor_value_info(name, TensorProto.FLOAT, ["tokens", peer.DIM])
    graph = helper.make_graph(nodes, "ffn", [value("x")], [value("y")], [
        numpy_helper.from_array(numpy.ascontiguousarray(array), name) for name, array in constants.items()])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    return model.SerializeToString()

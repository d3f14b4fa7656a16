"""ONNX Runtime's CPU provider."""

import sys

import onnxruntime

import graph
import peer


class OnnxRuntime:
    def __init__(self, threads, variant):
        if variant:
            raise ValueError(f"unknown variant '{variant}': accepted is none")
        self.options = onnxruntime.SessionOptions()
        self.options.intra_op_num_threads = threads
        self.options.inter_op_num_threads = 1
        self.layers, self.model = [], None

    def version(self):
        return onnxruntime.__version__

    def config(self):
        return "MatMul, Add, Sigmoid, Mul; all graph optimisations"

    def add_layer(self, weights):
        self.model = self.model or graph.make(weights)  # kept by every session
        self.layers.append(onnxruntime.InferenceSession(self.model, self.options,
                                                        providers=["CPUExecutionProvider"]))

    def prepare(self, x):
        return {"x": x}

    def run(self, layer, x):
        return self.layers[layer].run(None, x)[0]


if __name__ == "__main__":
    sys.exit(peer.serve(OnnxRuntime))

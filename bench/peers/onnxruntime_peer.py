"""ONNX Runtime's CPU provider. int8: its own dynamic quantization, a scale for a whole weight or input."""

import logging
import sys
import tempfile
from pathlib import Path

import onnx
import onnxruntime
from onnxruntime.quantization import QuantType, quantize_dynamic

import graph
import peer


def quantize(model):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        logging.disable(logging.WARNING)  # recommends a pass over the model that finds nothing here
        # With u8 weights it took 1.2 to 2.4 times as long (Zen 4); a scale for each channel changes little.
        quantize_dynamic(onnx.load_from_string(model), path, weight_type=QuantType.QInt8)
        return path.read_bytes()


class OnnxRuntime(peer.Peer):
    VARIANTS = {"f32": ("",), "int8": ("",)}
    REASONS = {"bf16": "its CPU provider has no MatMul of bfloat16"}

    def __init__(self, options):
        self.is_int8 = options.dtype == "int8"
        self.settings = onnxruntime.SessionOptions()
        self.settings.intra_op_num_threads = options.threads
        self.settings.inter_op_num_threads = 1
        self.layers, self.model, self.operations = [], None, ""

    def version(self):
        return onnxruntime.__version__

    def config(self):
        return self.operations + ("; quantize_dynamic" if self.is_int8 else "") + "; all graph optimizations"

    def add_layer(self, block):
        if not self.model:  # kept by every session
            self.operations = graph.describe(block)
            self.model = quantize(graph.make(block)) if self.is_int8 else graph.make(block)
        self.layers.append(onnxruntime.InferenceSession(self.model, self.settings,
                                                        providers=["CPUExecutionProvider"]))

    def prepare(self, x):
        return {"x": x}

    def run(self, layer, x):
        return self.layers[layer].run(None, x)[0]


if __name__ == "__main__":
    sys.exit(peer.serve(OnnxRuntime))

"""OpenVINO's CPU plugin, held to fp32 or bf16 by its precision hint. int8: weights s8 with a scale for each
output channel; inputs quantized on the way in groups, or ("static") with scales that are given beforehand.
"""

import sys

import openvino
from openvino import properties

import graph
import peer
import quantized_graph

GROUP = 128  # of dynamic quantization: of 32 to 4096, among the fastest at 16 and 257 tokens (Zen 4)


class OpenVino(peer.Peer):
    VARIANTS = {"f32": ("",), "bf16": ("",), "int8": ("", "static")}

    def __init__(self, options):
        self.options = options
        self.core = openvino.Core()
        precision = openvino.Type.bf16 if options.dtype == "bf16" else openvino.Type.f32
        self.settings = {
            properties.hint.inference_precision(): precision,
            properties.hint.performance_mode(): properties.hint.PerformanceMode.LATENCY,
            properties.inference_num_threads(): options.threads,
        }
        if options.dtype == "int8" and not options.variant:
            self.settings[properties.hint.dynamic_quantization_group_size()] = GROUP
        self.model, self.layers, self.operations = None, 0, ""
        self.requests, self.tokens = [], None

    def version(self):
        return openvino.__version__.split("-")[0]

    def config(self):
        precision = f"precision hint {self.options.dtype}"
        if self.options.dtype == "int8":
            precision = "FakeQuantize" if self.options.variant else f"dynamic quantization by {GROUP}"
        return f"{self.operations}; static shape, latency hint, {precision}"

    def add_layer(self, block):
        self.operations = graph.describe(block)
        if self.options.dtype == "int8":
            self.model = self.model or quantized_graph.make(block, self.options.variant == "static")
        else:
            self.model = self.model or self.core.read_model(graph.make(block))
        self.layers += 1
        self.tokens = None

    # Compiled anew for each token count: a static shape is the faster one.
    def prepare(self, x):
        if self.tokens != len(x):
            self.requests.clear()  # the packed weights of both would take twice the memory
            self.model.reshape({"x": list(x.shape)})
            self.requests = [self.core.compile_model(self.model, "CPU", self.settings).create_infer_request()
                             for _ in range(self.layers)]
            self.tokens = len(x)
        return openvino.Tensor(x, shared_memory=True)

    def run(self, layer, x):
        request = self.requests[layer]
        request.set_input_tensor(x)
        request.infer()
        return request.get_output_tensor().data


if __name__ == "__main__":
    sys.exit(peer.serve(OpenVino))

"""OpenVINO's CPU plugin, held to fp32."""

import sys

import openvino
from openvino import properties

import graph
import peer


class OpenVino:
    def __init__(self, threads, variant):
        if variant:
            raise ValueError(f"unknown variant '{variant}': accepted is none")
        self.core = openvino.Core()
        self.settings = {
            properties.hint.inference_precision(): openvino.Type.f32,
            properties.hint.performance_mode(): properties.hint.PerformanceMode.LATENCY,
            properties.inference_num_threads(): threads,
        }
        self.model, self.layers = None, 0
        self.requests, self.tokens = [], None

    def version(self):
        return openvino.__version__.split("-")[0]

    def config(self):
        return "MatMul, Add, Sigmoid, Mul; static shape, latency hint, precision hint f32"

    def add_layer(self, weights):
        self.model = self.model or self.core.read_model(graph.make(weights))
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

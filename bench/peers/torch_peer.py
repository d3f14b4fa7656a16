"""PyTorch: the module itself in inference mode, eager or ("compile") through torch.compile. bf16: the module
and x converted to it. int8: dynamic quantization of every nn.Linear, as torch.ao.quantization does it.
"""

import functools
import sys
import warnings

import torch
from torch.nn import functional

import peer


ACTIVATIONS = {
    "quick_gelu": lambda x: x * torch.sigmoid(1.702 * x),
    "gelu": functional.gelu,
    "gelu_tanh": functools.partial(functional.gelu, approximate="tanh"),
    "silu": functional.silu,
}


def linear(weight, bias):
    layer = torch.nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None, device="meta")
    for name, values in (("weight", weight), ("bias", bias)):  # read in place; numpy asks for huge pages
        if values is not None:
            setattr(layer, name, torch.nn.Parameter(torch.from_numpy(values.copy())))
    return layer


class Plain(torch.nn.Module):
    def __init__(self, block):
        super().__init__()
        self.fc1, self.fc2 = linear(block.w1, block.b1), linear(block.w2, block.b2)
        self.activation = ACTIVATIONS[block.activation]

    def forward(self, x):
        return self.fc2(self.activation(self.fc1(x)))


class Gated(torch.nn.Module):
    def __init__(self, block):
        super().__init__()
        self.gate, self.up, self.down = (linear(weight, None) for weight in (block.w1, block.up, block.w2))
        self.activation = ACTIVATIONS[block.activation]

    def forward(self, x):
        return self.down(self.activation(self.gate(x)) * self.up(x))


def make_module(block, dtype):
    module = (Gated if block.gated else Plain)(block).eval()
    if dtype == "bf16":
        return module.to(torch.bfloat16)
    if dtype == "int8":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that it will move to another package
            return torch.ao.quantization.quantize_dynamic(module, {torch.nn.Linear}, dtype=torch.qint8)
    return module


class Torch(peer.Peer):
    VARIANTS = {dtype: ("", "compile") for dtype in ("f32", "bf16", "int8")}

    def __init__(self, options):
        torch.set_num_threads(options.threads)
        torch.set_num_interop_threads(1)
        self.options = options
        self.modules, self.layers, self.tokens = [], [], None

    def version(self):
        return torch.__version__

    def config(self):
        how = "torch.compile" if self.options.variant else "eager"
        precision = {"f32": "", "bf16": ", to(bfloat16)",
                     "int8": f", quantize_dynamic, {torch.backends.quantized.engine}"}[self.options.dtype]
        return f"{how}, inference_mode{precision}; for {torch.backends.cpu.get_cpu_capability()}"

    def add_layer(self, block):
        self.modules.append(make_module(block, self.options.dtype))
        self.tokens = None

    # Compiled anew for each token count: a static shape is the faster one.
    def prepare(self, x):
        if self.tokens != len(x):
            self.layers, self.tokens = self.modules, len(x)
            if self.options.variant:
                torch.compiler.reset()
                self.layers = [torch.compile(module, dynamic=False) for module in self.modules]
        x = torch.from_numpy(x)
        return x.to(torch.bfloat16) if self.options.dtype == "bf16" else x

    def run(self, layer, x):
        with torch.inference_mode():
            return self.layers[layer](x)

    def to_numpy(self, y):
        return y.float().numpy()


if __name__ == "__main__":
    sys.exit(peer.serve(Torch))

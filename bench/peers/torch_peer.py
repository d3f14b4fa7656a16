"""PyTorch: the module itself in inference mode, eager or ("compile") through torch.compile. bf16: the module
and x converted to it. int8: dynamic quantisation of both nn.Linear, as torch.ao.quantization does it.
"""

import sys
import warnings

import torch

import peer


class Block(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = torch.nn.Linear(peer.DIM, peer.HIDDEN)
        self.fc2 = torch.nn.Linear(peer.HIDDEN, peer.DIM)

    def forward(self, x):
        hidden = self.fc1(x)
        return self.fc2(hidden * torch.sigmoid(1.702 * hidden))


def make_block(weights, dtype):
    block = Block().eval()
    parameters = (block.fc1.weight, block.fc1.bias, block.fc2.weight, block.fc2.bias)
    for parameter, values in zip(parameters, weights):  # read in place; numpy asks for huge pages
        parameter.data = torch.from_numpy(values.copy())
    if dtype == "bf16":
        return block.to(torch.bfloat16)
    if dtype == "int8":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that it will move to another package
            return torch.ao.quantization.quantize_dynamic(block, {torch.nn.Linear}, dtype=torch.qint8)
    return block


class Torch(peer.Peer):
    VARIANTS = {dtype: ("", "compile") for dtype in ("f32", "bf16", "int8")}

    def __init__(self, options):
        torch.set_num_threads(options.threads)
        torch.set_num_interop_threads(1)
        self.options = options
        self.blocks, self.layers, self.tokens = [], [], None

    def version(self):
        return torch.__version__

    def config(self):
        how = "torch.compile" if self.options.variant else "eager"
        precision = {"f32": "", "bf16": ", to(bfloat16)",
                     "int8": f", quantize_dynamic, {torch.backends.quantized.engine}"}[self.options.dtype]
        return f"{how}, inference_mode{precision}; for {torch.backends.cpu.get_cpu_capability()}"

    def add_layer(self, weights):
        self.blocks.append(make_block(weights, self.options.dtype))
        self.tokens = None

    # Compiled anew for each token count: a static shape is the faster one.
    def prepare(self, x):
        if self.tokens != len(x):
            self.layers, self.tokens = self.blocks, len(x)
            if self.options.variant:
                torch.compiler.reset()
                self.layers = [torch.compile(block, dynamic=False) for block in self.blocks]
        x = torch.from_numpy(x)
        return x.to(torch.bfloat16) if self.options.dtype == "bf16" else x

    def run(self, layer, x):
        with torch.inference_mode():
            return self.layers[layer](x)

    def to_numpy(self, y):
        return y.float().numpy()


if __name__ == "__main__":
    sys.exit(peer.serve(Torch))

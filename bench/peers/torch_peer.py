"""PyTorch: the module itself in inference mode, eager or ("compile") through torch.compile."""

import sys

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


class Torch:
    def __init__(self, threads, variant):
        if variant not in ("", "compile"):
            raise ValueError(f"unknown variant '{variant}': accepted is compile")
        torch.set_num_threads(threads)
        torch.set_num_interop_threads(1)
        self.variant = variant
        self.blocks, self.layers, self.tokens = [], [], None

    def version(self):
        return torch.__version__

    def config(self):
        how = "torch.compile" if self.variant else "eager"
        return f"{how}, inference_mode; for {torch.backends.cpu.get_cpu_capability()}"

    def add_layer(self, weights):
        block = Block().eval()
        parameters = (block.fc1.weight, block.fc1.bias, block.fc2.weight, block.fc2.bias)
        for parameter, values in zip(parameters, weights):  # read in place; numpy asks for huge pages
            parameter.data = torch.from_numpy(values.copy())
        self.blocks.append(block)
        self.tokens = None

    # Compiled anew for each token count: a static shape is the faster one.
    def prepare(self, x):
        if self.tokens != len(x):
            self.layers, self.tokens = self.blocks, len(x)
            if self.variant:
                torch.compiler.reset()
                self.layers = [torch.compile(block, dynamic=False) for block in self.blocks]
        return torch.from_numpy(x)

    def run(self, layer, x):
        with torch.inference_mode():
            return self.layers[layer](x)


if __name__ == "__main__":
    sys.exit(peer.serve(Torch))

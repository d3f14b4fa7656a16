#!/usr/bin/env python3
"""`fusedffn tower --layer-norm --residual` against the MLP half of DeepSeek-OCR's NoTPTransformerBlock, for all
layers of a checkpoint of tools/make_clip_l.py, by PyTorch in double precision and fp32.

usage: torch_transformer_test.py WORK_FOLDER SIZES PROGRAM...
SIZES: real, or small and odd. PROGRAM: in a cross-build it comes behind an emulator. Exit code 77, "skipped" to
ctest, where there is no PyTorch.
"""

import subprocess
import sys
from pathlib import Path

try:
    import torch
    from torch import nn
except ImportError:
    sys.exit(77)

TOOLS = Path(__file__).resolve().parent.parent / "tools"
sys.path.insert(0, str(TOOLS))
import numpy as np  # noqa: E402
from make_clip_l import layer_tensors, normal, save_npy  # noqa: E402
from notp_feed_forward import NoTPFeedForward  # noqa: E402

LAYERS, SEED = 3, 5
SIZES = {"real": (1024, 4096, 257), "small": (67, 131, 37)}  # dim, hidden, tokens
# The relative L2 error that is accepted of one layer, twice the library's own where the reference is in fp32. The
# errors of a layer reach the next one's y as they are, and once more through its block, whose slope is about 1.
REFERENCES = [(torch.float64, 2e-6), (torch.float32, 4e-6)]


class MlpHalf(nn.Module):
    """What NoTPTransformerBlock does after its attention, which gives h."""

    def __init__(self, dim, hidden):
        super().__init__()
        self.mlp = NoTPFeedForward(None, dim, hidden)
        self.layer_norm2 = nn.LayerNorm(dim, eps=1e-5)

    def forward(self, h):
        return h + self.mlp.forward(self.layer_norm2(h))


def read_layer(layer, dim, hidden):
    """The tensors of make_clip_l.py's checkpoint in fp32, which it makes again from their seeds."""
    tensors = enumerate(layer_tensors(dim, hidden))
    return {
        name: torch.from_numpy(normal([SEED, 1, layer, index], shape, mean, deviation))
        for index, (name, shape, mean, deviation) in tensors
        if not name.startswith("layer_norm1")
    }


def main():
    work, sizes, *program = sys.argv[1:]
    work = Path(work)
    dim, hidden, tokens = SIZES[sizes]
    subprocess.run([sys.executable, TOOLS / "make_clip_l.py", "--out", work, "--layers", str(LAYERS), "--seed",
                    str(SEED), "--dim", str(dim), "--hidden", str(hidden), "--tokens", str(tokens), "--dtype",
                    "f32"], check=True)
    subprocess.run([*program, "tower", "--weights", work / "clip_l.safetensors", "--input", work / "x.npy",
                    "--output", work / "y.npy", "--layer-norm", "--residual"], check=True)
    blocks = [MlpHalf(dim, hidden) for _ in range(LAYERS)]
    for layer, block in enumerate(blocks):
        block.load_state_dict(read_layer(layer, dim, hidden))
    tower = nn.Sequential(*blocks)
    agree = True
    for dtype, limit in REFERENCES:
        with torch.inference_mode():
            want = tower.to(dtype)(torch.from_numpy(np.load(work / "x.npy")).to(dtype)).to(torch.float32).numpy()
        save_npy(work / "want.npy", want)
        print(f"{dtype}: ", end="", flush=True)
        compare = [sys.executable, TOOLS / "compare_npy.py", work / "y.npy", work / "want.npy"]
        agree &= subprocess.run([*compare, "--max-rel-l2", str(limit * (2**LAYERS - 1))]).returncode == 0
    sys.exit(0 if agree else 1)


if __name__ == "__main__":
    main()

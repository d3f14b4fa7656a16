#!/usr/bin/env bash
# Layer 0 of a CLIP-L tower in DeepSeek-OCR's layout, end to end: installs the dependencies, builds the program,
# makes a checkpoint, runs the layer on every instruction set of this machine, compares each output with one
# computed in double precision, and prints the speeds. All that it makes is below build/.
set -euo pipefail
usage="usage: tools/demo.sh [--peers]
  --peers  also install MKL and PyTorch below build/, and run them side by side"
case ${1:-} in
  "") peers=false ;;
  --peers) peers=true ;;
  -h | --help) echo "$usage" && exit ;;
  *) printf 'demo: unknown option %s\n%s\n' "$1" "$usage" >&2 && exit 2 ;;
esac
cd "$(dirname "$0")/.."
python=build/venv/bin/python
program=build/release/bin/fusedffn
data=build/demo
layer=model.vision_model.transformer.layers.0.mlp

targets=(fusedffn_program)
if $peers; then
  tools/install_deps.sh --torch --peers
  targets+=(peers)
else
  tools/install_deps.sh
fi

echo "demo: building in build/release"
cmake --preset release > build/configure.log || { cat build/configure.log && exit 1; }
cmake --build --preset release --parallel "$(nproc)" --target "${targets[@]}"

echo "demo: making the checkpoint in $data"
$python tools/make_clip_l.py --out $data --layers 2

echo
$program info | tee $data/info.txt

# measure ROW OPTION...: runs the layer, checks its output, and keeps what it says for the table.
rows=$data/rows.txt
: > $rows
measure() {
  local summary check
  summary=$($program run --weights $data/clip_l.safetensors --layer $layer --input $data/x.npy \
    --output $data/y.npy --repeat 20 "${@:2}" | tail -n 1)
  check=$($python tools/compare_npy.py $data/y.npy $data/expected.npy --max-rel-l2 2e-6) || {
    echo "demo: wrong output of $1: $check" >&2
    exit 1
  }
  printf '%s\n    %s\n' "$summary" "$check"
  printf '%s\t%s\t%s\n' "$1" "${summary#*]}" "$check" >> $rows
}
printf '\ndemo: layer 0, 257 tokens, against expected.npy\n'
for target in $(awk '/ tile [0-9x]+ +(the default|supported)(,|$)/ { sub(/ +tile .*/, ""); print $NF }' $data/info.txt); do
  measure "$target" --isa "$target" --threads 1
done
measure default

awk -F'\t' '
  function word(text, n,  words) { split(text, words, " "); return words[n] }
  function row(name, target, threads, best, median, gflops, peak, tile, error) {
    printf "%-12s%-11s%8s%10s%11s%10s%11s%11s%15s\n", name, target, threads, best, median, gflops, peak, tile, error
  }
  BEGIN {
    print ""
    row("", "target", "threads", "best ms", "median ms", "GFLOP/s", "% of peak", "% of tile", "rel. L2 error")
  }
  {
    split($2, summary, ", ")
    row($1 == "default" ? "default" : "--isa", summary[3], word(summary[5], 1), word(summary[6], 2),
        word(summary[7], 2), word(summary[8], 1), word(summary[9], 1), word(summary[10], 1), word($3, 4))
  }' $rows

if $peers; then
  printf '\ndemo: beside MKL and PyTorch\n'
  $python bench/peers/compare_peers.py --quick --fresh --out $data/peers
fi

#!/usr/bin/env bash
# On an older CPU, which QEMU plays: the right instruction set is chosen, and nothing else is run into.
# usage: tests/old_cpu_test.sh QEMU CPU TARGET BUILD_FOLDER
# CPU is a model that QEMU knows, with features taken away if need be: Haswell,-fma.
set -euo pipefail
qemu=$1 cpu=$2 target=$3 build=$4
on_cpu() { "$qemu" -cpu "$cpu" "$build/$@"; }
export FUSEDFFN_TEST_LIGHT=1

chosen=$(on_cpu bin/fusedffn info | sed -n 's/^\(targets\)\? *\([A-Z0-9_]*\) *tile .* the default$/\2/p')
echo "$cpu: chosen is $chosen, expected is $target"
[ "$chosen" = "$target" ]
for test in targets_test masked_cpu_test activation_test; do on_cpu "tests/$test"; done
# Of the instruction sets below the chosen one, older CPUs show what there is to see.
on_cpu tests/gemm_block_test --gtest_filter="*/$target"
on_cpu tests/determinism_test --gtest_filter='*RecordedBits'

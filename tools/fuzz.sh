#!/usr/bin/env bash
# Builds the fuzzers (tests/fuzz) with the address and undefined-behavior sanitizers, and runs each for a while from the
# inputs in tests/corpus. One that finds something stops, and leaves the input below build/fuzz.
set -euo pipefail
usage="usage: tools/fuzz.sh [SECONDS [FUZZER...]]
  SECONDS  for each, default 30
  FUZZER   config, npy, run, safetensors; default all"
case ${1:-} in -h | --help) echo "$usage" && exit ;; esac
seconds=${1:-30}
[[ $seconds =~ ^[1-9][0-9]*$ ]] || { printf 'fuzz: SECONDS is %s\n%s\n' "$seconds" "$usage" >&2 && exit 2; }
cd "$(dirname "$0")/.."
fuzzers=("${@:2}")
[ ${#fuzzers[@]} -gt 0 ] || fuzzers=(config npy run safetensors)

cmake --preset fuzz > /dev/null
cmake --build --preset fuzz --parallel "$(nproc)" --target "${fuzzers[@]/%/_fuzz}"
for fuzzer in "${fuzzers[@]}"; do
  folder=build/fuzz/corpus/$fuzzer
  mkdir -p "$folder"
  echo "fuzz: $fuzzer, $seconds s"
  # A file that says that it holds gigabytes must not be believed: 256 MB for all.
  build/fuzz/tests/fuzz/"${fuzzer}_fuzz" -max_total_time="$seconds" -rss_limit_mb=1024 -malloc_limit_mb=256 -timeout=10 \
    -print_final_stats=1 -verbosity=0 -artifact_prefix=build/fuzz/ "$folder" "tests/corpus/$fuzzer" 2>&1 |
    grep -vE '^stat::(new_units|slowest|average)' || exit 1
done
echo "fuzz: nothing found"

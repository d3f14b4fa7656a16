#!/usr/bin/env bash
# Builds the fuzzers (tests/fuzz) with the address and undefined-behavior sanitizers, and runs each for a while from the
# inputs in tests/corpus, as many at a time as there are CPUs. One that finds something stops, and leaves the input
# below build/fuzz.
set -euo pipefail
usage="usage: tools/fuzz.sh [SECONDS [FUZZER...]] [-- CMAKE_OPTION...]
  SECONDS  for each, default 30
  FUZZER   arguments, config, index, npy, run, safetensors; default all"
case ${1:-} in -h | --help) echo "$usage" && exit ;; esac
seconds=30
if [[ ${1:---} != -- ]]; then seconds=$1 && shift; fi
[[ $seconds =~ ^[1-9][0-9]*$ ]] || { printf 'fuzz: SECONDS is %s\n%s\n' "$seconds" "$usage" >&2 && exit 2; }
fuzzers=()
while [[ ${1:---} != -- ]]; do fuzzers+=("$1") && shift; done
shift $(($# > 0))
cd "$(dirname "$0")/.."
[ ${#fuzzers[@]} -gt 0 ] || fuzzers=(run arguments config index npy safetensors)

cmake --preset fuzz "$@" > /dev/null
cmake --build --preset fuzz --parallel "$(nproc)" --target "${fuzzers[@]/%/_fuzz}"

fuzz() {  # fuzz FUZZER SECONDS
  local folder=build/fuzz/corpus/$1 log=build/fuzz/$1.log status=0
  mkdir -p "$folder"
  # A file that says that it holds gigabytes must not be believed: 256 MB for all.
  build/fuzz/tests/fuzz/"$1_fuzz" -max_total_time="$2" -rss_limit_mb=1024 -malloc_limit_mb=256 -timeout=10 \
    -print_final_stats=1 -verbosity=0 -print_funcs=0 -artifact_prefix=build/fuzz/ \
    "$folder" "tests/corpus/$1" > "$log" 2>&1 || status=$?
  echo "fuzz: $1, $2 s"
  sed -E '/^#+ Recommended dictionary/,/^#+ End of recommended/d; /^INFO:/d; /^stat::(new_units|slowest|average)/d' "$log"
  return "$status"
}
export -f fuzz
printf '%s\n' "${fuzzers[@]}" | xargs -P "$(nproc)" -I{} bash -c "fuzz {} $seconds" || exit 1
echo "fuzz: nothing found"

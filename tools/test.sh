#!/usr/bin/env bash
# Installs the dependencies, builds everything and runs all tests; ctest's summary is the last output.
set -euo pipefail
usage="usage: tools/test.sh [--exhaustive] [--preset NAME] [-- CMAKE_OPTION...]
  --exhaustive  the activations on all 2^32 floats, on every instruction set (minutes more)
  --preset      one of CMakePresets.json: release (default), debug, asan, tsan, clang-release, aarch64, ..."
preset=release
while [ $# -gt 0 ]; do
  case $1 in
    --exhaustive) export FUSEDFFN_EXHAUSTIVE=1 ;;
    --preset) preset=${2:?$usage} && shift ;;
    --) shift && break ;;
    -h | --help) echo "$usage" && exit ;;
    *) printf 'test: unknown option %s\n%s\n' "$1" "$usage" >&2 && exit 2 ;;
  esac
  shift
done
cd "$(dirname "$0")/.."
jobs=$(nproc)

deps=(--tests --torch)
[[ $preset != aarch64* ]] || deps+=(--aarch64)
tools/install_deps.sh "${deps[@]}"
cmake --preset "$preset" "$@"
cmake --build --preset "$preset" --parallel "$jobs"
exec ctest --preset "$preset" --parallel "$jobs"

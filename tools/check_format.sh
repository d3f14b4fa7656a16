#!/usr/bin/env bash
# Checks that every C and C++ file is as .clang-format says. With --fix, makes it so.
# usage: tools/check_format.sh [--fix]
set -euo pipefail
cd "$(dirname "$0")/.."
case ${1:-} in
  "") mode=(--dry-run -Werror) ;;
  --fix) mode=(-i) ;;
  *) echo "usage: tools/check_format.sh [--fix]" >&2 && exit 2 ;;
esac
# Versions differ in what they find well formatted: 16 is the one to agree with.
for clang_format in clang-format-16 clang-format clang-format-{22..14}; do
  command -v "$clang_format" > /dev/null && break
done
find include kernels src tests bench tools -name '*.h' -o -name '*.c' -o -name '*.cc' | sort |
  xargs "$clang_format" --style=file "${mode[@]}"

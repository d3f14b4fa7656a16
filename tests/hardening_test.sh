#!/usr/bin/env bash
# Whether a program of the preset "hardened" is: a position-independent executable, nothing of whose relocations or
# stack can be written to and executed, with guards on its stack, in the C and C++ libraries and at branches' targets.
# usage: tests/hardening_test.sh PROGRAM
set -euo pipefail
program=$1
failed=0
must() {  # must WHAT PATTERN COMMAND...
  if "${@:3}" "$program" | grep -E "$2" > /dev/null; then return; fi
  echo "$program: $1" >&2
  failed=1
}
must "not a position-independent executable" 'Type: +DYN \(Position-Independent' readelf -hW
must "relocations stay writable" 'GNU_RELRO' readelf -lW
must "functions are looked up at their first call" '\(FLAGS_1\).*NOW' readelf -dW
must "the stack is executable, or nobody knows" 'GNU_STACK .* RW +0x' readelf -lW
must "no guard on the stack" '__stack_chk_fail' readelf --dyn-syms -W
must "no checks in the C library" '__[a-z]+_chk@' readelf --dyn-syms -W
must "no checks in the C++ library" '__glibcxx_assert_fail' readelf --dyn-syms -W
must "branches' targets are not marked" 'endbr64' objdump -d --no-show-raw-insn
exit "$failed"

#!/usr/bin/env bash
# Puts what fusedffn is built from, compiled for AArch64, where the aarch64 presets find it.
# usage: tools/fetch_aarch64.sh PREFIX
#
# On Debian 12 and later: the release's own arm64 packages, unpacked into PREFIX; Highway is the next
# release's where this one's is too old.
set -euo pipefail
prefix=$(mkdir -p "$1" && cd "$1" && pwd)
[ -e "$prefix/usr" ] && exit 0
. /etc/os-release
[ "${ID:-}" = debian ] && [ "${VERSION_ID:-0}" -ge 12 ] || {
  echo "fetch_aarch64: works on Debian 12 and later, not on ${PRETTY_NAME:-this system}" >&2
  exit 1
}
highway=$VERSION_CODENAME
[ "$VERSION_ID" != 12 ] || highway=trixie

unpack=$(dirname "$0")/unpack_packages.sh
rm -rf "$prefix/unpacked"
"$unpack" "$VERSION_CODENAME" arm64 "$prefix/unpacked" libbenchmark-dev libcli11-dev libfmt-dev libgtest-dev \
  libtbb-dev libtbbbind-2-5 libtbbmalloc2 nlohmann-json3-dev
"$unpack" "$highway" arm64 "$prefix/unpacked" libhwy-dev
mv "$prefix/unpacked/usr" "$prefix/usr"  # whole or not at all
rm -rf "$prefix/unpacked"
echo "fetch_aarch64: arm64 packages of oneTBB, Highway, GoogleTest and others unpacked into $prefix"

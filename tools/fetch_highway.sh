#!/usr/bin/env bash
# Puts Highway >= 1.2 where CMake finds it on Debian 12, whose own package is 1.0.3.
# usage: tools/fetch_highway.sh PREFIX
#
# The package of the next Debian release depends on nothing newer, so it is unpacked into PREFIX.
set -euo pipefail
prefix=$(mkdir -p "$1" && cd "$1" && pwd)
[ -e "$prefix/usr" ] && exit 0

candidate=$(apt-cache policy libhwy-dev 2> /dev/null | awk '/Candidate:/ && $2 != "(none)" { print $2 }')
if [ -n "$candidate" ] && dpkg --compare-versions "$candidate" ge 1.2; then
  echo "fetch_highway: nothing to fetch, libhwy-dev $candidate is new enough: apt-get install libhwy-dev" >&2
  exit 1
fi
. /etc/os-release
[ "${VERSION_CODENAME:-}" = bookworm ] || {
  echo "fetch_highway: works on Debian 12 only, not on ${PRETTY_NAME:-this system}" >&2
  exit 1
}

rm -rf "$prefix/unpacked"
"$(dirname "$0")/unpack_packages.sh" trixie "$(dpkg --print-architecture)" "$prefix/unpacked" libhwy-dev
# The package is not where it was built for.
sed -i "s|^prefix=.*|prefix=$prefix/usr|" "$prefix"/unpacked/usr/lib/*/pkgconfig/*.pc
mv "$prefix/unpacked/usr" "$prefix/usr"  # whole or not at all
rmdir "$prefix/unpacked"
echo "fetch_highway: libhwy-dev of Debian 13 unpacked into $prefix"

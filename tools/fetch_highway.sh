#!/usr/bin/env bash
# Puts Highway >= 1.2 where CMake finds it on Debian 12, whose own package is 1.0.3.
# usage: tools/fetch_highway.sh PREFIX
#
# The package of the next Debian release depends on nothing newer, so it is downloaded through a private
# apt configuration derived from the machine's own and unpacked into PREFIX; the system's apt
# configuration and its installed packages stay as they are.
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

# The machine's own Debian mirror, with the release's name replaced.
mirror=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/*.{list,sources} 2>/dev/null |
         awk 'match($0, /https?:\/\/[^ ]+\/debian\/?( |$)/) && !found { found = substr($0, RSTART, RLENGTH) }
              END { sub(/ $/, "", found); print found }') || true
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work"/{lists/partial,archives/partial}
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]" \
  "${mirror:-http://deb.debian.org/debian} trixie main" > "$work/sources.list"
chmod -R a+rX "$work"
apt_private=(-o "Dir::Etc::sourcelist=$work/sources.list" -o Dir::Etc::sourceparts=-
             -o "Dir::State::lists=$work/lists" -o "Dir::Cache::archives=$work/archives"
             -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= -o APT::Sandbox::User=root)
apt-get "${apt_private[@]}" -qq update
(cd "$work" && apt-get "${apt_private[@]}" -qq download libhwy-dev libhwy1t64)
rm -rf "$prefix/unpacked"
for deb in "$work"/*.deb; do dpkg-deb -x "$deb" "$prefix/unpacked"; done
# The package is not where it was built for.
sed -i "s|^prefix=.*|prefix=$prefix/usr|" "$prefix"/unpacked/usr/lib/*/pkgconfig/*.pc
mv "$prefix/unpacked/usr" "$prefix/usr"  # whole or not at all
rmdir "$prefix/unpacked"
echo "fetch_highway: $(basename "$work"/libhwy-dev*.deb) unpacked into $prefix"

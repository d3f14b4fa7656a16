#!/usr/bin/env bash
# Unpacks packages of another Debian release, or for another architecture, into a folder.
# usage: tools/unpack_packages.sh RELEASE ARCHITECTURE FOLDER PACKAGE...
#
# With each comes what it depends on in its own version: a -dev package brings its library. They are
# downloaded through a private apt configuration derived from the machine's own; the system's apt
# configuration and its installed packages stay as they are.
set -euo pipefail
release=$1 architecture=$2
folder=$(mkdir -p "$3" && cd "$3" && pwd)
shift 3

# The machine's own Debian mirror, whatever release it is used for.
mirror=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/*.{list,sources} 2>/dev/null |
         awk 'match($0, /https?:\/\/[^ ]+\/debian\/?( |$)/) && !found { found = substr($0, RSTART, RLENGTH) }
              END { sub(/ $/, "", found); print found }') || true
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work"/{lists/partial,archives/partial}
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]" \
  "${mirror:-http://deb.debian.org/debian} $release main" > "$work/sources.list"
chmod -R a+rX "$work"
apt_private=(-o "Dir::Etc::sourcelist=$work/sources.list" -o Dir::Etc::sourceparts=-
             -o "Dir::State::lists=$work/lists" -o "Dir::Cache::archives=$work/archives"
             -o Dir::State::status=/dev/null -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache=
             -o "APT::Architecture=$architecture" -o "APT::Architectures::=$architecture"
             -o APT::Sandbox::User=root)
apt-get "${apt_private[@]}" -qq update
libraries=$(apt-cache "${apt_private[@]}" show --no-all-versions "$@" |
            awk -F '[:,]' '/^Version:/ { sub(/^Version: /, ""); version = $0 }
                           /^Depends:/ { for (i = 2; i <= NF; ++i)
                                           if (index($i, "(= " version ")")) { split($i, words, " ")
                                                                               print words[1] } }')
# Word splitting makes a list of them.
# shellcheck disable=SC2086
(cd "$work" && apt-get "${apt_private[@]}" -qq download "$@" $libraries)
for deb in "$work"/*.deb; do dpkg-deb -x "$deb" "$folder"; done

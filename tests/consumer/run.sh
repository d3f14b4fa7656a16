#!/usr/bin/env bash
# Builds and runs the consumer against the library in every way that a stranger may use it.
# usage: tests/consumer/run.sh static|shared WORK_FOLDER [BUILD], with CMAKE, CXX and CMAKE_GENERATOR in the environment,
#        and CC, if it is not cc
#   BUILD  the library, built so; without, it is built here
set -euo pipefail
variant=$1
work=$2
library=${3:-$work/library}
here=$(cd "$(dirname "$0")" && pwd)
source=$(cd "$here/../.." && pwd)
prefix=$work/moved/prefix
shared=$([ "$variant" = shared ] && echo ON || echo OFF)
# How it is packaged is what is tested, so two instruction sets will do, and no optimization: each library takes a
# fraction of the time.
left_out='AVX3;AVX3_DL;AVX3_ZEN4;AVX3_SPR'
build() {  # build FOLDER SOURCE OPTIONS...
  "$CMAKE" -S "$2" -B "$work/$1" -DCMAKE_BUILD_TYPE=Release -DBUILD_SHARED_LIBS="$shared" \
    -DCMAKE_CXX_FLAGS_RELEASE=-DNDEBUG -DFUSEDFFN_DISABLED_TARGETS="$left_out" "${@:3}"
  "$CMAKE" --build "$work/$1"
}
rm -rf "$work"

echo "== install ($variant)"
if [ ! -e "$library" ]; then
  # The program as well where it can only use what a shared library exports.
  build library "$source" -DFUSEDFFN_BUILD_TOOLS="$shared" -DFUSEDFFN_BUILD_TESTS=OFF -DFUSEDFFN_BUILD_BENCH=OFF
fi
"$CMAKE" --install "$library" --prefix "$work/prefix"

# As if it had been packed on another machine: nothing may lead back to where it was built or put first.
mkdir "$work/moved"
mv "$work/prefix" "$prefix"
if [ "$library" = "$work/library" ]; then mv "$library" "$library.hidden"; fi
if grep -rF -e "$source" -e "$library" -e "$work/prefix" "$prefix"/lib/{cmake,pkgconfig}; then
  echo "these files of the installed prefix have paths of this machine" >&2
  exit 1
fi
for file in LICENSE THIRD_PARTY_NOTICES; do test -s "$prefix/share/doc/fusedffn/$file"; done
for binary in "$prefix"/bin/* "$prefix"/lib/*.so; do
  [ -e "$binary" ] || continue
  if objdump -p "$binary" | grep -E 'R(UN)?PATH (.*:)? *[^ $]|NEEDED +libhwy'; then
    echo "$binary needs what may not be there" >&2
    exit 1
  fi
done
if [ -e "$prefix/bin/fusedffn" ]; then "$prefix/bin/fusedffn" info; fi

echo "== find_package"
build find_package "$here" -DCMAKE_PREFIX_PATH="$prefix"
"$work/find_package/consumer"
"$work/find_package/load" "$work/m.safetensors"
"$work/find_package/plugin_host" "$work/find_package/libplugin.so"

echo "== find_package, from C"
build c99 "$here/c99" -DCMAKE_PREFIX_PATH="$prefix"
"$work/c99/run"
"$work/c99/load" "$work/m.safetensors"

# Builds the library once more, the same for both variants.
if [ "$variant" = static ]; then
  echo "== add_subdirectory"
  build add_subdirectory "$here" -DFUSEDFFN_SOURCE_DIR="$source"
  "$work/add_subdirectory/consumer"
  "$work/add_subdirectory/load" "$work/m.safetensors"
fi

if command -v pkg-config > /dev/null; then
  echo "== pkg-config"
  export PKG_CONFIG_PATH=$prefix/lib/pkgconfig LD_LIBRARY_PATH=$prefix/lib
  link=$([ "$variant" = static ] && echo --static || true)
  # Word splitting is how pkg-config's answer becomes arguments.
  # shellcheck disable=SC2046
  "$CXX" -std=c++17 "$here/main.cc" -o "$work/consumer" $(pkg-config --cflags --libs $link fusedffn tbb)
  "$work/consumer"
  # shellcheck disable=SC2046
  "$CXX" -std=c++17 "$here/load.cc" -o "$work/load" $(pkg-config --cflags --libs $link fusedffn-io)
  "$work/load" "$work/m.safetensors"
  for program in run:fusedffn load:fusedffn-io; do
    # shellcheck disable=SC2046
    "${CC:-cc}" -std=c99 -pedantic -Wall -Wextra -Werror "$here/c99/${program%:*}.c" -o "$work/from_c" \
      $(pkg-config --cflags --libs $link "${program#*:}") -lm
    "$work/from_c" "$work/m.safetensors"
  done
fi

if [ "$variant" = static ]; then
  echo "== two versions in one program"
  # The other one is this one with another number, and so another namespace.
  other=$work/other
  mkdir -p "$other/build"
  cp -r "$source"/{include,kernels,src,tools,CMakeLists.txt} "$other"
  if [ -e "$source/build/deps" ]; then ln -s "$source/build/deps" "$other/build/deps"; fi
  namespace=$(sed -n 's/^inline namespace \(v[0-9_]*\) {$/\1/p' "$source/include/fusedffn/fusedffn.h")
  grep -rlw "$namespace" "$other"/{include,kernels,src} | xargs sed -i "s/\b$namespace\b/v99_99/"
  sed -i -E 's/^(#define FUSEDFFN_VERSION_M[A-Z]+) .*/\1 99/' "$other/include/fusedffn/version.h"
  build other_library "$other" -DFUSEDFFN_BUILD_IO=OFF -DFUSEDFFN_BUILD_TOOLS=OFF -DFUSEDFFN_BUILD_TESTS=OFF -DFUSEDFFN_BUILD_BENCH=OFF
  compile() { "$CXX" -std=c++17 -I"$1" -DVERSION_IS_RIGHT="$2" -c "$here/one_version.cc" -o "$work/$2.o"; }
  compile "$source/include" ThisVersionIsRight
  compile "$other/include" OtherVersionIsRight
  "$CXX" -std=c++17 "$here/two_versions.cc" "$work"/{This,Other}VersionIsRight.o -o "$work/two_versions" \
    "$prefix/lib/libfusedffn.a" "$work/other_library/libfusedffn.a" -pthread -ldl
  "$work/two_versions"
fi

if [ "$variant" = shared ]; then
  echo "== exported symbols"
  nm -D --defined-only "$prefix/lib/libfusedffn.so" | cut -d' ' -f3 | sort > "$work/symbols"
  grep -v '^fusedffn_' "$work/symbols" | c++filt > "$work/exported"
  if ! grep -q '^fusedffn::v[0-9_]*::Run(' "$work/exported" || grep -v '^fusedffn::' "$work/exported" >&2; then
    echo "libfusedffn.so does not export fusedffn::, fusedffn_* and nothing else" >&2
    exit 1
  fi
  # C's are those of its header, all of them and no others.
  grep -oE 'fusedffn_[a-z0-9_]+\(' "$source/include/fusedffn/fusedffn_c.h" | tr -d '(' | sort -u |
    diff - <(grep '^fusedffn_' "$work/symbols")
  # The list of what may be exported is the header.
  sed -E 's/\(.*//; s/.*:://' "$work/exported" | sort -u | while read -r name; do
    grep -qF -- "$name" "$source/include/fusedffn/fusedffn.h" && continue
    echo "libfusedffn.so exports $name, which the header does not have" >&2
    exit 1
  done
fi

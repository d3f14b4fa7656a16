#!/usr/bin/env bash
# Installs what fusedffn is built from, on Debian and Ubuntu: system packages, and below build/ what the
# system's package manager does not have. Safe to run again; quick when everything is there.
set -euo pipefail
usage="usage: tools/install_deps.sh [--tests] [--torch] [--peers] [--aarch64]
  --tests    also clang, clang-format and binutils, which only the tests use
  --torch    also PyTorch 2.13.0 and transformers 5.24.0, into build/venv
  --peers    also MKL, into build/venv
  --aarch64  also compilers for AArch64 and QEMU, and arm64 packages into build/deps-aarch64 (Debian only)"
tests=false torch=false peers=false aarch64=false
for argument in "$@"; do
  case $argument in
    --tests) tests=true ;;
    --torch) torch=true ;;
    --peers) peers=true ;;
    --aarch64) aarch64=true ;;
    -h | --help) echo "$usage" && exit ;;
    *) printf 'install_deps: unknown option %s\n%s\n' "$argument" "$usage" >&2 && exit 2 ;;
  esac
done
cd "$(dirname "$0")/.."

die() { echo "install_deps: $*" >&2 && exit 1; }
command -v apt-get > /dev/null || die "needs apt-get (Debian or Ubuntu); elsewhere, install by hand:" \
  "CMake >= 3.22, Ninja, a C++17 compiler, oneTBB, Highway >= 1.2, CLI11, fmt, nlohmann-json, Python 3"

as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  else
    command -v sudo > /dev/null || die "needs root or sudo for: $*"
    sudo "$@"
  fi
}
is_installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2> /dev/null)" = installed ]; }
candidate() { apt-cache policy "$1" 2> /dev/null | awk '/Candidate:/ && $2 != "(none)" { print $2 }'; }
lists_updated=false
update_lists() {
  $lists_updated && return
  echo "install_deps: updating the package lists"
  as_root apt-get -qq update
  lists_updated=true
}

# A new machine, or a container, may have no package lists to answer from.
[ -n "$(candidate libtbb-dev)" ] || update_lists

# The first of these versions that there is.
first_clang() {
  local version
  for version in "$@"; do
    [ -z "$(candidate "clang-$version")" ] || { echo "$version" && return; }
  done
  die "no clang package in this machine's package lists"
}

packages=(ca-certificates libbenchmark-dev libcli11-dev libfmt-dev libgtest-dev libtbb-dev nlohmann-json3-dev)
for tool in cmake:cmake g++:g++ git:git ninja:ninja-build pkg-config:pkg-config; do
  command -v "${tool%:*}" > /dev/null || packages+=("${tool#*:}")
done
python3 -c 'import ensurepip, venv' 2> /dev/null || packages+=(python3-venv)

highway=$(candidate libhwy-dev)
if [ -n "$highway" ] && dpkg --compare-versions "$highway" ge 1.2; then
  packages+=(libhwy-dev)
  highway=package
elif grep -q '^VERSION_CODENAME=bookworm$' /etc/os-release; then
  highway=debian-13
else
  highway=source
fi
if $tests; then
  # clang-16 is what the project is tested with; any other is better than none.
  clang=$(first_clang 16 22 21 20 19 18 17 15 14)
  packages+=(binutils "clang-$clang" "clang-format-$clang")
  sanitizers=libclang-rt-$clang-dev  # up to clang 14, a part of another package
  [ -z "$(candidate "$sanitizers")" ] || packages+=("$sanitizers")
fi
# For AArch64, Highway compiles for more than the baseline from clang-17 on; clang-19 is what was tested.
$aarch64 && packages+=(binutils g++-aarch64-linux-gnu qemu-user "clang-$(first_clang 19 22 21 20 18 17 16)")

missing=()
for package in "${packages[@]}"; do is_installed "$package" || missing+=("$package"); done
if [ ${#missing[@]} -gt 0 ]; then
  echo "install_deps: installing with apt-get: ${missing[*]}"
  update_lists
  as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 install -y \
    --no-install-recommends "${missing[@]}" < /dev/null > /dev/null  # its errors go to stderr
else
  echo "install_deps: system packages are all there"
fi

case $highway in
  debian-13) tools/fetch_highway.sh build/deps ;;
  source) echo "install_deps: no Highway >= 1.2 among this machine's packages: CMake will fetch its source" ;;
esac
if $aarch64; then
  [ -e build/deps-aarch64/usr ] || echo "install_deps: unpacking arm64 packages into build/deps-aarch64"
  tools/fetch_aarch64.sh build/deps-aarch64
fi

python=build/venv/bin/python
if ! [ -x $python ]; then
  echo "install_deps: making a Python environment in build/venv"
  python3 -m venv build/venv
fi
requirements=(numpy ml_dtypes)
$torch && requirements+=(torch==2.13.0 transformers==5.24.0)
$peers && requirements+=(mkl-devel mkl-include)
missing=()
for requirement in "${requirements[@]}"; do
  $python - "$requirement" 2> /dev/null << 'END' || missing+=("$requirement")
import importlib.metadata, sys
name, _, version = sys.argv[1].partition("==")
installed = importlib.metadata.version(name).split("+")[0]
sys.exit(version not in ("", installed))
END
done
if [ ${#missing[@]} -gt 0 ]; then
  echo "install_deps: installing with pip into build/venv: ${missing[*]}"
  [[ ${missing[*]} != *torch* ]] ||
    echo "install_deps: (gigabytes of CUDA come with torch unless pip is configured to find its CPU build)"
  $python -m pip install --quiet --disable-pip-version-check "${missing[@]}" < /dev/null
else
  echo "install_deps: Python packages are all there"
fi

#!/bin/sh
# Install what is missing: need.sh build|all|check|fuzz. Debian's packages, as root or by sudo. Says what it does.
set -eu

build='gcc libc6-dev meson ninja-build pkg-config python3 libzmq3-dev libcyaml-dev libyaml-dev libssl-dev libcurl4-openssl-dev zlib1g-dev libzstd-dev node-d3-scale node-d3-axis node-d3-shape node-d3-selection node-d3-force esbuild'
all="$build librdkafka-dev"
check="$all libglpk-dev iproute2 openssh-client openssh-server protobuf-compiler zsh"
fuzz="$check clang llvm"

case "${1:-}" in
build) packages=$build ;;
all) packages=$all ;;
check) packages=$check ;;
fuzz) packages=$fuzz ;;
*) echo "usage: tools/need.sh build|all|check|fuzz" >&2; exit 2 ;;
esac

missing=
for package in $packages; do
  # A compiler, Python or meson from elsewhere serves as well as Debian's.
  case $package in
  gcc) command -v gcc >/dev/null && continue ;;
  python3) command -v python3 >/dev/null && continue ;;
  meson) command -v meson >/dev/null && continue ;;
  ninja-build) command -v ninja >/dev/null && continue ;;
  pkg-config) command -v pkg-config >/dev/null && continue ;;
  clang) command -v clang >/dev/null && continue ;;
  esbuild) command -v esbuild >/dev/null && continue ;;
  esac
  dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if ! command -v apt-get >/dev/null; then
  echo "need.sh: this is no Debian; please install the like of:$missing" >&2
  exit 2
fi
sudo=
if [ "$(id -u)" != 0 ]; then
  if ! command -v sudo >/dev/null; then
    echo "need.sh: these packages are missing, and neither root nor sudo is here to install them:$missing" >&2
    exit 2
  fi
  sudo=sudo
fi
echo "Installing Debian packages:$missing"
install() {
  # shellcheck disable=SC2086 # a list of words
  DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends $missing >/tmp/need.$$ 2>&1
}
if ! install; then
  $sudo apt-get update -qq >/tmp/need.$$ 2>&1 || true
  if ! install; then
    tail -5 /tmp/need.$$ >&2
    rm -f /tmp/need.$$
    echo "need.sh: apt-get could not install them" >&2
    exit 2
  fi
fi
rm -f /tmp/need.$$

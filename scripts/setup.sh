#!/usr/bin/env bash
# Installs the Debian packages that building and testing need, if any are missing. Needs root only then;
# without it, prints the one command to run.
set -euo pipefail

packages=(
  g++ cmake ninja-build make pkg-config
  nlohmann-json3-dev libsimdjson-dev libcli11-dev libyaml-cpp-dev libfmt-dev libpcre2-dev libutf8proc-dev libssl-dev
  zlib1g-dev libzstd-dev
  libgtest-dev libbenchmark-dev libonig-dev
  libopenmpi-dev openmpi-bin
  clang clang-format libclang-rt-14-dev
)

missing=()
for package in "${packages[@]}"; do
  status=$(dpkg-query -W -f '${Status}' "$package" 2>/dev/null || echo missing)
  [[ $status == 'install ok installed' ]] || missing+=("$package")
done
((${#missing[@]} == 0)) && exit 0

install=(apt-get install -y --no-install-recommends "${missing[@]}")
if [[ $EUID -eq 0 ]]; then
  as_root=()
elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
  as_root=(sudo -n)
else
  echo "trireme: these packages are missing: ${missing[*]}" >&2
  echo "trireme: run this once as root, then try again:" >&2
  echo "  apt-get update && ${install[*]}" >&2
  exit 4
fi
echo "trireme: installing ${missing[*]}" >&2
export DEBIAN_FRONTEND=noninteractive
"${as_root[@]}" apt-get update -q >&2
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive "${install[@]}" >&2

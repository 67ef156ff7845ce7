#!/usr/bin/env bash
# Cross-compiles for 64-bit ARM and runs the tests of codecs and kernels under qemu-user:
# NEON must write the bytes that x86 writes. Installs what is missing first. About 5 minutes on 2
# cores the first time.
#
#   tools/test_neon.sh             codec and kernels
#   tools/test_neon.sh FOLDER...   the tests of other folders too (io, quantize, ...), and the program
#                                  is built
set -euo pipefail
cd "$(dirname "$0")/.."
source tools/setup.sh
export PATH="/usr/lib/ccache:$PATH"

sysroot=build/aarch64-sysroot
libraries="libfmt-dev libfmt9 libpcre2-dev libpcre2-8-0
  libutf8proc-dev libutf8proc2 libgtest-dev
  nlohmann-json3-dev libcli11-dev libcurl4-openssl-dev libcurl4 libssl-dev libssl3
  libtomlplusplus-dev libyaml-dev libyaml-0-2 zlib1g-dev zlib1g"

# arm64 packages unpacked into a folder: installed, they would stand in the way of the host's own.
# Lists and downloads are apt's, signatures and all, but in a folder of their own.
fetch_libraries() {
  [ "$(cat "$sysroot/complete" 2>/dev/null)" = "$libraries" ] && return 0
  local apt=$PWD/build/aarch64-apt package
  rm -rf "$sysroot" "$apt"
  mkdir -p "$sysroot" "$apt/lists/partial" "$apt/archives/partial" "$apt/packages"
  local options=(-qq -o APT::Architecture=arm64 -o APT::Architectures=arm64
    -o Dir::State::lists="$apt/lists" -o Dir::State::status=/dev/null
    -o Dir::Cache::archives="$apt/archives" -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache=
    -o APT::Sandbox::User= -o Debug::NoLocking=1)
  apt-get "${options[@]}" update
  # shellcheck disable=SC2086
  (cd "$apt/packages" && apt-get "${options[@]}" download $libraries)
  for package in "$apt"/packages/*.deb; do dpkg-deb -x "$package" "$sysroot"; done
  rm -rf "$apt"
  echo "$libraries" >"$sysroot/complete"
}

folders=(tensor codec kernels "$@")
targets=(test_runtime)
[ $# -eq 0 ] || targets+=(llama-pajamas)
for folder in "${folders[@]}"; do targets+=("test_$folder"); done

# emulated FOLDER FILTER: the tests of one folder that the filter names.
emulated() {
  echo "$1"
  qemu-aarch64 -L /usr/aarch64-linux-gnu -E LD_LIBRARY_PATH="$sysroot/usr/lib/aarch64-linux-gnu" \
    "build/neon/tests/test_$1" --gtest_brief=1 --gtest_filter="$2"
}

# What compares the same bytes over weights that the pinned hashes cover, or judges their quality: slow
# here and nothing new.
left_out="EncodeKernels.WriteTheSameBytesForOrdinaryWeights:EncodeKernels.WriteTheSameBytesForLongRows"
left_out+=":Oracle.*:Encode.Error*:Encode.Importance*"
[ "${PAJAMAS_THOROUGH:-}" != 1 ] || left_out=

install_missing g++-aarch64-linux-gnu qemu-user
fetch_libraries
build neon "${targets[@]}"
# Beside each other: qemu takes minutes for each.
running=()
for folder in "${folders[@]}"; do
  emulated "$folder" "-$left_out" &
  running+=($!)
done
emulated runtime '*Int8*' &  # the products of whole numbers
running+=($!)
for one in "${running[@]}"; do wait "$one"; done

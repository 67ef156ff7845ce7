#!/usr/bin/env bash
# Reads sources as a compiler for macOS on Apple silicon does, against Apple's own headers, which the
# pinned wheel of the Zig compiler brings along (the headers alone are kept, in build/macos; nothing of
# Zig runs). Nothing is linked or run: what this cannot find is in docs/macos.md.
#
#   tools/check_macos.sh              src/base and what else is made differently there
#   tools/check_macos.sh FILE...      these
set -euo pipefail
cd "$(dirname "$0")/.."
source tools/setup.sh

pin=ziglang==0.11.0 # its libc++ is one that clang 14 reads
headers=$PWD/build/macos
if [ "$(cat "$headers/.pin" 2>/dev/null)" != "$pin" ]; then
  echo "setting up the headers of $pin in build/macos"
  rm -rf "$headers"
  mkdir -p "$headers/include"
  python=$([ -x /usr/bin/python3 ] && echo /usr/bin/python3 || echo python3)
  "$python" -m pip download -q --no-deps --only-binary=:all: -d "$headers" "$pin"
  "$python" - "$headers" <<'PYTHON'
import pathlib
import sys
import zipfile
folder = pathlib.Path(sys.argv[1])
wanted = ("libc/include/aarch64-macos.13-none/", "libc/include/any-macos.13-any/",
          "libc/include/any-macos-any/", "libcxx/include/")
for wheel in folder.glob("*.whl"):
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if name.startswith(tuple(f"ziglang/lib/{each}" for each in wanted)):
                archive.extract(name, folder)
    wheel.unlink()
# Of libraries that are headers for every system.
for name in ("fmt", "nlohmann", "CLI", "toml++"):
    (folder / "include" / name).symlink_to(pathlib.Path("/usr/include") / name)
PYTHON
  echo "$pin" >"$headers/.pin"
fi

# read_one FILE
read_one() {
  local lib=build/macos/ziglang/lib
  clang++ -target arm64-apple-macos13 -std=c++20 -fsyntax-only -Wall -Wextra -Wpedantic -Wshadow -Werror \
    -nostdinc++ -nostdlibinc -D_LIBCPP_DISABLE_AVAILABILITY -DPAJAMAS_VERSION='""' -Isrc -Itests \
    -isystem "$lib/libcxx/include" -isystem build/macos/include \
    -isystem "$lib/libc/include/aarch64-macos.13-none" -isystem "$lib/libc/include/any-macos.13-any" \
    -isystem "$lib/libc/include/any-macos-any" "$1"
}
export -f read_one

if [ $# -eq 0 ]; then
  set -- src/base/*.cpp src/runtime/backend_choice.cpp src/runtime/mlx/backend.cpp src/cli/chat/signals.cpp \
    src/cli/process.cpp src/cli/doctor/report.cpp
fi
printf '%s\n' "$@" | xargs -P "$(cores)" -n 1 bash -c 'read_one "$1"' check
echo "$# sources are right for macOS, as far as a compiler tells"

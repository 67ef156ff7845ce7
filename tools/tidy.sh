#!/usr/bin/env bash
# clang-tidy over every source of src/. What was found clean as it is now (the text that the compiler
# sees with its comments, the command, the checks) is not read again: that is kept in ~/.cache.
#
#   tools/tidy.sh              all files; running out of TIDY_SECONDS (1800) is a failure
#   tools/tidy.sh FILE...      some
set -euo pipefail
cd "$(dirname "$0")/.."
export TIDY_CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/llama-pajamas/tidy
mkdir -p "$TIDY_CACHE" build
cmake --preset tidy >build/tidy-configure.log || { tail -n 20 build/tidy-configure.log >&2; exit 1; }
TIDY_CHECKS=$( (clang-tidy --version; cat .clang-tidy) | sha256sum | cut -c1-64)
export TIDY_CHECKS

# tidy_one FILE
tidy_one() {
  local command key
  command=$(python3 - "$1" <<'PYTHON'
import json
import os
import shlex
import sys
name = os.path.abspath(sys.argv[1])
for entry in json.load(open("build/tidy/compile_commands.json")):
    if entry["file"] == name:
        words = shlex.split(entry["command"])
        at = words.index("-o")
        del words[at:at + 2]
        words[words.index("-c")] = "-E -P -C"
        print(" ".join(w if w == "-E -P -C" else shlex.quote(w) for w in words))
PYTHON
  )
  [ -n "$command" ] || { echo "$1: error: no command compiles it"; return 1; }
  key=$( (echo "$TIDY_CHECKS ${command//$PWD/.}"; cd build/tidy && eval "$command" 2>/dev/null) |
    sha256sum | cut -c1-64)
  [ ! -e "$TIDY_CACHE/$key" ] || return 0
  clang-tidy -p build/tidy --quiet "$1" 2>/dev/null || return 1
  touch "$TIDY_CACHE/$key"
}
export -f tidy_one

status=0
{ [ $# -gt 0 ] && printf '%s\n' "$@" || git ls-files 'src/*.cpp'; } |
  timeout "${TIDY_SECONDS:-1800}" xargs -P "$(nproc)" -n 1 bash -c 'tidy_one "$1"' tidy \
    >build/tidy.log || status=$?
find "$TIDY_CACHE" -type f -mtime +60 -delete
if [ "$status" -eq 124 ]; then
  echo "error: clang-tidy did not come to its end in ${TIDY_SECONDS:-1800} s (TIDY_SECONDS)" >&2
  exit 1
elif [ "$status" -ne 0 ]; then
  grep -E "(warning|error):" build/tidy.log | sort -u | head -n 50 >&2
  exit 1
fi

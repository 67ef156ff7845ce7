#!/usr/bin/env bash
# clang-tidy over every source of src/, several of a folder at a time as release builds compile them:
# nine tenths of its time go into headers. What was found clean as it is now (the text that the
# compiler sees with its comments, the command, the checks) is not read again: that is kept in ~/.cache.
#
#   tools/tidy.sh              all files; running out of TIDY_SECONDS (1800) is a failure
#   tools/tidy.sh FILE...      some, and those that are compiled with them
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

# units [FILE...]: what the compiler is given, of these sources or of all.
units() {
  python3 - "$@" <<'PYTHON'
import json
import os
import re
import sys
wanted = {os.path.abspath(name) for name in sys.argv[1:]}
source = os.path.abspath("src")
known = set()
for entry in json.load(open("build/tidy/compile_commands.json")):
    unit = entry["file"]
    parts = {unit}
    piece = re.search(r"/generated/pieces/(\w+)/", unit)
    if piece:
        parts = {os.path.abspath(os.path.join(piece[1], part)) for part in re.findall(r'#include "(.+)"', open(unit).read())}
    known |= parts
    if any(part.startswith(source + "/") for part in parts) and (not wanted or wanted & parts):
        print(unit)
for name in wanted - known:
    print(name)  # of which tidy_one will say that no command compiles it
PYTHON
}

status=0
units "$@" |
  timeout "${TIDY_SECONDS:-1800}" xargs -P "$(getconf _NPROCESSORS_ONLN)" -n 1 bash -c 'tidy_one "$1"' tidy \
    >build/tidy.log || status=$?
find "$TIDY_CACHE" -type f -mtime +60 -delete
if [ "$status" -eq 124 ]; then
  echo "error: clang-tidy did not come to its end in ${TIDY_SECONDS:-1800} s (TIDY_SECONDS)" >&2
  exit 1
elif [ "$status" -ne 0 ]; then
  grep -E "(warning|error):" build/tidy.log | sort -u | head -n 50 >&2
  exit 1
fi

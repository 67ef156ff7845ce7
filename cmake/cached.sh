#!/usr/bin/env bash
# The compiler's launcher: cached.sh SOURCE_DIR COMPILER ARGUMENT... runs the compiler through ccache
# with every path into the checkout made relative (builds are two folders below it), so that a
# checkout in another place finds what this one compiled and objects hold no path of it.
# A precompiled header names the folder it was made in and cannot serve another one: it is made
# anew, and what it holds stands beside it as a sum, which is what its users are looked up by.
# A header that changed while a source was compiled must not be kept under its new content, so the
# checks of its time stay on.
set -e
root=$1
shift
export CCACHE_NOHASHDIR=1
export CCACHE_PCH_EXTSUM=1
export CCACHE_SLOPPINESS=pch_defines,time_macros
if [ "$(realpath ../..)" = "$root" ]; then
  set -- "${@//$root\//../../}"
fi
output=
for ((i = 1; i < $#; i++)); do
  [ "${!i}" != -o ] || { i=$((i + 1)) && output=${!i}; }
done
if [[ $output == *.pch ]]; then
  "${@/#-emit-pch/-E}" -o - | sha256sum >"$output.sum"
  exec "$@"
fi
exec ccache "$@"

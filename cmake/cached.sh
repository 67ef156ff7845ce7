#!/usr/bin/env bash
# The compiler's launcher: cached.sh SOURCE_DIR COMPILER ARGUMENT... runs the compiler through ccache
# with every path into the checkout made relative (builds are two folders below it), so that a
# checkout in another place finds what this one compiled, precompiled headers included, and objects
# hold no path of it.
root=$1
shift
export CCACHE_NOHASHDIR=1
export CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime
if [ "$(realpath ../..)" = "$root" ]; then
  exec ccache "${@//$root\//../../}"
fi
exec ccache "$@"

#!/usr/bin/env bash
# Sets up build/mlx: the MLX library that the backend "mlx" is built with, in the version that
# tests/interop is pinned to. On a Mac `brew install mlx` does as well; CMake finds either.
#
#   tools/setup_mlx.sh && cmake --preset release && cmake --build --preset release
set -euo pipefail
cd "$(dirname "$0")/.."

pin=$(sed -n 's/^mlx\[cpu\]==//p' tests/interop/requirements.txt)
case $(uname -s) in
  Darwin) package=mlx-metal ;;
  *)
    package=mlx-cpu
    if command -v nvidia-smi >/dev/null && nvidia-smi -L >/dev/null 2>&1; then package=mlx-cuda-13; fi ;;
esac
state="$package==$pin"
marker=build/mlx/.package
if [ "$(cat "$marker" 2>/dev/null)" = "$state" ]; then exit 0; fi
echo "setting up $state in build/mlx"
rm -rf build/mlx
mkdir -p build
python=$([ -x /usr/bin/python3 ] && echo /usr/bin/python3 || echo python3)
"$python" -m venv build/mlx
dependencies=--no-deps
if [ "$package" = mlx-cuda-13 ]; then dependencies=; fi  # NVIDIA's libraries come as wheels too
# shellcheck disable=SC2086
build/mlx/bin/python -m pip install -q $dependencies "$state"
echo "$state" >"$marker"

#!/usr/bin/env bash
# Sets up build/peers: the virtual environment with the pinned peers of tests/interop.
#
# llama.cpp is compiled for AVX2 and not for the processor at hand: some virtual machines report
# matrix tiles (AMX) that their kernel does not let anyone use, and a native build crashes there.
# The compiled wheel is kept in ~/.cache, so that a fresh clone need not compile it again.
set -euo pipefail
cd "$(dirname "$0")/.."

requirements=tests/interop/requirements.txt
cmake_args="-DGGML_NATIVE=OFF -DGGML_AVX=ON -DGGML_AVX2=ON -DGGML_FMA=ON -DGGML_F16C=ON -DGGML_BMI2=ON"
venv=build/peers
marker=$venv/.requirements
python=$([ -x /usr/bin/python3 ] && echo /usr/bin/python3 || echo python3)
state=$( (cat "$requirements" tools/setup_peers.sh; "$python" --version) | sha256sum | cut -d' ' -f1)

if [ -f "$marker" ] && [ "$(cat "$marker")" = "$state" ]; then
  exit 0
fi
echo "setting up the peers in $venv"
rm -rf "$venv"
mkdir -p build
"$python" -m venv "$venv"
"$venv/bin/python" -m pip install -q --upgrade pip

pin=$(sed -n 's/^llama-cpp-python==//p' "$requirements")
key=$(echo "$cmake_args $pin" | sha256sum | cut -c1-12)
wheels=${XDG_CACHE_HOME:-$HOME/.cache}/llama-pajamas/wheels-$key
if ! ls "$wheels"/llama_cpp_python-"$pin"-*.whl >/dev/null 2>&1; then
  echo "compiling llama.cpp $pin (4 minutes on 2 cores)"
  CMAKE_ARGS=$cmake_args CMAKE_BUILD_PARALLEL_LEVEL=$(getconf _NPROCESSORS_ONLN) "$venv/bin/python" -m pip wheel -q \
    --no-deps --no-cache-dir "llama-cpp-python==$pin" -w "$wheels"
fi
"$venv/bin/python" -m pip install -q "$wheels"/llama_cpp_python-"$pin"-*.whl -r "$requirements"
echo "$state" >"$marker"

#!/usr/bin/env bash
# Everything that is tested, without a limit of time: test.sh with long fuzzing and every case, every test with the
# second compiler and under the thread sanitizer, the stock peers' tests with the program under ASan
# and UBSan, all of what runs under 64-bit ARM's emulation, what a compiler for macOS says, clang-tidy, the demo. Each stage is run
# even if one before it failed; what each took is printed at the end.
#
#   tools/nightly.sh                everything
#   FUZZ_SECONDS=60 tools/nightly.sh
set -euo pipefail
cd "$(dirname "$0")/.."
source tools/setup.sh
exec </dev/null

export FUZZ_SECONDS=${FUZZ_SECONDS:-900} FUZZ_SEED=0 PAJAMAS_THOROUGH=1
failed=()
try() {
  local name=$1 began=$SECONDS status=0
  shift
  printf '\n== %s\n' "$name"
  "$@" || status=$?
  STAGE_NAMES+=("$name")
  STAGE_SECONDS+=($((SECONDS - began)))
  [ "$status" -eq 0 ] || failed+=("$name")
}

# all_tests PRESET
all_tests() {
  build "$1" && run_cases "$1"
}

all_threads() {
  export TSAN_OPTIONS=halt_on_error=1
  all_tests tsan
}

# What compares speed or memory with a bound says little of an instrumented program.
interop_under_asan() {
  export ASAN_OPTIONS=abort_on_error=1:detect_leaks=1:max_allocation_size_mb=8192
  export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
  OMP_NUM_THREADS=1 LLAMA_PAJAMAS=$PWD/build/asan/llama-pajamas \
    build/peers/bin/python -m pytest tests/interop -q -ra -p no:cacheprovider -n "$(cores)" \
    --dist loadfile --basetemp=build/interop-asan-tmp
}

try "packages" install_packages
try "test.sh" ./test.sh
try "interop under ASan and UBSan" interop_under_asan
try "clang: all tests" all_tests clang
try "thread sanitizer: all tests" all_threads
try "64-bit ARM under qemu" tools/test_neon.sh io quantize model text
try "macOS: what a compiler for it says of src/base" tools/check_macos.sh
try "clang-tidy" env TIDY_SECONDS=100000 tools/tidy.sh
try "demo.sh" ./demo.sh
print_stages
[ ${#failed[@]} -eq 0 ] || { printf 'FAILED: %s\n' "${failed[@]}" >&2; exit 1; }

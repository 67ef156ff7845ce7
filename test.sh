#!/usr/bin/env bash
# Runs every test: release build, ASan and UBSan build, interop with the stock peers, short fuzzing.
# Installs what is missing first; a second run uses what is there. About half an hour on 2 cores.
#
#   ./test.sh                    everything
#   ./test.sh interop            some stages: release, asan, interop, fuzz
#   FUZZ_SECONDS=5 ./test.sh     how long each fuzz target runs (30)
#   FUZZ_SEED=0 ./test.sh fuzz   another sequence each time (1: the same, as a gate should)
#
# On macOS (docs/macos.md) the stages are release, with the preset macos, and interop: Apple's clang has no
# libFuzzer, which asan is built with too.
set -euo pipefail
cd "$(dirname "$0")"
source tools/setup.sh

export ASAN_OPTIONS=abort_on_error=1:detect_leaks=1:allocator_may_return_null=0:max_allocation_size_mb=4096
export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
jobs=$(cores)
release=$(release_preset)
results=build/test-results
passed=0 failed=0 skipped=0

# Adds the figures of one JUnit file to the totals: count FILE [FOLDER], as tools/count_cases.py.
count() {
  local cases broken skips
  read -r cases broken skips < <(tools/count_cases.py "$@")
  passed=$((passed + cases - broken - skips))
  failed=$((failed + broken))
  skipped=$((skipped + skips))
}

run_ctest() {
  local preset=$1 status=0
  rm -rf "build/$preset/test-results"  # an older run's cases
  ctest --test-dir "build/$preset" -j "$jobs" --output-on-failure --no-tests=error \
    --output-junit "$PWD/$results/$preset.xml" >"$results/$preset.log" 2>&1 || status=$?
  if [ "$status" -ne 0 ]; then
    grep -v "   Passed " "$results/$preset.log" | tail -n 200 >&2
  else
    tail -n 3 "$results/$preset.log"
  fi
  count "$results/$preset.xml" "build/$preset/test-results"
  return "$status"
}

test_preset() {
  build "$1" || return
  run_ctest "$1"
}

# Without what judges quality, time or allocations, of which an instrumented program says nothing new,
# easier weights than the hard ones, and one model of three layer by layer; tools/nightly.sh runs all.
test_instrumented() {
  local left_out="Oracle.*:Encode.Error*:Encode.Importance*:Limits.OfTime:*NoQuadraticTime"
  left_out+=":LayerMajor/*tiny_qwen2:LayerByLayer/*tiny_qwen2:*BehindALongAnswer:*StepsThatRepeat*"
  left_out+=":EncodeKernels.*OrdinaryWeights:EncodeKernels.*LongRows"
  [ "${PAJAMAS_THOROUGH:-}" = 1 ] || local -x GTEST_FILTER="-$left_out"
  test_preset asan
}

run_interop() {
  local status=0
  tools/setup_peers.sh || return
  # Most tests wait for one short process after another or for a peer that is silent, so more files
  # than cores run beside each other.
  OMP_NUM_THREADS=1 LLAMA_PAJAMAS=$PWD/build/$release/llama-pajamas \
    build/peers/bin/python -m pytest tests/interop -q -ra --durations=5 -p no:cacheprovider \
    -n "$((jobs + 1))" --dist loadfile --junitxml="$results/interop.xml" --basetemp=build/interop-tmp ||
    status=$?
  rm -rf build/interop-tmp
  [ ! -f "$results/interop.xml" ] || count "$results/interop.xml"  # not there after an interruption
  return "$status"
}

# fuzz_one TARGET: on a copy of its corpus, so that the checkout stays as it is.
fuzz_one() {
  local name corpus
  name=$(basename "$1")
  name=${name#fuzz_}
  corpus=build/fuzz-corpus/$name
  mkdir -p "$corpus"
  [ -d "fuzz/corpus/$name" ] && cp -r "fuzz/corpus/$name/." "$corpus/"
  local seeds
  seeds=$(find "$corpus" -type f | wc -l)
  if "$1" -max_total_time="$FUZZ_SECONDS" -rss_limit_mb=2048 -malloc_limit_mb=1024 \
      -timeout=10 -seed="$FUZZ_SEED" -print_final_stats=1 -artifact_prefix="$results/$name-" "$corpus" \
      >"$results/fuzz-$name.log" 2>&1 </dev/null; then
    echo "$name: $seeds seeds, $(sed -n 's/stat::number_of_executed_units: *//p' \
      "$results/fuzz-$name.log") runs in $FUZZ_SECONDS s"
  else
    tail -n 60 "$results/fuzz-$name.log" >&2
    return 1
  fi
}

# As many targets at a time as there are cores.
fuzz() {
  local targets=() target
  build asan || return
  rm -rf build/fuzz-corpus
  while IFS= read -r target; do targets+=("$target"); done < <(
    find build/asan/fuzz -maxdepth 1 -type f -perm -u+x -name 'fuzz_*' ! -name '*.*' | sort)
  [ ${#targets[@]} -gt 0 ] || { echo "no fuzz targets were built" >&2; return 1; }
  export -f fuzz_one
  export results FUZZ_SECONDS=${FUZZ_SECONDS:-30} FUZZ_SEED=${FUZZ_SEED:-1}
  if ! printf '%s\n' "${targets[@]}" | xargs -P "$jobs" -n 1 bash -c 'fuzz_one "$1"' fuzz; then
    failed=$((failed + 1))
    return 1
  fi
  passed=$((passed + ${#targets[@]}))
}

wants() {
  [ ${#selected[@]} -eq 0 ] || [[ " ${selected[*]} " == *" $1 "* ]]
}

if is_macos; then [ $# -gt 0 ] || set -- release interop; fi
selected=("$@")
for name in "$@"; do
  case $name in release | asan | interop | fuzz) ;; *)
    echo "error: $name is no stage; try release, asan, interop or fuzz" >&2
    exit 2 ;;
  esac
done
mkdir -p "$results"

stage "packages" install_packages
if wants release || wants interop; then stage "MLX" tools/setup_mlx.sh; fi
if wants release; then stage "release: build and tests" test_preset "$release"; fi
if wants asan; then stage "ASan and UBSan: build and tests" test_instrumented; fi
if wants interop; then
  if ! wants release; then stage "release: build" build "$release"; fi
  stage "interop with the stock peers" run_interop
fi
if wants fuzz; then stage "fuzzing" fuzz; fi

print_stages
[ "$skipped" -eq 0 ] || echo "$skipped skipped"
echo "$passed passed, $failed failed"

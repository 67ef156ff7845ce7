# Sourced by demo.sh, test.sh and .ci/run: installing what is missing, and running named stages.
# shellcheck shell=bash

# On macOS these run with its own bash 3.2 and BSD tools.
is_macos() { [ "$(uname -s)" = Darwin ]; }
cores() { if is_macos; then sysctl -n hw.logicalcpu; else nproc; fi; }
# The preset of what users run.
release_preset() { if is_macos; then echo macos; else echo release; fi; }

# install_packages [demo]: what tools/packages.txt (on macOS the Brewfile) lists and this machine lacks.
# Without anything missing nothing is asked of the network.
install_packages() {
  local wanted
  if is_macos; then
    install_brewfile
    return
  fi
  if [ "${1:-}" = demo ]; then
    wanted=$(sed -n 's/^\([^# ]*\) *# demo.*/\1/p' tools/packages.txt)
  else
    wanted=$(sed -n 's/^\([^# ][^# ]*\).*/\1/p' tools/packages.txt)
  fi
  # shellcheck disable=SC2086
  install_missing $wanted
}

install_brewfile() {
  command -v brew >/dev/null ||
    { echo "error: Homebrew is missing, which gets the other packages: see https://brew.sh" >&2; return 1; }
  brew bundle check --file=Brewfile >/dev/null 2>&1 ||
    HOMEBREW_NO_AUTO_UPDATE=1 brew bundle install --no-upgrade --file=Brewfile || return
  tools/setup_chart.sh
}

# install_missing PACKAGE...
install_missing() {
  local missing=() package
  for package in "$@"; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q "ok installed" ||
      missing+=("$package")
  done
  [ ${#missing[@]} -eq 0 ] && return 0
  local root=()
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null ||
      { echo "error: these packages are missing and there is no sudo: ${missing[*]}" >&2; return 1; }
    root=(sudo)
  fi
  echo "installing ${missing[*]}"
  "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -qq
  "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
    "${missing[@]}" >/dev/null
}

# build PRESET [TARGET...]: configures and builds, quietly unless something goes wrong.
build() {
  local preset=$1 log
  shift
  mkdir -p build
  log=build/$preset.log
  { cmake --preset "$preset" >"$log" 2>&1 && cmake --build --preset "$preset" ${1:+--target "$@"} \
      >>"$log" 2>&1; } || { tail -n 60 "$log" >&2; return 1; }
}

# run_cases PRESET [FOLDERS]: the cases of a build, or of the folders that an expression names, tests
# beside each other.
run_cases() {
  local log=build/$1-ctest.log
  ctest --test-dir "build/$1" -j "$(cores)" --output-on-failure --no-tests=error ${2:+-R "$2"} \
    >"$log" 2>&1 || { grep -v "   Passed " "$log" | tail -n 200 >&2; return 1; }
  tail -n 3 "$log"
}

# One stage at a time: `stage NAME COMMAND...` runs it, times it and ends the script if it fails.
STAGE_NAMES=()
STAGE_SECONDS=()
stage() {
  local name=$1 began=$SECONDS status=0
  shift
  printf '\n== %s\n' "$name"
  "$@" || status=$?
  STAGE_NAMES+=("$name")
  STAGE_SECONDS+=($((SECONDS - began)))
  if [ "$status" -ne 0 ]; then
    print_stages
    echo "FAILED: $name (status $status)" >&2
    exit 1
  fi
}

print_stages() {
  local i
  printf '\n'
  for i in "${!STAGE_NAMES[@]}"; do
    printf '%5d s  %s\n' "${STAGE_SECONDS[$i]}" "${STAGE_NAMES[$i]}"
  done
}

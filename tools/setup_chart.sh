#!/usr/bin/env bash
# Sets up build/chart: Chart.js for the pages of --report, where no package of the system has it
# (macOS; Debian's is libjs-chart.js). CMake finds it there.
set -euo pipefail
cd "$(dirname "$0")/.."
version=4.4.1
[ ! -f "build/chart/chart-$version" ] || exit 0
echo "setting up chart.js $version in build/chart"
rm -rf build/chart
mkdir -p build/chart
cd build/chart
npm pack --silent "chart.js@$version" >/dev/null
tar -xzf "chart.js-$version.tgz"
cp package/dist/chart.umd.js chart.umd.js
rm -rf package "chart.js-$version.tgz"
touch "chart-$version"

#!/usr/bin/env bash
# Runs every test of a build folder and says plainly what was skipped, and why.
set -uo pipefail
build=${1:?usage: run_tests.sh BUILD_FOLDER}

log=$(mktemp)
trap 'rm -f "$log"' EXIT
jobs=$(nproc)
ctest --test-dir "$build" --output-on-failure -j"$jobs" --timeout 600 2>&1 | tee "$log"
code=${PIPESTATUS[0]}

# GoogleTest prints a skipped test's reason only in that test's own output, so ask ctest's log.
last="$build/Testing/Temporary/LastTest.log"
if grep -q '\*\*\*Skipped' "$log"; then
  echo
  echo 'Skipped, each with its reason:'
  grep -hoE 'SKIP: .*' "$last" 2>/dev/null | sort | uniq -c | sort -rn
fi
grep -E "tests passed|tests failed|Total Test time" "$log" > "$build/Testing/Temporary/ctest_summary.txt"
exit "$code"

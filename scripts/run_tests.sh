#!/usr/bin/env bash
# Runs every test of a build folder and says plainly what was skipped, and why.
set -uo pipefail
build=${1:?usage: run_tests.sh BUILD_FOLDER}

log=$(mktemp)
trap 'rm -f "$log"' EXIT
jobs=$(nproc)
ctest --test-dir "$build" --output-on-failure -j"$jobs" --timeout 600 2>&1 | tee "$log"
code=${PIPESTATUS[0]}

# A skipped test's reason is in its own output, which ctest keeps.
last="$build/Testing/Temporary/LastTest.log"
if grep -q '\*\*\*Skipped' "$log"; then
  echo
  echo 'Skipped, each with its reason:'
  awk '/: Skipped$/ {getline; print "  " $0}' "$last" | sort | uniq -c | sort -rn
fi
grep -E "tests passed|tests failed|Total Test time" "$log" > "$build/Testing/Temporary/ctest_summary.txt"
exit "$code"

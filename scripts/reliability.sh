#!/usr/bin/env bash
# The long form of the fault tests: what docs/reliability.md shows. Prints what each took.
set -euo pipefail
cd "$(dirname "$0")/.."
build=${1:?usage: reliability.sh BUILD_FOLDER}
tests=(fault_ledger_test fault_test fault_hang_test fault_join_test batch_kill_test)
cmake --build "$build" --target trireme "${tests[@]}"
echo "$(uname -sr), $(nproc) cores, $(date -u +%F)"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
failed=0
for test in "${tests[@]}"; do
  echo "== $test"
  status=0
  TRIREME_FAULT_LONG=1 "$build/$test" > "$log" 2>&1 || status=$?
  grep -E '^\[ +(OK|FAILED|SKIPPED|PASSED) +\]|Failure|^memory|seed ' "$log" || true
  [ "$status" -eq 0 ] || failed=1
done
exit $failed

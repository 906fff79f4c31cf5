#!/usr/bin/env bash
# Builds the libFuzzer targets and runs each for a number of seconds.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:?usage: fuzz.sh SECONDS}
cmake --preset fuzz > /dev/null
targets=()
for source in tests/fuzz/*_fuzz.cc; do targets+=("$(basename "$source" .cc)"); done
cmake --build --preset fuzz --target "${targets[@]}"
for target in "${targets[@]}"; do
  corpus=build/fuzz/corpus/$target
  mkdir -p "$corpus"
  echo "== $target, $seconds s"
  seeds=tests/fuzz/seeds/${target%_fuzz}
  extra=()
  [[ -d $seeds ]] && extra=("$seeds")
  build/fuzz/"$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 \
    -print_final_stats=0 -verbosity=0 -artifact_prefix=build/fuzz/ "$corpus" "${extra[@]}"
done

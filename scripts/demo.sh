#!/usr/bin/env bash
# The main job on the bundled model: the same prompts under several plans, and the same bytes.
set -euo pipefail
trireme=$(realpath "${1:?usage: demo.sh PROGRAM}")
root=$(cd "$(dirname "$0")/.." && pwd)
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

rows=$(wc -l < "$root/demo/prompts.jsonl")
echo "Continuing $rows prompts with the bundled model (demo/llama) under six plans:"
plans=("" "-dp 2" "-tp 2" "-pp 2" "-dp 2 -tp 2" "-tp 3")
for plan in "${plans[@]}"; do
  name=${plan:-one rank}
  start=$(date +%s.%N)
  # shellcheck disable=SC2086  # the plan is several words
  "$trireme" batch --model "$root/demo/llama" -i "$root/demo/prompts.jsonl" -o "$out/out.jsonl" \
    --overwrite --max-new-tokens 48 $plan
  seconds=$(awk -v a="$start" -v b="$(date +%s.%N)" 'BEGIN {printf "%.1f", b - a}')
  sum=$(sha256sum "$out/out.jsonl" | cut -d' ' -f1)
  printf '  %-12s sha256 %s  %5s s\n' "$name" "$sum" "$seconds"
  echo "$sum" >> "$out/sums"
done

echo
echo 'A few of the results:'
sed -n '3p;20p;41p' "$out/out.jsonl"
echo
if [[ $(sort -u "$out/sums" | wc -l) -ne 1 ]]; then
  echo 'The plans disagree: this is a bug.' >&2
  exit 1
fi
echo "The same $rows rows, byte for byte, under all ${#plans[@]} plans."

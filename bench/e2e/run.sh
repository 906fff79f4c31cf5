#!/usr/bin/env bash
# Measures the set that docs/benchmarks.md shows: our rows, and those of peers that are on this machine.
#
#   bench/e2e/run.sh [BUILD_FOLDER]                      all; several minutes
#   BENCH_SET="gpt2 llama-1b" bench/e2e/run.sh           some of: gpt2 llama-1b llama-8b plans
#   LLAMA_BENCH=.../llama-bench LLAMA_GGUF_1B=m.gguf     also llama.cpp on a model of the same shape
#   TRANSFORMERS_PYTHON=.../python                       also transformers in bfloat16, by that Python
#   BENCH_PROCESSOR_TIME=1                               one thread's processor time, where other
#                                                        programs run; without the plans
#   BENCH_JSON=results.jsonl                             also keep every report as a line of JSON
#
# Builds and downloads nothing. A peer that is not named is left out.
set -euo pipefail
build=${1:-build/release}
trireme=$build/trireme
sets=${BENCH_SET:-gpt2 llama-1b llama-8b plans}
repetitions=${BENCH_REPETITIONS:-3}
threads=${BENCH_THREADS:-$(nproc)}
clock=()
clock_name="time on the wall"
if [[ -n ${BENCH_PROCESSOR_TIME:-} ]]; then
  threads=1
  clock=(--processor-time)
  clock_name="processor time"
  sets=${sets//plans/}
fi

if [[ ! -x $trireme ]]; then
  echo "bench/e2e/run.sh: $trireme is not there; run \`make build\`, or name the build folder" >&2
  exit 1
fi

wanted() { [[ " $sets " == *" $1 "* ]]; }

available_gib() { awk '/^MemAvailable:/ { print int($2 / 1048576) }' /proc/meminfo; }

# row LABEL ARGUMENTS...: one line of the table.
row() {
  local label=$1 json
  shift
  if ! json=$("$trireme" bench "$@" --json); then
    printf '| %-44s | failed: trireme bench %s |\n' "$label" "$*"
    return
  fi
  [[ -z ${BENCH_JSON:-} ]] || tr -d '\n' <<<"$json" >>"$BENCH_JSON"
  [[ -z ${BENCH_JSON:-} ]] || echo >>"$BENCH_JSON"
  awk -v label="$label" '
    { gsub(/[",]/, "") }
    /: \{$/ { section = $1 }
    NF == 2 { value[section $1] = $2 }
    /^  \}/ { section = "" }
    END {
      printf "| %-44s | %8.2f | %8.2f | %3.0f %% | %3.0f %% | %3.0f %% | %6.1f | %5.1f | %3.0f %% | %s |\n",
        label, value["prefill_tokens_per_s:"], value["decode_tokens_per_s:"],
        100 * value["prefill:fraction_of_flop_limit:"],
        100 * value["decode:fraction_of_flop_limit:"],
        100 * value["decode:fraction_of_read_limit:"],
        value["limits:gflop_per_s:"], value["limits:read_gb_per_s:"],
        100 * value["decode:processor_share:"], value["output_hash:"]
    }' <<<"$json"
}

# llama_cpp LABEL GGUF: llama.cpp with the same work (its own medians are means).
llama_cpp() {
  [[ -n ${LLAMA_BENCH:-} && -n $2 ]] || return 0
  "$LLAMA_BENCH" -m "$2" -p 512 -n 32 -t "$threads" -r "$repetitions" -o csv | awk -v label="$1" '
    NR == 1 { count = split($0, names, ","); next }
    {
      gsub(/^"|"$/, "")
      split($0, values, "\",\"")
      for (i = 1; i <= count; ++i) value[names[i]] = values[i]
      speed[value["n_prompt"] > 0 ? "prefill" : "decode"] = value["avg_ts"]
    }
    END { printf "| %-44s | %8.2f | %8.2f | | | | | | | |\n", label, speed["prefill"], speed["decode"] }'
}

common=(--threads "$threads" --repetitions "$repetitions" "${clock[@]}")

echo "$(date -u +%F) $(awk -F': ' '/^model name/ { print $2; exit }' /proc/cpuinfo), $(nproc) cores, $threads threads, $clock_name, load average $(cut -d' ' -f1 /proc/loadavg)"
echo
echo "| 512 prompt tokens, 32 new, 1 sequence unless said | prefill, tokens/s | decode, tokens/s | prefill, of FLOP limit | decode, of FLOP limit | decode, of read limit | limit, GFLOP/s | limit, GB/s | CPU | output |"
echo "|---|---|---|---|---|---|---|---|---|---|"
if wanted gpt2; then
  row "gpt2, float32" --shape gpt2 "${common[@]}"
  row "gpt2, bfloat16" --shape gpt2 --dtype bfloat16 "${common[@]}"
fi
if wanted llama-1b; then
  row "llama-1b, bfloat16" --shape llama-1b "${common[@]}"
  row "llama-1b, bfloat16, 8 sequences of 64 prompt" --shape llama-1b --sequences 8 --prompt-tokens 64 \
    "${common[@]}"
  row "llama-1b, bfloat16, 32 sequences of 128 prompt" --shape llama-1b --sequences 32 \
    --prompt-tokens 128 --threads "$threads" --repetitions 1 "${clock[@]}"
  for bits in int8 int4; do
    row "llama-1b, $bits" --shape llama-1b --quantization "$bits" "${common[@]}"
  done
  row "llama-1b, int8, 32 sequences of 128 prompt" --shape llama-1b --sequences 32 \
    --prompt-tokens 128 --quantization int8 --threads "$threads" --repetitions 1 "${clock[@]}"
  llama_cpp "llama-1b, llama.cpp" "${LLAMA_GGUF_1B:-}"
  [[ -z ${TRANSFORMERS_PYTHON:-} ]] ||
    "$TRANSFORMERS_PYTHON" bench/e2e/transformers_bench.py --threads "$threads" \
      --repetitions "$repetitions" "${clock[@]}"
fi
if wanted llama-8b; then
  if (($(available_gib) >= 18)); then
    row "llama-8b, bfloat16, 128 prompt, 8 new" --shape llama-8b --prompt-tokens 128 --new-tokens 8 \
      --threads "$threads" --repetitions 1 "${clock[@]}"
  else
    echo "| llama-8b, bfloat16 | left out: needs 18 GiB of free memory, $(available_gib) are |"
  fi
  llama_cpp "llama-8b, llama.cpp" "${LLAMA_GGUF_8B:-}"
fi
if wanted plans; then
  each=$((threads > 1 ? threads / 2 : 1))
  plan=(--shape gpt2 --sequences 4 --repetitions "$repetitions")
  row "gpt2, 4 sequences, 1 rank" "${plan[@]}" --threads "$threads"
  row "gpt2, 4 sequences, -dp 2" "${plan[@]}" -dp 2 --threads "$each"
  row "gpt2, 4 sequences, -tp 2" "${plan[@]}" -tp 2 --threads "$each"
  row "gpt2, 4 sequences, -pp 2" "${plan[@]}" -pp 2 --threads "$each"
fi

#!/usr/bin/env bash
# The main job, end to end: ROWS rows of about 100 prompt tokens and 20 new ones, plain and with a
# shared instruction of about 400 tokens in front, through the shape of Llama-3.2-1B.
#
#   bench/e2e/main_job.sh [BUILD_FOLDER]             our rows
#   ROWS=1000 JOB_FLAGS="--quantization int8 -tp 2"  size, and flags of `trireme batch`
#   TRANSFORMERS_PYTHON=.../python                   also transformers + Accelerate in bfloat16
#   BATCHED_BENCH=.../llama-batched-bench            also llama.cpp or ik_llama.cpp, on
#   BATCHED_GGUF=model.gguf BATCHED_FLAGS="-fa 1"    a model of the same shape
#
# The time is the whole command's: start, weights, tokens, output. Weights are made up, which takes
# longer than reading them; "without the start" leaves that out, for the peers too. llama.cpp has no
# such job: what it needs for waves of 64 sequences is taken, times the number of waves, without
# tokenizing and without sharing the instruction.
set -euo pipefail
build=${1:-build/release}
trireme=$build/trireme
rows=${ROWS:-256}
threads=${BENCH_THREADS:-$(nproc)}
read -ra job_flags <<<"${JOB_FLAGS:-}"
read -ra batched_flags <<<"${BATCHED_FLAGS:-}"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

[[ -x $trireme ]] || { echo "bench/e2e/main_job.sh: $trireme is not there; run \`make build\`" >&2; exit 1; }

# A model directory: the demo model's tokenizer under a larger shape.
cp demo/llama/tokenizer.json demo/llama/tokenizer_config.json "$folder"
cat >"$folder/config.json" <<'JSON'
{"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 128256,
 "hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16,
 "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 64,
 "max_position_embeddings": 4096, "rms_norm_eps": 1e-5, "rope_theta": 500000.0,
 "tie_word_embeddings": true, "torch_dtype": "bfloat16", "bos_token_id": 0, "eos_token_id": 1}
JSON

# write_rows FILE WORDS_IN_FRONT: words of the demo's prompts in random order. A word is about 1.7
# tokens of the demo's tokenizer.
write_rows() {
  grep -oE '"prompt": *"[^"\\]*"' demo/prompts.jsonl | cut -d'"' -f4 |
    awk -v rows="$rows" -v front="$2" '
      { for (i = 1; i <= NF; ++i) words[count++] = $i }
      function some(n,   text) {
        for (text = ""; n > 0; --n) text = text " " words[int(rand() * count)]
        return text
      }
      END {
        srand(7)
        instruction = some(front)
        for (i = 0; i < rows; ++i)
          printf "{\"id\": \"%d\", \"prompt\": \"%s\"}\n", i, instruction some(48 + int(rand() * 24))
      }' >"$1"
}
write_rows "$folder/plain.jsonl" 0
write_rows "$folder/shared.jsonl" 235

seconds() { awk -v begin="$1" -v end="$2" 'BEGIN { printf "%.1f", end - begin }'; }

# line JOB WHO ALL_SECONDS SECONDS_WITHOUT_START [NOTE]
line() {
  awk -v job="$1" -v who="$2" -v all="$3" -v work="$4" -v rows="$rows" -v note="${5:-}" 'BEGIN {
    printf "| %s | %s | %s | %s | %.2f | %s |\n", job, who, all, work, rows / work, note }'
}

ours() {
  local begin end one ready
  begin=$(date +%s.%N)
  "$trireme" batch -m "$folder" --load-format dummy -i "$folder/$1.jsonl" -o "$folder/out.jsonl" --overwrite \
    -n 20 --ignore-eos --threads "$threads" "${job_flags[@]}" 2>"$folder/log"
  end=$(date +%s.%N)
  # The same with one row is the start.
  head -1 "$folder/$1.jsonl" >"$folder/one.jsonl"
  one=$(date +%s.%N)
  "$trireme" batch -m "$folder" --load-format dummy -i "$folder/one.jsonl" -o "$folder/one.out" --overwrite \
    -n 1 --ignore-eos --threads "$threads" "${job_flags[@]}" 2>>"$folder/log"
  ready=$(seconds "$one" "$(date +%s.%N)")
  line "$1" "Trireme ${job_flags[*]}" "$(seconds "$begin" "$end")" \
    "$(awk -v all="$(seconds "$begin" "$end")" -v start="$ready" 'BEGIN { print all - start }')" \
    "sha256 $(sha256sum <"$folder/out.jsonl" | cut -c1-12)"
}

transformers() {
  [[ -n ${TRANSFORMERS_PYTHON:-} ]] || return 0
  local all work
  read -r all work version < <("$TRANSFORMERS_PYTHON" bench/e2e/transformers_main_job.py \
    --model "$folder" --rows "$folder/$1.jsonl" --threads "$threads")
  line "$1" "transformers + Accelerate" "$all" "$work" "$version"
}

# batched JOB PROMPT_TOKENS
batched() {
  [[ -n ${BATCHED_BENCH:-} ]] || return 0
  "$BATCHED_BENCH" -m "$BATCHED_GGUF" -c $((64 * ($2 + 32))) -b 2048 -ub 512 -npp "$2" -ntg 20 -npl 64 \
    -t "$threads" -tb "$threads" "${batched_flags[@]}" 2>/dev/null |
    awk -F'|' -v rows="$rows" '$2 + 0 == '"$2"' { printf "%.1f\n", $(NF - 2) * rows / 64 }' |
    while read -r work; do
      line "$1" "$(basename "$(dirname "$(dirname "$BATCHED_BENCH")")") $(basename "$BATCHED_GGUF")" "-" "$work" \
        "one wave of 64, times $(awk -v r="$rows" 'BEGIN { print r / 64 }')"
    done
}

echo "$(date -u +%F) $(awk -F': ' '/^model name/ { print $2; exit }' /proc/cpuinfo), $(nproc) cores, $threads threads, $rows rows, load average $(cut -d' ' -f1 /proc/loadavg)"
echo
echo "| job | program | s, all | s, without the start | rows/s | |"
echo "|---|---|---|---|---|---|"
for job in ${JOBS:-plain shared}; do
  ours "$job"
  batched "$job" "$([[ $job == plain ]] && echo 100 || echo 500)"
  transformers "$job"
done

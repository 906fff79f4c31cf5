#!/bin/bash
# Classification by choices against what is done without: an answer of up to ten new tokens for each
# row, and every label scored by itself. On the shape of Llama-3.2-1B with made-up weights (or the
# directory MODEL, whatever its weights):
#
#   bench/e2e/choices.sh build/release/trireme [ROWS] [MODEL]
#
# Prints seconds and computed tokens, without what a job of one short row takes. The made-up model
# has the demo's tokenizer, whose labels are some tokens longer than a large vocabulary's.
set -euo pipefail
here=$(cd "$(dirname "$0")/../.." && pwd)
trireme=$(realpath "$1")
rows=${2:-8}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
model=${3:-$work/model}
load=()
if [ $# -lt 3 ]; then
  mkdir "$model"
  cp "$here"/demo/llama/tokenizer*.json "$model"
  cat > "$model/config.json" <<'JSON'
{"architectures": ["LlamaForCausalLM"], "model_type": "llama", "dtype": "bfloat16",
 "hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16,
 "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 64, "vocab_size": 128256,
 "max_position_embeddings": 2048, "rms_norm_eps": 1e-05, "rope_theta": 500000.0,
 "tie_word_embeddings": true, "eos_token_id": 0}
JSON
  load=(--load-format dummy)
fi

labels=(technology sports politics history science medicine business "the arts")
instruction='Classify the following question as one of the categories technology, sports, politics, history, science, medicine, business, the arts. Return only the category name.\nQuestion: '
questions=("Who was it that first carried the ball over the line in the final of the year before last"
  "Why do the leaves of some trees turn red in autumn while those of others are only ever yellow"
  "Which of the two houses may send back a law that the other one has passed already"
  "How long must a patient rest after an operation of this kind before going home")
row() { printf '%s%s, and what came of it in the year %d?\\nCategory: ' "$instruction" "${questions[$1 % 4]}" $((1900 + $1)); }
for ((i = 0; i < rows; ++i)); do
  printf '{"prompt": "%s"}\n' "$(row $i)" >> "$work/rows.jsonl"
  for label in "${labels[@]}"; do
    printf '{"prompt": "%s%s"}\n' "$(row $i)" "$label" >> "$work/apart.jsonl"
  done
done
echo '{"prompt": "a"}' > "$work/one.jsonl"
choices=$(IFS=,; echo "${labels[*]}")

seconds() {
  rm -f "$work/out"
  local begin=$EPOCHREALTIME
  "$trireme" "$1" -m "$model" "${load[@]}" -o "$work/out" --max-model-len 512 --max-num-seqs 16 \
    "${@:2}" 2> "$work/err" || { cat "$work/err" >&2; exit 1; }
  awk -v a="$begin" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.2f", b - a }'
}
computed() { grep -o '"computed_tokens": [0-9]*' "$work/err" | grep -o '[0-9]*$' || echo -; }
report() {
  awk -v name="$1" -v s="$2" -v start="$start" -v c="$3" -v rows="$rows" 'BEGIN {
    printf "%-44s %7.2f s %7.2f rows/s  %s tokens computed\n", name, s - start, rows / (s - start), c }'
}

start=$(seconds batch -i "$work/one.jsonl" --max-new-tokens 1)
echo "$rows rows, ${#labels[@]} labels; starting takes $start s"
s=$(seconds batch -i "$work/rows.jsonl" --choices "$choices" --stats)
report "--choices" "$s" "$(computed)"
s=$(seconds batch -i "$work/rows.jsonl" --max-new-tokens 10 --ignore-eos --stats)
report "generate up to ten tokens" "$s" "$(computed)"
s=$(seconds score -i "$work/apart.jsonl")
report "score each label by itself" "$s" "$(wc -l < "$work/apart.jsonl") texts,"

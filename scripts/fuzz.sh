#!/usr/bin/env bash
# Builds the libFuzzer targets and runs each for a number of seconds, from tests/fuzz/seeds, the tests' own data and
# what earlier runs found (build/fuzz/corpus).
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:?usage: fuzz.sh SECONDS}
cmake --preset fuzz > /dev/null
targets=()
for source in tests/fuzz/*_fuzz.cc; do targets+=("$(basename "$source" .cc)"); done
cmake --build --preset fuzz --target "${targets[@]}"

# What the tests read is where the fuzzers start: real tokenizers and templates.
seeds=build/fuzz/seeds
rm -rf "$seeds"
mkdir -p "$seeds"
cp -r tests/fuzz/seeds/. "$seeds"
mkdir -p "$seeds/tokenizer"
for file in tests/data/tokenizers/*/tokenizer.json; do
  cp "$file" "$seeds/tokenizer/$(basename "$(dirname "$file")").json"
done
# Their older files, with the letter before them by which the fuzzer knows which it is.
older="$seeds/tokenizer_files"
mkdir -p "$older"
{ printf s; cat tests/data/tokenizers/t5_files/spiece.model; } > "$older/spiece"
{ printf v; cat tests/data/tokenizers/bert_files/vocab.txt; } > "$older/vocab"
{ printf r; sed 's/.*"precompiled_charsmap":"\([^"]*\)".*/\1/' tests/data/tokenizers/t5/tokenizer.json | base64 -d; } \
  > "$older/rules"
cp -r tests/data/chat/templates "$seeds/jinja"
mkdir -p "$seeds/gguf"
cp tests/data/gguf/tokenizers/*.gguf tests/data/gguf/models/llama_factors/model.gguf "$seeds/gguf"

for target in "${targets[@]}"; do
  corpus=build/fuzz/corpus/$target
  mkdir -p "$corpus" "$seeds/${target%_fuzz}"
  echo "== $target, $seconds s"
  build/fuzz/"$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 \
    -print_final_stats=1 -verbosity=0 -artifact_prefix="build/fuzz/$target-" \
    "$corpus" "$seeds/${target%_fuzz}"
done

#!/usr/bin/env bash
# What to run on a machine with a GPU: first whether everything is right there, then how fast it is.
#
#   bench/e2e/gpu.sh [BUILD_FOLDER]       both
#   GPU_SET="tests sanitizer decode prefill" bench/e2e/gpu.sh    some of: tests sanitizer decode prefill
#   GPU_SHAPE=llama-8b                    the shape that is timed (made-up weights)
#   TRANSFORMERS_PYTHON=.../python        also transformers' generate() in bfloat16, by that Python
#
# Builds nothing: `make test` builds all that it takes, where nvcc is.
set -uo pipefail
cd "$(dirname "$0")/../.."
build=${1:-build/release}
sets=${GPU_SET:-tests sanitizer decode prefill}
shape=${GPU_SHAPE:-llama-8b}
failed=0

wanted() { [[ " $sets " == *" $1 "* ]]; }

if [[ ! -e $build/libtrireme_cuda.so ]]; then
  echo "bench/e2e/gpu.sh: $build/libtrireme_cuda.so is not there; build where nvcc is" >&2
  exit 1
fi
nvidia-smi --query-gpu=name,memory.total,driver_version --format=csv,noheader

if wanted tests; then
  for family in rowwise vocabulary linear linear_quantized attention draw; do
    echo "== gpu_$family"
    "$build/gpu_$family" --gtest_brief=1 || failed=1
  done
  echo "== whole runs of the program"
  TRIREME_TEST_GPUS=1 "$build/cuda_program" --gtest_brief=1 || failed=1
fi

if wanted sanitizer; then
  for tool in memcheck racecheck; do
    for family in rowwise attention linear linear_quantized draw; do
      echo "== compute-sanitizer $tool gpu_$family"
      timeout 120 compute-sanitizer --tool "$tool" --error-exitcode 1 "$build/gpu_$family" --gtest_brief=1 \
        > /dev/null 2>&1 || { echo "  failed or took longer than 120 s"; failed=1; }
    done
  done
fi

bench() { "$build/trireme" bench --shape "$shape" --dtype bfloat16 --device cuda --json "$@"; }

if wanted decode; then
  for sequences in 1 8 64 256; do
    bench --sequences "$sequences" --max-num-seqs "$sequences" --prompt-tokens 128 --new-tokens 64 \
      --max-model-len 512 --max-num-batched-tokens 2048 || failed=1
  done
fi
if wanted prefill; then
  for tokens in 128 2048 8192; do
    bench --prompt-tokens "$tokens" --new-tokens 3 --max-model-len 8448 \
      --max-num-batched-tokens "$tokens" --repetitions 3 || failed=1
  done
fi
if [[ -n ${TRANSFORMERS_PYTHON:-} ]]; then
  "$TRANSFORMERS_PYTHON" bench/e2e/transformers_gpu.py || failed=1
fi
exit $failed

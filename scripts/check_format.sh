#!/usr/bin/env bash
# Checks that all sources are as clang-format writes them.
set -euo pipefail
cd "$(dirname "$0")/.."
git ls-files '*.cc' '*.h' | xargs clang-format --dry-run --Werror

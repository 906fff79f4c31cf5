#!/usr/bin/env bash
# Checks that src/ folders include only what the dependency diagram (docs/architecture.md) allows.
set -euo pipefail
cd "$(dirname "$0")/.."

declare -A allowed=(
  [core]=""
  [net]="core"
  [kernels]="core"
  [comm]="core"
  [weights]="core"
  [text]="core"
  [layers]="core kernels comm"
  [models]="core kernels comm layers weights"
  [plan]="core comm"
  [runtime]="core kernels comm layers models weights plan"
  [tasks]="core kernels comm layers models weights plan runtime text"
  [api]="core kernels comm layers models weights plan runtime text tasks"
  [launch]="core comm net"
  [batch]="core net launch"
  [cli]="core comm net launch batch plan kernels weights"
)

failed=0
for folder in src/*/; do
  name=$(basename "$folder")
  if [[ ! -v allowed[$name] ]]; then
    echo "src/$name is not in the dependency diagram of scripts/check_includes.sh"
    failed=1
    continue
  fi
  while IFS=: read -r file line target; do
    if [[ " $name ${allowed[$name]} trireme " != *" $target "* ]]; then
      echo "$file:$line: src/$name may not include $target/ (allowed: ${allowed[$name]:-nothing})"
      failed=1
    fi
  done < <(grep -rnoE '^#include "[a-z_0-9]+/' "$folder" --include='*.cc' --include='*.h' \
             --include='*.inc' --include='*.cu' | sed -E 's/#include "([a-z_0-9]+)\//\1/')
done
exit $failed

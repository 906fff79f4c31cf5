#!/bin/sh
# Fails if a file compiled for one instruction set defines a symbol that the linker may share with code
# for all machines: isa_symbols.sh NM ARCHIVE.
set -eu
nm=$1
archive=$2
# W, V and u are weak and unique symbols: inline functions and templates that left their file.
shared=$("$nm" -C --print-file-name "$archive" | grep -E 'isa_[a-z0-9]+\.cc\.o:' | grep -E ' [WVu] ' || true)
if [ -n "$shared" ]; then
  echo "compiled for one instruction set, but free for all to use:"
  echo "$shared"
  exit 1
fi
# The check itself must be looking at something.
"$nm" -C --print-file-name "$archive" | grep -qE 'isa_avx2\.cc\.o:.* T '

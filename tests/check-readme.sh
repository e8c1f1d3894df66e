#!/bin/sh
# The programs in README, its indented blocks that begin with an #include,
# compile.
set -eu

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

awk -v prefix="$work/program" '
    /^    #include <dsm.h>/ { file = prefix (++count) ".c" }
    /^[^ ]/ { file = "" }
    file { print >file }' "$srcdir/README"

for program in "$work"/program*.c; do
    ${CC:-cc} -std=c11 -fsyntax-only -Wall -Wextra -Werror \
        -I"$srcdir/include" "$program"
done

#!/bin/sh
# The program in README, its first indented block, compiles.
set -eu

awk '/^    #include <dsm.h>/ { inside = 1 }
     inside && /^[^ ]/ { exit }
     inside' "$srcdir/README" |
    ${CC:-cc} -std=c11 -fsyntax-only -Wall -Wextra -Werror \
        -I"$srcdir/include" -x c -

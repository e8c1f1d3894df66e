#!/bin/sh
# Makefile.am names every file of the tree, so that it is built, run, installed
# and in the tarball.
set -eu
cd "$srcdir"

find src include tools examples bench tests man docs -type f \
    ! -path 'tests/fuzz/*/*' ! -name '.*' ! -name '*~' ! -name '*.o' \
    ! -name '*.pyc' 2>/dev/null |
LC_ALL=C sort | awk '
    FILENAME == "Makefile.am" {
        for (k = 1; k <= NF; k++)
            named[$k]
        next
    }
    # A program that is a test stands for its source.
    { program = $0 }
    /^tests\/.*\.c$/ { sub(/\.c$/, "", program) }
    !($0 in named) && !(program in named) {
        print $0 " is not in Makefile.am"
        status = 1
    }
    END { exit status }' Makefile.am -

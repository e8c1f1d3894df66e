#!/bin/sh
# Makefile.am names every file of the tree, so that it is built, run, installed
# and in the tarball.
set -eu
cd "$srcdir"

find src include tools examples bench tests man docs -type f \
    ! -path 'tests/fuzz/*/*' ! -name '.*' ! -name '*~' ! -name '*.o' \
    ! -name '*.pyc' 2>/dev/null |
LC_ALL=C sort | {
    status=0
    while read -r file; do
        # A test's program stands for its source.
        case $file in tests/*.c) program=${file%.c} ;; *) program=$file ;; esac
        tr -s ' \t' '\n' <Makefile.am | grep -qxF -e "$file" -e "$program" &&
            continue
        echo "$file is not in Makefile.am"
        status=1
    done
    exit $status
}

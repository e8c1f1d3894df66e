#!/bin/sh
# The dynamic symbols of libdsm.so are what the headers declare, no more and no
# less; but for what libdsm_blas alone may use.  The same for libdsm_blas.so and
# its header.
set -eu

. "$srcdir/tests/public-names.sh"
command -v nm >/dev/null || { echo "nm is missing (binutils)"; exit 77; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# LIBRARY: what it exports.  Type A is the version's own name.
exported_names()
{
    nm -D --defined-only "$1" |
        awk '$2 != "A" && !/@DSM_PRIVATE/ { sub(/@.*/, "", $3); print $3 }' |
        LC_ALL=C sort -u
}

# LIBRARY: compares that with the names in $work/declared.
compare()
{
    [ -s "$work/declared" ] || { echo "found no declarations"; exit 1; }
    exported_names "$1" >"$work/exported"
    diff "$work/declared" "$work/exported" >"$work/difference" && return
    sed -n -e "s/^< /${1##*/}: declared, not exported: /p" \
           -e "s/^> /${1##*/}: exported, not declared: /p" "$work/difference"
    exit 1
}

libraries=$top_builddir/.libs
[ -e "$libraries/libdsm.so" ] ||
    { echo "libdsm was built without shared libraries"; exit 77; }

public_names dsm.h >"$work/declared"
cp "$work/declared" "$work/common"
compare "$libraries/libdsm.so"

# Its header includes some of the others.
public_names dsm.h dsm/blas.h |
    LC_ALL=C comm -13 "$work/common" - >"$work/declared"
compare "$libraries/libdsm_blas.so"

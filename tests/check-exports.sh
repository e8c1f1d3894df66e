#!/bin/sh
# The dynamic symbols of libdsm.so are what the headers declare, no more and no
# less; but for what libdsm_blas alone may use.
set -eu

. "$srcdir/tests/public-names.sh"
library=$top_builddir/.libs/libdsm.so
[ -e "$library" ] || { echo "libdsm was built without shared libraries"; exit 77; }
command -v nm >/dev/null || { echo "nm is missing (binutils)"; exit 77; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
public_names >"$work/declared"
# Type A is the version's own name.
nm -D --defined-only "$library" |
    awk '$2 != "A" && !/@DSM_PRIVATE/ { sub(/@.*/, "", $3); print $3 }' |
    LC_ALL=C sort -u >"$work/exported"

[ -s "$work/declared" ] || { echo "found no declarations"; exit 1; }
if ! diff "$work/declared" "$work/exported" >"$work/difference"; then
    sed -n -e 's/^< /declared, not exported: /p' \
           -e 's/^> /exported, not declared: /p' "$work/difference"
    exit 1
fi

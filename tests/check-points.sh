#!/bin/sh
# The kill points in src/ are those that HACKING lists, where " .what" belongs
# to the room before it; and for each tests/test_points.c has a row, the test of
# which fails if nobody dies there.
set -eu
cd "$srcdir"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

grep -rh DSM__POINT src | grep -oE '"[a-z]+\.[a-z_]+"' | tr -d '"' |
    LC_ALL=C sort -u >"$work/src"

awk '
    /^There are:$/ { list = 1; next }
    list && /^[^ ]/ { list = 0 }
    list {
        for (i = 1; i <= NF; i++) {
            if ($i !~ /^[a-z]*\.[a-z_]+$/)
                continue
            if ($i !~ /^\./)
                room = substr($i, 1, index($i, ".") - 1)
            print room substr($i, index($i, "."))
        }
    }' HACKING | LC_ALL=C sort >"$work/listed"

sed -n '/^} rows\[\] = {/,/^};/s/^ *{"\([a-z.]*[a-z_]*\)", [A-Z]*, [0-9]*},$/\1/p' \
    tests/test_points.c | LC_ALL=C sort -u >"$work/rows"

result=0
diff "$work/src" "$work/listed" || {
    echo "< is in src/ alone, > in HACKING alone"
    result=1
}
diff "$work/src" "$work/rows" || {
    echo "< is in src/ alone, > in tests/test_points.c alone"
    result=1
}
exit $result

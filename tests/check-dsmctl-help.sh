#!/bin/sh
# dsmctl's help, its manual page and its completion tell of the same options and
# commands.
set -eu

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
page=$srcdir/man/dsmctl.1
completion=$srcdir/tools/dsmctl.bash

"$top_builddir/tools/dsmctl" --help >"$work/help"
grep -oE -e '(^|[ ,[])--?[A-Za-z][a-z-]*' "$work/help" | tr -d ' ,[' |
    LC_ALL=C sort -u >"$work/help-options"
sed -n '/^Commands:/,/^$/s/^ *\([a-z]\{2,\}\) .*/\1/p' "$work/help" |
    LC_ALL=C sort -u >"$work/help-commands"

# mdoc's words: .Fl b , Fl -bytes
awk '/^\.It Fl / {
        for (i = 1; i < NF; i++)
            if ($i == "Fl")
                print "-" $(i + 1)
    }' "$page" | LC_ALL=C sort -u >"$work/page-options"
awk '/^\.It (Ic|Cm) / { print $3 }' "$page" | LC_ALL=C sort -u >"$work/page-commands"

status=0
for words in options commands; do
    [ -s "$work/help-$words" ] ||
        { echo "dsmctl --help lists no $words"; status=1; }
    diff "$work/help-$words" "$work/page-$words" >"$work/difference" && continue
    sed -n -e 's/^< \(.*\)/\1 is in dsmctl --help, but not in dsmctl.1/p' \
           -e 's/^> \(.*\)/\1 is in dsmctl.1, but not in dsmctl --help/p' \
           "$work/difference"
    status=1
done

for word in $(cat "$work/help-commands") $(grep -e '^--' "$work/help-options")
do
    grep -qwF -e "$word" "$completion" && continue
    echo "$word is in dsmctl --help, but not in its completion"
    status=1
done
exit $status

#!/bin/sh
# tables.sh DOCUMENT FOLDER: puts each FOLDER/NAME.md between the lines
# "<!-- begin NAME -->" and "<!-- end NAME -->" of the document.  Where there is
# no such file the document keeps what it has.
set -eu
document=$1 folder=$2
new=$(mktemp)
trap 'rm -f "$new"' EXIT

awk -v folder="$folder" '
    /^<!-- end / { inside = 0 }
    !inside
    /^<!-- begin / {
        file = folder "/" $3 ".md"
        if ((getline line <file) <= 0)
            next
        inside = 1
        print ""
        do
            print line
        while ((getline line <file) > 0)
        print ""
    }' "$document" >"$new"
cat "$new" >"$document"

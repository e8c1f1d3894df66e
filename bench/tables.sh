#!/bin/sh
# tables.sh DOCUMENT FOLDER: puts FOLDER/NAME.md, which a bench wrote with
# --markdown, between the lines "<!-- begin NAME -->" and "<!-- end NAME -->" of
# the document.
set -eu
document=$1 folder=$2
new=$(mktemp)
trap 'rm -f "$new"' EXIT

awk -v folder="$folder" '
    /^<!-- end / { inside = 0 }
    !inside
    /^<!-- begin / {
        inside = 1
        file = folder "/" $3 ".md"
        print ""
        while ((getline line <file) > 0)
            print line
        print ""
    }' "$document" >"$new"
cat "$new" >"$document"

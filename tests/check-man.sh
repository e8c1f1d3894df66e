#!/bin/sh
# Every public name has a manual page, every page has its sections and is clean
# to mandoc, and the programs under EXAMPLES compile.
set -eu
srcdir=$(cd "$srcdir" && pwd)
cd "$srcdir"

. "$srcdir/tests/public-names.sh"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
: >"$work/wrong"

wrong()
{
    echo "$1" | tee -a "$work/wrong"
}

sections_of()
{
    case $1 in
    *.1) echo 'NAME,SYNOPSIS,DESCRIPTION,EXIT STATUS,EXAMPLES,SEE ALSO' ;;
    *.3) echo 'NAME,SYNOPSIS,DESCRIPTION,RETURN VALUES,ERRORS,EXAMPLES,SEE ALSO' ;;
    *) echo 'NAME,DESCRIPTION,SEE ALSO' ;;
    esac | tr ',' '\n'
}

# PAGE: the displays under EXAMPLES, as C, in files of their own.
extract_examples()
{
    awk -v prefix="$work/example" '
        /^\.Sh/ { examples = /^\.Sh EXAMPLES/ }
        /^\.Ed/ { display = 0 }
        display {
            gsub(/\\&/, "")
            gsub(/\\\(aq/, "\047")
            gsub(/\\\(dq/, "\"")
            gsub(/\\\(rs|\\e/, "\\")
            gsub(/\\-/, "-")
            print >file
        }
        examples && /^\.Bd -literal/ {
            display = 1
            file = prefix (++count) ".c"
        }' "$1"
}

check_examples()
{
    rm -f "$work"/example*.c
    extract_examples "$1"
    for example in "$work"/example*.c; do
        # Pieces of functions and shell commands are left alone.
        grep -qs '^#include' "$example" || continue
        ${CC:-cc} -std=c11 -D_GNU_SOURCE -fsyntax-only -Wall -Wextra \
            -Wno-unused-function -Werror -I"$srcdir/include" \
            "$example" 2>"$work/errors" && continue
        wrong "$1: an example does not compile:"
        cat "$work/errors"
    done
}

for name in $(public_names dsm.h dsm/blas.h); do
    [ -e "man/$name.3" ] || wrong "$name has no page man/$name.3"
done

pages=
for page in man/*.[1-9]; do
    # A page of another name for the same.
    if read -r request target <"$page" && [ "$request" = .so ]; then
        name=${page##*/}
        grep -qs "^\.Nm ${name%.*}\>" "man/${target##*/}" ||
            wrong "$page: $target does not tell of it"
        continue
    fi
    pages="$pages $page"
    sections_of "$page" | awk '
        NR == FNR { wanted[$0]; next }
        /^\.Sh / { delete wanted[substr($0, 5)] }
        END { for (name in wanted) print FILENAME ": no section " name }
        ' - "$page" | tee -a "$work/wrong"
    check_examples "$page"
done

if command -v mandoc >/dev/null; then
    # shellcheck disable=SC2086
    mandoc -Tlint -Wwarning $pages | tee -a "$work/wrong"
else
    echo "mandoc is missing: the pages' markup is not checked"
    [ -s "$work/wrong" ] || exit 77
fi
[ ! -s "$work/wrong" ]

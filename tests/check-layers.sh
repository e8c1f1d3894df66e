#!/bin/sh
# Includes go downward only.  In src/ a file includes its own room, rooms of
# lower layers, <dsm/NOUN.h> and the system; the rooms of one layer do not know
# each other.  Programs include <dsm.h>, <dsm/blas.h> which it does not include,
# the system, and their own folder.
# Nothing in the library includes the umbrella.
set -eu
cd "$srcdir"

layers='
    base=0 os=0
    shm=1 trace=1
    registry=2
    sync=3 sched=3 stats=3 kernel=3
    engine=4 code=4
    array=5 pool=5
    cluster=6
    prim=7 job=7
    blas=8
'

find src include tools examples bench -name '*.[ch]' | LC_ALL=C sort |
xargs awk -v layers="$(echo $layers)" '
function wrong(text) { printf "%s:%d: %s\n", FILENAME, FNR, text; failed = 1 }

function check_library(name, angle,    other) {
    if (name == "dsm.h")
        wrong("the library does not include its umbrella")
    if (angle || room == "")
        return
    other = name
    if (!sub(/\/[^\/]*$/, "", other))
        wrong("\"" name "\": name the room, too")
    else if (!(other in layer))
        wrong("\"" name "\": there is no room " other)
    else if (other != room && layer[other] >= layer[room])
        wrong(room " is not above " other)
}

function check_program(name, angle) {
    if (angle && name ~ /^dsm\// && name != "dsm/blas.h")
        wrong("<" name ">: programs include <dsm.h>")
    if (!angle && name ~ /\//)
        wrong("\"" name "\": programs include their own folder only")
}

BEGIN {
    count = split(layers, pairs)
    for (i = 1; i <= count; i++) {
        split(pairs[i], pair, "=")
        layer[pair[1]] = pair[2] + 0
    }
}

FNR == 1 {
    room = ""
    if (FILENAME ~ /^src\//) {
        split(FILENAME, parts, "/")
        room = parts[2]
        if (!(room in layer))
            wrong("src/" room " has no layer in tests/check-layers.sh")
    }
}

/^[ \t]*#[ \t]*include[ \t]*["<]/ {
    name = $0
    sub(/^[^"<]*/, "", name)
    angle = name ~ /^</
    name = substr(name, 2)
    sub(/[">].*/, "", name)
    if (FILENAME == "include/dsm.h")
        next
    if (FILENAME ~ /^(src|include)\//)
        check_library(name, angle)
    else
        check_program(name, angle)
}

END { exit failed }
'

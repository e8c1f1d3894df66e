#!/bin/sh
# dsmctl against what it should print and how it should exit: without clusters,
# with live ones, with one whose controller dies, and with stale ones.
set -eu

here=$(cd "$(dirname "$0")/.." && pwd)
srcdir=${srcdir-$here}
top_builddir=${top_builddir-$here}
fixture=$top_builddir/tests/fixture_cluster
[ -x "$fixture" ] || { echo "$fixture is missing: build it first"; exit 1; }
. "$srcdir/tests/dsmctl.sh"

# ---- Clusters.

is_ready()
{
    grep -qs '^ready ' "$work/$1"
}

# NAME: a new live cluster; its processes' pids are then in $controller and
# $supervisor.  It ends with fd 9, also when this script is killed.
start()
{
    rm -f "$work/$1"
    "$fixture" "$1" <"$work/alive" >"$work/$1" 2>&1 9>&- &
    controller=$!
    controllers="$controllers $controller"
    clusters="$clusters $1"
    eventually is_ready "$1"
    supervisor=$(sed -n 's/^ready //p' "$work/$1")
    if [ -z "$supervisor" ]; then
        echo "the fixture did not start: $(cat "$work/$1")"
        exit 1
    fi
}

is_stopped()
{
    grep -qs '^State:.T' "/proc/$1/status"
}

# Stopped first, so that none of the two sees the other's death.
kill_both()
{
    kill -STOP "$1" "$2" || fail "controller or supervisor is gone already"
    eventually is_stopped "$1"
    eventually is_stopped "$2"
    kill -KILL "$1" "$2" || fail "controller or supervisor did not stop"
    forget "$1"
}

# Reaps a controller, whose pid may then become someone else's.
forget()
{
    wait "$1" 2>/dev/null || :
    controllers=$(printf ' %s ' "$controllers" | sed "s/ $1 / /")
}

# ---- The tests.

usage_errors()
{
    commands='the commands are list, delete, clean, export'
    run 2
    says "no command given; $commands"
    prints_nothing
    run 2 lst
    says "unknown command 'lst'; $commands"
    run 2 list --colour
    says "unknown option '--colour'; the options are --json, --output,"
    run 2 -x list
    says "unknown option '-x'; the options are --json, --output,"
    run 2 list --json=yes
    says 'option --json takes no argument'
    run 2 list --output
    says 'option --output needs COLUMNS'
    run 2 list --output NAME,COLOUR
    says "unknown column 'COLOUR'; the columns of clusters are NAME, STATE,"
    run 2 list some --output OWNER
    says "unknown column 'OWNER'; the columns of objects are NAME, KIND,"
    run 2 list --output ''
    says "unknown column ''"
    run 2 delete --json --check some
    says 'delete does not take --json, --check; its options are --force'
    run 2 clean --force
    says 'clean does not take --force; its options are --dry-run'
    run 2 list some other
    says 'too many arguments; usage: dsmctl list [NAME]'
    run 2 delete
    says 'too few arguments; usage: dsmctl delete NAME...'
    run 2 clean some
    says 'too many arguments; usage: dsmctl clean'
    run 2 export some A
    says 'too few arguments; usage: dsmctl export CLUSTER ARRAY FILE.npy'
}

help_and_version()
{
    run 0 --help
    cp "$work/out" "$work/help"
    [ -z "$(awk 'length > 80' "$work/help")" ] || fail "--help: a long line"
    run 0 -h
    prints <"$work/help"
    run 0 list --help
    prints <"$work/help"
    run 0 --version
    grep -Eqx 'dsmctl \(libdsm\) [0-9]+\.[0-9]+\.[0-9]+.*' "$work/out" ||
        fail "--version: $(cat "$work/out")"
    for option in --help --version; do
        code=0
        "$dsmctl" $option >/dev/full 2>"$work/err" || code=$?
        ran="dsmctl $option >/dev/full"
        [ $code -eq 1 ] || fail "$ran: exit code $code"
        says 'cannot write the output'
    done
}

# KIND: the columns of clusters or objects in --help.
columns_in_help()
{
    sed -n "/^Columns of $1/,/^\$/s/^ \\([A-Z]*\\) .*/\\1/p" "$work/help"
}

# The words that completion offers after these words, one per line.
completions()
{
    bash -c '. "$0"; dsmctl=$1; shift
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
        _dsmctl "$dsmctl"
        printf "%s\n" "${COMPREPLY[@]}"' \
        "$srcdir/tools/dsmctl.bash" "$dsmctl" dsmctl "$@" >"$work/out"
    ran="completion of: dsmctl $*"
}

completion_of_words()
{
    completions ''
    sed -n '/^Commands/,/^$/s/^ \([a-z]*\) .*/\1/p' "$work/help" >"$work/words"
    prints <"$work/words"
    completions -- --
    sed -n '/^Options/,/^$/s/^ .*\(--[a-z-]*\).*/\1/p' "$work/help" \
        >"$work/words"
    prints <"$work/words"
    completions list --output ''
    columns_in_help clusters >"$work/words"
    prints <"$work/words"
    completions list some --output ''
    columns_in_help objects >"$work/words"
    prints <"$work/words"
    completions top some --output ''
    columns_in_help workers >"$work/words"
    prints <"$work/words"
    completions start some -n ''
    echo | prints
    completions list -n some -o NAME,si
    echo NAME,SIZE | prints
    completions list --output = +cr
    echo +CREATED | prints
    : >"$work/two words"
    completions submit some "$work/two"
    echo "$work/two words" | prints
}

# NAME
completion_of_names()
{
    completions list "${1%?}"
    grep -qx "$1" "$work/out" || fail "$ran: $(cat "$work/out")"
    completions export "$1" ''
    echo A | prints
}

no_clusters()
{
    run 0 list
    prints_nothing
    run 0 list --check
    prints_nothing
    run 0 clean
    prints_nothing
    run 0 clean --dry-run
    prints_nothing
    run 0 list --json
    python_agrees '
import json, sys
assert json.load(sys.stdin) == {"clusters": []}'
}

missing_cluster()
{
    run 1 list "no$$"
    says "no$$"
    run 1 delete "no$$"
    says "no$$"
    run 1 export "no$$" A "$work/no.npy"
    says "no$$"
    [ ! -e "$work/no.npy" ] || fail "a file for an array that there is not"
}

# NAME CONTROLLER
list_live()
{
    run 0 list --noheadings --output name,state,owner,workers,objects
    tr -s ' ' <"$work/out" | grep "^$1 " >"$work/line" || :
    mv "$work/line" "$work/out"
    echo "$1 live $2 2 4" | prints
    run 0 list
    head -n 1 "$work/out" | tr -s ' ' >"$work/line"
    mv "$work/line" "$work/out"
    echo NAME STATE OWNER WORKERS OBJECTS SIZE AGE PROGRAM | prints
    run 0 --check list "$1"
    run 0 list --output +created
    head -n 1 "$work/out" | grep -q ' PROGRAM  *CREATED$' ||
        fail "$ran: $(cat "$work/out")"
    run 0 list --json --output +DIRECTORY,CREATED
    python_agrees '
import json, sys
all = {c["name"]: c for c in json.load(sys.stdin)["clusters"]}
c = all[sys.argv[1]]
assert c["state"] == "live" and c["owner"] == int(sys.argv[2]), c
assert c["workers"] == 2 and c["objects"] == 4, c
assert c["size"] > 96 and 0 <= c["age"] < 600, c
assert "fixture_cluster" in c["program"], c
assert c["directory"].startswith("/") and c["created"].startswith("20"), c
' "$1" "$2"
    code=0
    "$dsmctl" list >/dev/full 2>"$work/err" || code=$?
    [ $code -eq 1 ] || fail "list >/dev/full: exit code $code"
}

# NAME
list_objects()
{
    run 0 list "$1" --output name,kind,type,shape
    prints <<'END'
NAME KIND    TYPE    SHAPE
A    array   float64 3x4
B    barrier
L    lock
Q    queue
END
    run 0 list "$1"
    head -n 1 "$work/out" | tr -s ' ' >"$work/line"
    mv "$work/line" "$work/out"
    echo NAME KIND TYPE SHAPE SIZE | prints
    run 0 list "$1" --noheadings --bytes --output SIZE
    [ "$(grep -cx ' *[0-9][0-9]*' "$work/out")" -eq 4 ] ||
        fail "$ran: $(cat "$work/out")"
    run 0 list "$1" --json --output +PATH
    python_agrees '
import json, sys
a, b, l, q = json.load(sys.stdin)["objects"]
assert a["name"] == "A" and a["type"] == "float64", a
assert a["shape"] == [3, 4] and a["size"] >= 4096 + 96, a
assert a["path"] == sys.argv[1], a
assert [o["kind"] for o in (a, b, l, q)] == [
    "array", "barrier", "lock", "queue"]
for o in b, l, q:
    assert o["type"] is o["shape"] is o["path"] is None, o
' "/dev/shm/dsm.$user.$1.A"
}

# FILE: NumPy finds in it what the fixture put there.
holds_fixture_array()
{
    [ "$(head -c 6 "$1" | tail -c 5)" = NUMPY ] || fail "$1: not a .npy file"
    if ! /usr/bin/python3 -c 'import numpy' 2>/dev/null; then
        echo "without NumPy: $1 is not looked into"
        return 0
    fi
    /usr/bin/python3 -c '
import numpy, sys
a = numpy.load(sys.argv[1])
assert a.dtype == numpy.float64 and a.shape == (3, 4), a
assert (a.ravel() == numpy.arange(12) / 2).all(), a' "$1" ||
        fail "$1: NumPy finds something else"
}

# NAME
export_array()
{
    file=$work/exported.npy
    run 0 export "$1" A "$file"
    prints_nothing
    holds_fixture_array "$file"
    echo mine >"$file"
    run 1 export "$1" A "$file"
    says "$file exists; --force replaces it"
    [ "$(cat "$file")" = mine ] || fail "$ran: replaced the file"
    ln -s "$file" "$work/link.npy"
    run 0 export --force "$1" A "$work/link.npy"
    [ -L "$work/link.npy" ] || fail "$ran: replaced a link, not its target"
    holds_fixture_array "$file"
    run 1 export --force "$1" A /dev/null
    says '/dev/null is not a regular file and is not replaced'
    run 1 export "$1" A "$work/missing/file.npy"
    says "$work/missing/file.npy"
    run 1 export "$1" nothing "$work/no.npy"
    says nothing
    run 1 export "$1" L "$work/no.npy"
    says L
    [ ! -e "$work/no.npy" ] || fail "a file for what is no array"
}

# NAME
delete_refused()
{
    run 4 delete "$1"
    says "cluster '$1' is live and was left alone; --force stops it"
    run 1 delete "$1" "no$$"
    [ "$(wc -l <"$work/err")" -eq 2 ] || fail "$ran: $(cat "$work/err")"
    run 1 delete "no$$" "$1"
    is_in_state "$1" live || fail "$1 is not live any more"
}

# NAME CONTROLLER
delete_forced()
{
    run 0 delete --force "$1"
    prints_nothing
    nothing_left_of "$1" || fail "$ran: left $(segments_of "$1")"
    kill -KILL "$2"
    forget "$2"
}

# NAME CONTROLLER
dead_controller()
{
    kill -KILL "$2"
    forget "$2"
    eventually nothing_left_of "$1"
    run 1 list "$1"
}

# DELETED CLEANED NEIGHBOUR, the first two of which are stale.
stale_clusters()
{
    eventually is_in_state "$1" stale
    eventually is_in_state "$2" stale
    run 3 list --check
    run 3 list "$1" --check
    run 0 list "$3" --check
    run 0 list "$1" --noheadings --output NAME,KIND
    head -n 1 "$work/out" | grep -qx 'A  *array *' ||
        fail "$ran: $(cat "$work/out")"
    export_stale "$1"

    run 0 delete "$1"
    prints_nothing
    nothing_left_of "$1" || fail "$ran: left $(segments_of "$1")"
    run 3 clean --dry-run
    grep -Eqx "would remove $2 \([0-9.]+[BKMG]\)" "$work/out" ||
        fail "$ran: $(cat "$work/out")"
    is_in_state "$2" stale || fail "$ran: removed it"
    run 0 clean
    grep -Eqx "removed $2 \([0-9.]+[BKMG]\)" "$work/out" ||
        fail "$ran: $(cat "$work/out")"
    nothing_left_of "$2" || fail "$ran: left $(segments_of "$2")"
    is_in_state "$3" live || fail "$ran: the neighbour is not live any more"
    run 0 export "$3" A "$work/neighbour.npy"
    holds_fixture_array "$work/neighbour.npy"
}

# Says how to get at the array nevertheless, and that works.
export_stale()
{
    run 1 export "$1" A "$work/stale.npy"
    hint=$(sed -n 's/.*can be copied: //p' "$work/err")
    case $hint in
    "cp /dev/shm/dsm.$user.$1.A $work/stale.npy")
        $hint
        holds_fixture_array "$work/stale.npy"
        ;;
    *) fail "$ran: $(cat "$work/err")" ;;
    esac
}

usage_errors
help_and_version
if command -v bash >/dev/null; then
    completion_of_words
fi
if [ "$DSM_TEST_PRIVATE" = yes ]; then
    no_clusters
fi
missing_cluster

mkfifo "$work/alive"
exec 9<>"$work/alive"

first=one$$ second=two$$ neighbour=neighbour$$
start "$neighbour"
neighbour_controller=$controller
list_live "$neighbour" "$controller"
list_objects "$neighbour"
export_array "$neighbour"
delete_refused "$neighbour"
if command -v bash >/dev/null; then
    completion_of_names "$neighbour"
fi

start "$first"
delete_forced "$first" "$controller"
start "$first"
dead_controller "$first" "$controller"

if [ "$DSM_TEST_PRIVATE" = yes ]; then
    # Both live before the first is killed: a new cluster sweeps stale ones.
    start "$first"
    first_controller=$controller first_supervisor=$supervisor
    start "$second"
    kill_both "$first_controller" "$first_supervisor"
    kill_both "$controller" "$supervisor"
    stale_clusters "$first" "$second" "$neighbour"
fi

# The fixture ends with its stdin and destroys its cluster.
exec 9>&-
wait "$neighbour_controller" || fail "the neighbour did not end well"
forget "$neighbour_controller"
nothing_left_of "$neighbour" || fail "left $(segments_of "$neighbour")"

finish

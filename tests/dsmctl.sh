# What the tests of dsmctl share: they set srcdir and top_builddir, read this and
# end with "finish".  They add to $clusters the names of clusters that they make
# and to $controllers the pids of programs that have one.
# shellcheck shell=sh

dsmctl=$top_builddir/tools/dsmctl
[ -x "$dsmctl" ] || { echo "$dsmctl is missing: build it first"; exit 1; }

# "clean" takes away every stale cluster of this user, and other tests, by
# creating clusters, take away this test's: so it has a /dev/shm of its own
# where the kernel lets it.  DSM_TEST_PRIVATE=yes: it is alone anyway.
if [ -z "${DSM_TEST_PRIVATE-}" ]; then
    export srcdir top_builddir
    for map in '' --map-root-user; do
        unshare --mount $map mount -t tmpfs tmpfs /dev/shm 2>/dev/null ||
            continue
        # shellcheck disable=SC2093 # it goes on where the mount failed
        DSM_TEST_PRIVATE=yes exec unshare --mount $map sh -c \
            'mount -t tmpfs tmpfs /dev/shm && exec sh "$0"' "$0"
    done
    DSM_TEST_PRIVATE=no
    echo "no /dev/shm of its own: nothing is tried on stale clusters" \
        "(when no other test runs: DSM_TEST_PRIVATE=yes)"
fi

user=$(id -u)
deadline=20 # seconds
work=$(mktemp -d)
clusters= controllers=
failures=0

# Controllers only: the supervisors then take the rest away.
cleanup()
{
    for pid in $controllers; do
        kill -KILL "$pid" 2>/dev/null || :
    done
    wait
    for name in $clusters; do
        "$dsmctl" delete --force "$name" >"$work/out" 2>&1 || :
    done
    rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 1' HUP INT TERM

# ---- Assertions.

fail()
{
    echo "FAILED: $*"
    failures=$((failures + 1))
}

# CODE ARGUMENT...: runs dsmctl; its output is in $work/out and $work/err.
run()
{
    wanted=$1
    shift
    ran="dsmctl $*"
    code=0
    "$dsmctl" "$@" >"$work/out" 2>"$work/err" || code=$?
    [ "$code" -eq "$wanted" ] && return
    fail "$ran: exit code $code, not $wanted"
    cat "$work/out" "$work/err"
}

# Compares what was printed with stdin; blanks at line ends do not count.
prints()
{
    cat >"$work/golden"
    sed 's/ *$//' "$work/out" >"$work/trimmed"
    diff -u "$work/golden" "$work/trimmed" || fail "$ran: printed otherwise"
}

prints_nothing()
{
    [ ! -s "$work/out" ] || fail "$ran: printed $(cat "$work/out")"
}

# TEXT: stderr is one line from dsmctl that has it.
says()
{
    [ "$(wc -l <"$work/err")" -eq 1 ] || fail "$ran: not one line of message"
    grep -q "^dsmctl: .*" "$work/err" && grep -qF -e "$1" "$work/err" ||
        fail "$ran: said '$(cat "$work/err")', not '$1'"
}

# COMMAND...: waits until it succeeds.
eventually()
{
    end=$(($(date +%s) + deadline))
    until "$@"; do
        [ "$(date +%s)" -lt "$end" ] || {
            fail "not in $deadline seconds: $*"
            return 0
        }
        sleep 0.02
    done
}

# PYTHON ARGUMENT...: the program sees dsmctl's output as stdin.
python_agrees()
{
    if ! command -v python3 >/dev/null; then
        echo "without python3: $ran is not looked into"
        return 0
    fi
    python3 -c "$@" <"$work/out" || fail "$ran: not the JSON that was wanted"
}

# ---- Clusters.

segments_of()
{
    ls "/dev/shm/dsm.$user.$1" "/dev/shm/dsm.$user.$1".* 2>/dev/null
}

nothing_left_of()
{
    [ -z "$(segments_of "$1")" ]
}

is_in_state()
{
    "$dsmctl" list --noheadings --output NAME,STATE | tr -s ' ' |
        grep -qx "$1 $2"
}

finish()
{
    [ "$failures" -eq 0 ] || {
        echo "$failures failed"
        exit 1
    }
    echo "all as wanted"
}

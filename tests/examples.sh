# What the tests of examples share: they set srcdir and top_builddir, read this
# and end with the status of "[ $failures -eq 0 ]".
# shellcheck shell=sh

examples=$(cd "$top_builddir/examples" && pwd)
longest=300 # seconds that a run may take before it counts as hanging
work=$(mktemp -d)
mkdir "$work/tmp"
export TMPDIR="$work/tmp" # the programs': nothing may stay there
failures=0
controller= # of a run in the background
trap '[ -z "$controller" ] || kill "$controller"; rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

# PROGRAM...: without them there is nothing to test.
need()
{
    for program; do
        [ -x "$examples/$program" ] || {
            echo "$examples/$program is missing: build it first"
            exit 1
        }
    done
}

fail()
{
    echo "FAILED: $*"
    failures=$((failures + 1))
}

# The pid is in the cluster's name, so leftovers are this run's alone.
nothing_left()
{
    left=$(ls -d "/dev/shm/dsm."*"-$pid" "/dev/shm/dsm."*"-$pid"[-.]* \
        "$TMPDIR"/* 2>/dev/null || :)
    [ -z "$left" ] || fail "$ran: left $left"
}

# CODE PROGRAM ARGUMENT...: runs it; its output is in $work/out and $work/err.
run()
{
    wanted=$1 program=$2
    shift 2
    ran="$program $*"
    code=0
    timeout "$longest" sh -c 'echo $$ >"$0" && exec "$@"' "$work/pid" \
        "$examples/$program" "$@" >"$work/out" 2>"$work/err" || code=$?
    pid=$(cat "$work/pid")
    nothing_left
    [ "$code" -eq "$wanted" ] && return
    fail "$ran: exit code $code, not $wanted"
    cat "$work/out" "$work/err"
}

prints()
{
    grep -qe "$1" "$work/out" ||
        fail "$ran: printed '$(cat "$work/out")', not '$1'"
}

# TEXT: stderr is one line from the program that has it.
says()
{
    [ "$(wc -l <"$work/err")" -eq 1 ] || fail "$ran: not one line of message"
    grep -q "^$program: " "$work/err" && grep -qF -e "$1" "$work/err" ||
        fail "$ran: said '$(cat "$work/err")', not '$1'"
}

# ---- A worker's death.

# Pids of the run with this argument, the controller's too.  By way of a file:
# grep has a command line of its own.
processes_with()
{
    echo "$1" >"$work/mark"
    grep -lsaF -f "$work/mark" /proc/[0-9]*/cmdline | cut -d / -f 3
}

# Workers are the children of a process of the run that is not the controller.
# Prints the pid of one that has computed for 0.1 s.
busy_worker()
{
    others=$(processes_with "$1" | grep -vx "$controller" || :)
    for candidate in $others; do
        # shellcheck disable=SC2046 # each field is a word
        set -- "$candidate" $(cat "/proc/$candidate/stat" 2>/dev/null)
        # pid, then stat: its fields 4, parent, and 14, user time in ticks.
        [ $# -gt 20 ] && [ "${15}" -ge 10 ] || continue
        echo "$others" | grep -qx "$5" || continue
        echo "$candidate"
        return
    done
}

# MARK: waits for a busy worker of the run in the background and kills it.
kill_worker()
{
    victim=
    end=$(($(date +%s) + 60))
    while [ -z "$victim" ] && [ "$(date +%s)" -lt "$end" ]; do
        victim=$(busy_worker "$1")
    done
    [ -n "$victim" ] || { echo "$ran: no worker was seen"; exit 1; }
    kill -KILL "$victim"
}

# MARK: the run ends, with the right words, and nothing of it is left.
tells_of_death()
{
    code=0
    wait "$controller" || code=$?
    controller=
    [ $code -eq 1 ] || fail "$ran: exit code $code"
    says "(pid $victim) died of SIGKILL"
    nothing_left
    [ -z "$(processes_with "$1")" ] || fail "$ran: processes are left"
}

#!/bin/sh
# The example innerprod: that it finds its product right and the same for all
# numbers of workers, and what it refuses.  After each run nothing may be left.
set -eu

top_builddir=${top_builddir-.}
innerprod=$top_builddir/examples/innerprod
[ -x "$innerprod" ] || { echo "$innerprod is missing: build it first"; exit 1; }

longest=60 # seconds that a run may take before it counts as hanging
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
failures=0

fail()
{
    echo "FAILED: $*"
    failures=$((failures + 1))
}

# CODE ARGUMENT...: runs it; its output is in $work/out and $work/err.
run()
{
    wanted=$1
    shift
    ran="innerprod $*"
    code=0
    timeout "$longest" sh -c 'echo $$ >"$0" && exec "$@"' "$work/pid" \
        "$innerprod" "$@" >"$work/out" 2>"$work/err" || code=$?
    pid=$(cat "$work/pid")
    left=$(ls -d "/dev/shm/dsm."*"-$pid" "/dev/shm/dsm."*"-$pid"[-.]* \
        2>/dev/null || :)
    [ -z "$left" ] || fail "$ran: left $left"
    [ "$code" -eq "$wanted" ] && return
    fail "$ran: exit code $code, not $wanted"
    cat "$work/out" "$work/err"
}

# TEXT: stderr is one line from the program that has it.
says()
{
    [ "$(wc -l <"$work/err")" -eq 1 ] || fail "$ran: not one line of message"
    grep -q '^innerprod: ' "$work/err" && grep -qF -e "$1" "$work/err" ||
        fail "$ran: said '$(cat "$work/err")', not '$1'"
}

# TEXT
prints()
{
    grep -q -e "$1" "$work/out" ||
        fail "$ran: printed '$(cat "$work/out")', not '$1'"
}

for n in 1 2 1000 12345 1000003; do
    run 0 -n $n -p 4 --rounds 2
    prints "^$n numbers, median of 2 rounds"
    prints 'the same bits for 1 to 4 workers'
    [ "$(grep -c ' GB/s$' "$work/out")" -eq 4 ] || fail "$ran: not 4 rows"
done
run 0 -n 1000
run 0 --help
for option in count workers rounds help; do
    prints "--$option"
done

run 1 -n 1000000000000000
says 'innerprod: '
for arguments in '-n 0' '-n x' '-n -1' '-p 0' '-p 1x' '-p 100000' '--rounds 0' \
    '--no-such' 'more'; do
    run 2 $arguments
    [ -s "$work/err" ] || fail "$ran: said nothing"
done

[ $failures -eq 0 ]

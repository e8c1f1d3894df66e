#!/bin/sh
# The example eventloop: that commands are answered while jobs run and results
# are told while no command comes; cancelling, lines that mean nothing, no room,
# and a worker's death.
set -eu

here=$(cd "$(dirname "$0")/.." && pwd)
srcdir=${srcdir-$here}
top_builddir=${top_builddir-.}
. "$srcdir/tests/examples.sh"
need eventloop
endless=1000000000000 # a job that ends by being cancelled, or not in this test

# ---- A conversation.  The program's name tells its processes.

mark=eventloop-for-$$
ln -s "$examples/eventloop" "$work/$mark"
mkfifo "$work/in"

# ARGUMENT...: starts the program, with descriptor 3 for its input.
begin()
{
    "$work/$mark" "$@" <"$work/in" >"$work/out" 2>"$work/err" &
    controller=$! pid=$! program=eventloop ran="eventloop $*"
    exec 3>"$work/in"
}

tell()
{
    echo "$*" >&3
}

# EXPRESSION: waits till that is printed.
hear()
{
    end=$(($(date +%s) + 60))
    until grep -qe "$1" "$work/out"; do
        [ "$(date +%s)" -lt "$end" ] || {
            echo "$ran: printed '$(cat "$work/out")', not '$1'"
            exit 1
        }
    done
}

# CODE: the program ends with that, and nothing of it is left.
ends()
{
    code=0
    wait "$controller" || code=$?
    controller=
    exec 3>&-
    [ $code -eq "$1" ] || fail "$ran: exit code $code, not $1"
    nothing_left
    [ -z "$(processes_with $mark)" ] || fail "$ran: processes are left"
}

begin -p 2
tell $endless
tell status
hear "^job 1: $endless, "
tell 100
hear '^job 2: 25 primes below 100$'
# Now both workers are taken.
tell $endless
tell 10
tell status
hear '^job 4: 10, queued$'
tell cancel 4
hear '^job 4: cancelled$'
tell cancel 1
hear '^job 1: cancelled$'
tell cancel 1
hear "^'1' is no job"
tell 1000
hear '^job 5: 168 primes below 1000$'
tell stats
hear '^WORKER.* JOBS '
# It waits for what was asked before.
tell 200000
tell cancel 3
tell quit
ends 0
prints '^job 3: cancelled$'
prints '^job 6: 17984 primes below 200000$'
[ ! -s "$work/err" ] || fail "$ran: said '$(cat "$work/err")'"

# ---- A worker dies: its job fails, the others are not touched.

begin -p 2
tell $endless
kill_worker $mark
hear "^job 1: .*(pid $victim) died of SIGKILL"
tell 100
hear '^job 2: 25 primes below 100$'
tell quit
ends 1

# ---- Input at once.

# CODE ARGUMENT...: with the input in $work/lines.
runs()
{
    wanted=$1
    shift
    exec 4<&0 <"$work/lines"
    run "$wanted" eventloop "$@"
    exec <&4 4<&-
    [ ! -s "$work/err" ] || fail "$ran: said '$(cat "$work/err")'"
}

k=0
for known in 0 0 0 1 2 2 3 3 4 4 4 4 5; do
    echo $k >&5
    echo "job $((k + 1)): $known primes below $k"
    k=$((k + 1))
done 5>"$work/lines" | sort >"$work/want"
for workers in 1 2 5; do
    runs 0 -p $workers
    sort "$work/out" | cmp -s - "$work/want" || fail "$ran: '$(cat "$work/out")'"
done
seq 2000 2999 >"$work/lines"
runs 0
[ "$(sort -u "$work/out" | grep -c '^job [0-9]*: [34][0-9]* primes below 2')" \
    -eq 1000 ] || fail "$ran: not 1000 results"

{
    printf 'abc\n-1\n1.5\n 5\n\n18446744073709551616\ncancel\ncancel 9\n5\0\n'
    yes 1 | head -n 100000 | tr -d '\n'
    printf '\n\1\nstatus\nstats\n10' # and no end of the line
} >"$work/lines"
runs 0
for text in abc -1 1.5 ' 5' 18446744073709551616 cancel '5?'; do
    prints "^'$text' is no number and no command"
done
prints "^'9' is no job that could be cancelled"
prints "^'1111111111*\.\.\.' is longer than any command"
prints '^all 0 jobs have ended$'
prints '^job 1: 4 primes below 10$'
printf 'quit\n100\n' >"$work/lines"
runs 0
[ ! -s "$work/out" ] || fail "$ran: printed '$(cat "$work/out")'"
: >"$work/lines"
runs 0
[ ! -s "$work/out" ] || fail "$ran: printed '$(cat "$work/out")'"

# One job has room.  It has not ended when the second line is read.
printf '%s\n5\ncancel 1\n' $endless >"$work/lines"
runs 0 --max-jobs 1
prints '^no room for 5: '
prints '^job 1: cancelled$'
[ "$(wc -l <"$work/out")" -eq 2 ] || fail "$ran: '$(cat "$work/out")'"

# ---- What it must refuse.

for arguments in '-p 0' '-p x' '--max-jobs 0' '-j -1' '--no-such' 'more'; do
    run 2 eventloop $arguments
    [ -s "$work/err" ] || fail "$ran: said nothing"
done
run 1 eventloop -p 100000
says 'at most'
run 0 eventloop --help
for option in workers max-jobs help; do
    prints "--$option"
done
if [ -c /dev/full ]; then
    code=0
    ran='eventloop >/dev/full'
    echo 10 | "$examples/eventloop" >/dev/full 2>"$work/err" || code=$?
    says 'could be written'
    [ $code -eq 1 ] || fail "$ran: exit code $code"
fi

[ $failures -eq 0 ]

#!/bin/sh
# The example histogram: the same table for any number of workers, and when some
# are killed; that its numbers are the right ones; what it must refuse.
set -eu

here=$(cd "$(dirname "$0")/.." && pwd)
srcdir=${srcdir-$here}
top_builddir=${top_builddir-.}
. "$srcdir/tests/examples.sh"
need histogram

# NUMBERS ARGUMENT...: a table of that many, the same for 1, 2 and 5 workers.
tables()
{
    numbers=$1
    shift
    for workers in 1 2 5; do
        run 0 histogram --table -p $workers "$@"
        [ ! -s "$work/err" ] || fail "$ran: said '$(cat "$work/err")'"
        [ $workers -gt 1 ] || cp "$work/out" "$work/table"
        cmp -s "$work/table" "$work/out" || fail "$ran: another table"
    done
    awk -v numbers="$numbers" '{ sum += $3 } END { exit sum != numbers }' \
        "$work/table" || fail "$ran: not $numbers numbers"
}

differs()
{
    cmp -s "$work/table" "$work/out" && fail "$ran: the same table" || :
}

# ---- The same for all, but not for another seed.

tables 1000000 --jobs 100 --length 10000
run 0 histogram --table --jobs 100 --length 10000 --seed 1
differs
run 0 histogram --table --jobs 101 --length 10000
differs
tables 1 --jobs 1 --length 1 --bins 1
tables 21 --jobs 3 --length 7 --bins 2
# Results of 800 kB each.
tables 30000 --jobs 10 --length 3000 --bins 100000

# ---- Jobs whose workers are killed are run again.

for workers in 1 2 5; do
    run 0 histogram --jobs 200 --length 50000 -p $workers --kill 8
    prints '^8 workers died, and their jobs were run again$'
    prints '^200 jobs, 10000000 numbers; '"$workers workers: "
    run 0 histogram --table --jobs 200 --length 50000 -p $workers --kill 8
    [ $workers -gt 1 ] || cp "$work/out" "$work/table"
    cmp -s "$work/table" "$work/out" || fail "$ran: another table"
done
# All of them, and large results.
run 0 histogram --jobs 30 --length 100 --bins 100000 --kill 30 --retries 1
prints '^30 workers died'
run 1 histogram --jobs 30 --kill 1 --retries 0
says 'died of SIGKILL'
run 0 histogram --table --jobs 200 --length 50000
cmp -s "$work/table" "$work/out" || fail "$ran: another table"

# ---- Where the numbers lie.

# LEAST MOST: so many of them are in the table's lines that awk selects.
between()
{
    count=$(awk "$3"' { sum += $3 } END { print sum + 0 }' "$work/out")
    [ "$count" -ge "$1" ] && [ "$count" -le "$2" ] ||
        fail "$ran: $count numbers where $3"
}

# By tables of the normal distribution, and at most 6 deviations more or less.
run 0 histogram --table --jobs 10 --length 100000 --low=-1 --high 1 --bins 2
[ "$(cut -d ' ' -f 1,2 "$work/out" | tr '\n' ,)" = \
    '-inf -1,-1 0,0 1,1 inf,' ] || fail "$ran: other bins"
between 156460 160850 '$2 == -1'
between 338500 344190 '$2 == 0'
between 338500 344190 '$2 == 1'
between 156460 160850 '$1 == 1'
# The same numbers, but for their place.
cut -d ' ' -f 3 "$work/out" >"$work/counts"
run 0 histogram --table --jobs 10 --length 100000 --loc 32 --scale 0.5 \
    --low=31.5 --high 32.5 --bins 2
cut -d ' ' -f 3 "$work/out" | cmp -s - "$work/counts" ||
    fail "$ran: other counts"
run 0 histogram --jobs 10 --loc 1e3 --scale 8
prints '^mean 1000, deviation [78]\.[0-9]*, of what is within the bins$'
[ "$(grep -c '^ *[-0-9.inf]* *[0-9]* #*$' "$work/out")" -eq 26 ] ||
    fail "$ran: not 26 lines of chart"
run 0 histogram --jobs 2 --length 1000 --low 50 --high 60
grep -q '^mean' "$work/out" && fail "$ran: a mean of nothing"

# ---- What it must refuse.

for arguments in '-j 0' '-j x' '-j 65537' '-n 0' '-n -1' '-p 0' '-p 1x' \
    '--loc x' '--loc inf' '--scale 0' '--scale -1' '--bins 0' '--low 4' \
    '--low 5 --high 5' '--low -1e308 --high 1e308' '--high nan' '--seed -1' \
    '--retries x' '--kill' '-j 3 --kill 4' '--no-such' 'more'; do
    run 2 histogram $arguments
    [ -s "$work/err" ] || fail "$ran: said nothing"
done
run 1 histogram -p 100000
says 'at most'
run 0 histogram --help
for option in jobs length workers loc scale bins low high seed table retries \
    kill help; do
    prints "--$option"
done

# ---- A worker dies, and its job must not be run again.

mark=$((900000000000000 + $$)) # tells the run's processes
"$examples/histogram" -p 2 --retries 0 -n 1000000000 --seed $mark \
    >/dev/null 2>"$work/err" &
controller=$! pid=$! program=histogram ran='histogram, whose worker dies'
kill_worker $mark
tells_of_death $mark

[ $failures -eq 0 ]

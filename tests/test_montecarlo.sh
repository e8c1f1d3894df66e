#!/bin/sh
# The example montecarlo: that it ends by what jobs publish and cancels the rest,
# what it finds when all jobs end, and what it must refuse.
set -eu

here=$(cd "$(dirname "$0")/.." && pwd)
srcdir=${srcdir-$here}
top_builddir=${top_builddir-.}
. "$srcdir/tests/examples.sh"
need montecarlo

# PRECISION ARGUMENT...: reaches it and, as all jobs would take years, cancels
# those that have not ended.
reaches()
{
    precision=$1
    shift
    run 0 montecarlo -e "$@"
    [ ! -s "$work/err" ] || fail "$ran: said '$(cat "$work/err")'"
    prints '^pi = 3\.1[0-9]* +- 0\.[0-9]* (95 %), which is [0-9.]* deviations'
    awk -v precision="$precision" '
        NR == 1 { exit !($5 <= precision && $5 > 0) }' "$work/out" ||
        fail "$ran: not as exact"
}

# ---- Ends early.

for workers in 1 2 5; do
    reaches 0.001 0.001 -p $workers --batches 1000000000
    prints ' throws, 64 of 64 jobs cancelled; '"$workers workers: "
done
# One job, of which nothing is known but what it publishes.
reaches 0.0005 5e-4 -j 1 -n 1000000000
prints ' throws, 1 of 1 jobs cancelled; '
# Some end, others need not begin.
reaches 0.01 1e-2 -j 60000 -n 1 --batch 1000
awk 'NR == 2 { exit !($3 > 0 && $3 < 60000 && $1 < 60000000) }' "$work/out" ||
    fail "$ran: '$(cat "$work/out")'"
run 0 montecarlo -e 3 --batch 1
prints '^pi = '

# ---- All jobs end: then the result is the same for any number of workers.

for workers in 1 2 5; do
    run 0 montecarlo -e 1e-9 -p $workers --jobs 30 --batches 7 --batch 1000
    prints "^210000 throws, 0 of 30 jobs cancelled; $workers workers: "
    prints '^more jobs, or longer ones, would be needed for +- 1e-09$'
    [ $workers -gt 1 ] || head -n 1 "$work/out" >"$work/first"
    head -n 1 "$work/out" | cmp -s - "$work/first" ||
        fail "$ran: another result"
done
run 0 montecarlo -e 1e-9 --jobs 30 --batches 7 --batch 1000 --seed 1
head -n 1 "$work/out" | cmp -s - "$work/first" && fail "$ran: the same result"

# ---- A line that is renewed, on a terminal alone.

if command -v script >/dev/null; then
    ran='montecarlo, on a terminal'
    SHELL=/bin/sh script -qec "exec '$examples/montecarlo' -e 2e-4" /dev/null \
        </dev/null >"$work/out"
    tr '\r' '\n' <"$work/out" >"$work/lines"
    lines=$(grep -c '^pi = [0-9.]* +- [0-9.]*, .* throws.\[K$' "$work/lines")
    [ "$lines" -ge 2 ] || fail "$ran: $lines lines"
    prints 'deviations off'
else
    echo 'script(1) is missing: nothing is shown on a terminal'
fi

# ---- What it must refuse.

for arguments in '-e 0' '-e -1' '-e x' '-e nan' '-j 0' '-j 65537' '-n 0' \
    '--batch 0' '--batch 1e3' '-p 0' '--seed -1' '--no-such' 'more'; do
    run 2 montecarlo $arguments
    [ -s "$work/err" ] || fail "$ran: said nothing"
done
run 1 montecarlo -p 100000
says 'at most'
run 0 montecarlo --help
for option in precision jobs batches batch workers seed help; do
    prints "--$option"
done

# ---- A worker dies.

mark=$((900000000000000 + $$)) # tells the run's processes
"$examples/montecarlo" -p 2 -e 1e-300 -n 1000000000 --seed $mark \
    >/dev/null 2>"$work/err" &
controller=$! pid=$! program=montecarlo ran='montecarlo, whose worker dies'
kill_worker $mark
tells_of_death $mark

[ $failures -eq 0 ]

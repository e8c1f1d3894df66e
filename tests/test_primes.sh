#!/bin/sh
# The example primes: its counts and lists against known ones, what it must
# refuse, and when nobody reads the list or a worker dies.
set -eu

here=$(cd "$(dirname "$0")/.." && pwd)
srcdir=${srcdir-$here}
top_builddir=${top_builddir-.}
. "$srcdir/tests/examples.sh"
need primes

# COUNT N ARGUMENT...
counts()
{
    count=$1
    shift
    run 0 primes "$@"
    [ ! -s "$work/err" ] || fail "$ran: said '$(cat "$work/err")'"
    prints "^$count primes up to "
}

# Every prime up to 100000, in a way that is not the program's.
awk 'BEGIN {
    for (n = 2; n <= 100000; n++) {
        prime = 1
        for (k = 1; k <= found && p[k] * p[k] <= n; k++)
            if (n % p[k] == 0) { prime = 0; break }
        if (prime) print p[++found] = n
    }
}' >"$work/naive"

# N ARGUMENT...: the list is what the naive one has up to N.
lists()
{
    run 0 primes --list "$@"
    awk -v limit="$1" '$1 > limit { exit } 1' "$work/naive" >"$work/right"
    cmp -s "$work/right" "$work/out" || fail "$ran: not the right list"
}

# ---- Small numbers: around the first primes, whole bytes and words of the
# sieve, and the primes of its patterns.

for n in 0 1 2 3 4 5 6 7 8 10 11 28 29 30 31 32 48 49 50 59 60 61 119 120 121 \
    148 149 150 151 167 209 210 211 239 240 241 961 7919 7920 22201 22801; do
    lists $n -p 1
    counts "$(wc -l <"$work/right" | tr -d ' ')" $n -p 1
done
for workers in 1 2 3; do
    lists 9999 -p $workers
    lists 10007 -p $workers
    lists 100000 -p $workers
done

# ---- Large ones: also powers of ten, which the program checks.

for workers in 1 2 3; do
    k=0
    for known in 0 4 25 168 1229 9592 78498 664579; do
        counts $known 1e$k -p $workers
        prints 'as is known'
        k=$((k + 1))
    done
done
counts 5761455 100000000 -p 2
prints '^2 workers, '
# Around the ends of segments of 2^19 and 2^20 bytes.
counts 1014733 15728639
counts 1014733 15728641
counts 1942384 31457279
counts 1942384 3145728.1e1
counts 1942388 31457311
counts 3562115 6e7

# Segments of a list have 1966080 numbers.
run 0 primes --list -p 3 6e6
awk '$1 <= last || $1 % 2 == 0 && NR > 1 { exit 1 } { last = $1 }' \
    "$work/out" || fail "$ran: not in order"
[ "$(wc -l <"$work/out")" -eq 412849 ] || fail "$ran: not 412849 lines"
[ "$(tail -n 1 "$work/out")" = 5999993 ] || fail "$ran: ends wrongly"

# ---- What it must refuse.

for arguments in '' '1 2' '-1' '-- -1' 'x' '1e' '1e16' '1.5' '0x10' 'nan' \
    '99999999999999999999' '-p 0 10' '-p x 10' '--no-such 10'; do
    run 2 primes $arguments
    [ -s "$work/err" ] || fail "$ran: said nothing"
done
run 2 primes 1000000000000001
says 'is no whole number from 0 to 1e15'
run 2 primes ''
says 'is no whole number'
run 1 primes -p 100000 10
says 'at most'
run 0 primes --help
for option in workers list help; do
    prints "--$option"
done

# ---- A list that nobody reads, or that has no room.

{
    code=0
    "$examples/primes" --list 1e9 2>"$work/err" || code=$?
    echo $code >"$work/code"
} | head -n 1 >"$work/out"
program=primes ran='primes --list 1e9 | head -n 1'
prints '^2$'
says 'cannot write the list: Broken pipe'
[ "$(cat "$work/code")" -eq 1 ] || fail "$ran: exit code $(cat "$work/code")"
if [ -c /dev/full ]; then
    code=0
    "$examples/primes" --list 10 >/dev/full 2>"$work/err" || code=$?
    ran='primes --list 10 >/dev/full'
    says 'cannot write the list: No space left'
    [ $code -eq 1 ] || fail "$ran: exit code $code"
fi

# ---- A worker dies.

mark=$((900000000000000 + $$)) # tells the runs' processes
for mode in '' --list; do
    "$examples/primes" -p 2 $mode $mark >/dev/null 2>"$work/err" &
    controller=$! pid=$! program=primes ran="primes $mode, whose worker dies"
    kill_worker $mark
    tells_of_death $mark
done

[ $failures -eq 0 ]

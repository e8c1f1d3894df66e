#!/bin/sh
# The examples matvec and matmul: small products, which they check, what they
# must refuse, and when memory or a worker is lost.
set -eu

here=$(cd "$(dirname "$0")/.." && pwd)
srcdir=${srcdir-$here}
top_builddir=${top_builddir-.}
. "$srcdir/tests/examples.sh"
need matvec matmul

# PROGRAM N WORKERS
multiplies()
{
    run 0 "$1" -n "$2" -p "$3" --rounds 1
    [ ! -s "$work/err" ] || fail "$ran: said '$(cat "$work/err")'"
    prints "$2 by $2 numbers: the result is right"
    prints "^$3 workers, dsm_gem[mv] .* ms .*/s$"
    prints "^OpenBLAS, $3 threads* .* ms .*/s .* times the workers' time"
}

for program in matvec matmul; do
    for workers in 1 2 3; do
        for n in 1 2 7 48 97 300 513; do
            multiplies $program $n $workers
        done
    done
done
run 0 matvec -n 200
prints '^a plain loop .* GB/s'
run 0 matmul -n 200 --rounds 4
prints '^OpenBLAS, 1 thread .* GFLOP/s'
prints '^OpenBLAS computes with its kernels for [A-Z]'

# ---- What they must refuse.

for program in matvec matmul; do
    for arguments in 1 '-n 0' '-n -1' '-n x' '-n 99999999999' '-p 0' '-p x' \
        '--rounds 0' '--rounds x' '--rounds 1000001' '--no-such' '-n'; do
        run 2 $program $arguments
        [ -s "$work/err" ] || fail "$ran: said nothing"
    done
    run 2 $program -n 1e3
    says "'1e3' is no number of rows"
    run 2 $program --rounds 0
    says "'0' is no number of rounds"
    run 1 $program -p 100000
    says 'at most'
    run 1 $program -n 2000000000
    [ -s "$work/err" ] || fail "$ran: said nothing"
    run 0 $program --help
    for option in workers size rounds help; do
        prints "--$option"
    done
done

# ---- Little memory: less is done, unless it was asked for.

for map in '' --map-root-user; do
    unshare --mount $map mount -t tmpfs tmpfs /dev/shm 2>/dev/null || continue
    for program in matvec matmul; do
        ran="$program with a /dev/shm of 8 MB"
        code=0
        unshare --mount $map sh -c 'mount -t tmpfs -o size=8m tmpfs /dev/shm &&
            exec "$0" --rounds 1' "$examples/$program" \
            >"$work/out" 2>"$work/err" || code=$?
        [ $code -eq 0 ] || fail "$ran: exit code $code: $(cat "$work/err")"
        prints '^[yC] = A [xB], [1-9][0-9][0-9] by '
        code=0
        unshare --mount $map sh -c 'mount -t tmpfs -o size=8m tmpfs /dev/shm &&
            exec "$0" -n 2000' "$examples/$program" \
            >"$work/out" 2>"$work/err" || code=$?
        ran="$ran, -n 2000"
        [ $code -eq 1 ] || fail "$ran: exit code $code"
        says 'needs'
    done
    break
done

# ---- A worker dies.

# It is a zombie, or the shell has already taken note of its end.
ended()
{
    state=$(sed 's/.*) //' "/proc/$controller/stat" 2>/dev/null || :)
    case $state in
    '' | Z*) ;;
    *) return 1 ;;
    esac
}

# One that dies between two products, or has done its part of one, is replaced,
# and that is all; then the next one has to die.
for program in matvec matmul; do
    mark=$((100000 + $$)) # tells the runs' processes
    "$examples/$program" -p 2 -n 2000 --rounds $mark >"$work/out" \
        2>"$work/err" &
    controller=$! pid=$! ran="$program, whose worker dies"
    for _ in $(seq 100); do
        kill_worker $mark
        for _ in $(seq 10); do
            ! ended || break 2
            sleep 0.05
        done
    done
    if ! ended; then
        kill -KILL "$controller"
        fail "$ran: went on"
    fi
    tells_of_death $mark
done

[ $failures -eq 0 ]

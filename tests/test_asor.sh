#!/bin/sh
# The examples as their users run them: vecadd and asor on made and real
# matrices, on what they must refuse, and when a worker dies.  After each run
# nothing of its cluster may be left.
set -eu

here=$(cd "$(dirname "$0")/.." && pwd)
srcdir=${srcdir-$here}
top_builddir=${top_builddir-.}
data=${DSM_DATA-$srcdir/../shared/data} # the real matrices
. "$srcdir/tests/examples.sh"
need vecadd asor

# ARGUMENT...: asor solves it, to 1e-8 unless $tolerance says otherwise.
solves()
{
    run 0 asor "$@"
    [ ! -s "$work/err" ] || fail "$ran: said '$(cat "$work/err")'"
    awk -v most="${tolerance-1e-8}" '
        /^true residual/ { sub(",", "", $3); found = $3 + 0 <= most + 0 }
        END { exit !found }' "$work/out" ||
        fail "$ran: no small residual in '$(cat "$work/out")'"
}

# NUMBER: so many workers were in the report.
has_workers()
{
    [ "$(grep -c '^ *[0-9]\{1,\}  *[0-9]\{1,\} ' "$work/out")" -eq "$1" ] ||
        fail "$ran: not $1 workers in '$(cat "$work/out")'"
}

# TEXT ARGUMENT...: asor refuses it with exit code 1 and one line.
refuses()
{
    text=$1
    shift
    run 1 asor "$@"
    says "$text"
}

# NAME LINE...: makes a file of these lines; its path is in $file.
make_file()
{
    file=$work/$1
    shift
    printf '%s\n' "$@" >"$file"
}

# ---- vecadd.

run 0 vecadd
prints 'the sum is right'
prints ' GB/s'
run 0 vecadd -n 12345 -p 3
prints '12345 numbers, 3 workers'
run 0 vecadd -n 1 -p 2
run 0 vecadd --help
prints '^Usage: vecadd'
run 1 vecadd -n 1000000000000000
says 'vecadd: '
for arguments in '-n 0' '-n x' '-n -1' '-p 0' '-p 1x' '--no-such' 'more'; do
    run 2 vecadd $arguments
done

# ---- asor on made matrices.

for workers in 1 2 3 4; do
    solves -p $workers --poisson 30x20
    has_workers $workers
    solves -p $workers --sync --poisson 30x20
    solves -p $workers --random 200
done
solves --poisson 8x9x10
solves -p 1 -w 1.7 --poisson 40x40
solves -p 2 --dense --poisson 12x10
solves -p 3 --dense --sync --poisson 12x10
solves -p 2 --sync --random 150
tolerance=1e-3 solves -p 2 -e 1e-3 --poisson 20x20
solves -p 3 --random 1
make_file general.mtx '%%MatrixMarket matrix coordinate real general' \
    '2 2 4' '1 1 4' '1 2 1' '2 1 -1' '2 2 4'
solves -p 2 "$file"
solves -p 4 "$file"
has_workers 4
make_file plain.txt '2 2 3' '1 1 4' '1 2 1' '2 2 4' '0 0 0'
solves -p 2 "$file"

# SOR of this one diverges from omega 1.05 on, Gauss-Seidel converges.
make_file skew.mtx '2 2 4' '1 1 1' '1 2 .9' '2 1 -.9' '2 2 1' '0 0 0'
# Two workers now and then relax both rows at once, which may converge.
solves -p 1 -w 1.9 "$file"
[ "$(grep -c 'lowering' "$work/out")" -eq 1 ] ||
    fail "$ran: did not tell once that omega was lowered"
prints 'omega 1$'
solves -p 2 -w 1.9 "$file"

solves -p 2 --poisson 20x20 -o "$work/x.npy"
python=/usr/bin/python3
if $python -c 'import numpy' 2>/dev/null; then
    $python -c 'import numpy, sys
x = numpy.load(sys.argv[1])
assert x.shape == (400,) and abs(x - numpy.arange(1, 401)).max() < 1e-4' \
        "$work/x.npy" || fail "$ran: the saved solution is wrong"
else
    echo "skipped: looking at the saved solution, without python3-numpy"
fi

run 0 asor -p 3 --scaling --csv "$work/table.csv" --poisson 20x20
prints '^workers .*speed-up'
[ "$(grep -c '^ *[123] ' "$work/out")" -eq 3 ] || fail "$ran: not 3 rows"
awk -F, 'NF != 12 || (NR > 1 && $1 != NR - 1) { bad = 1 }
         END { exit bad || NR != 4 }' "$work/table.csv" ||
    fail "$ran: wrote '$(cat "$work/table.csv")'"
solves -p 2 --csv "$work/one.csv" --poisson 20x20
[ "$(wc -l <"$work/one.csv")" -eq 2 ] || fail "$ran: not one row of CSV"

# ---- What asor must refuse.

make_file diverges.mtx '%%MatrixMarket matrix coordinate real general' \
    '2 2 4' '1 1 1' '1 2 2' '2 1 3' '2 2 1'
for workers in 1 2; do
    refuses 'diverges' -p $workers "$file"
    refuses 'diverges' -p $workers --sync "$file"
    refuses 'diverges' -p $workers -w 1.5 --dense "$file"
done
refuses 'not converged' -p 2 -m 3 --poisson 30x30
refuses 'not converged' -p 2 -m 3 --sync --poisson 30x30
has_workers 2
make_file zero.mtx '%%MatrixMarket matrix coordinate real general' \
    '2 2 3' '1 1 1' '2 2 0' '1 2 1'
refuses "$file:4: the diagonal of row 2 is zero" "$file"
make_file missing.mtx '2 2 2' '1 1 1' '1 2 1' '0 0 0'
refuses "$file:4: the entries end and row 2 has none" "$file"
make_file wide.mtx '%%MatrixMarket matrix coordinate real general' \
    '2 3 2' '1 1 1' '2 2 1'
refuses "$file:2: the matrix has 2 rows and 3 columns" "$file"
make_file outside.mtx '2 2 2' '1 1 1' '2 3 1'
refuses "$file:3: entry (2, 3) lies outside" "$file"
make_file nan.mtx '2 2 2' '1 1 nan' '2 2 1'
refuses "$file:2: the value of entry (1, 1) is not a finite number" "$file"
make_file huge.mtx '2 2 2' '1 1 1e300' '2 2 1'
refuses 'too large' "$file"
refuses 'No such file' "$work/nowhere.mtx"
refuses 'Is a directory' "$work"
refuses 'is no grid' --poisson 3x
refuses 'No such file' --csv "$work/nowhere/x.csv" --poisson 3x3
refuses 'No such file' -o "$work/nowhere/x.npy" --poisson 3x3
refuses 'asor: ' --random 100000000

for arguments in '' 'a b' '--poisson 3x3 a' '--random 0 ' '-p 0 a' '-w 0 a' \
    '-w 2 a' '-w nan a' '-e 0 a' '-m 0 a' '-m 1.5 a' '--no-such a'; do
    run 2 asor $arguments
    [ -s "$work/err" ] || fail "$ran: said nothing"
done
run 0 asor --help
for option in workers omega tolerance max-sweeps sync dense output scaling \
    csv poisson random help; do
    prints "--$option"
done

# ---- The progress line, which only a terminal gets.

if script -qec true /dev/null >/dev/null 2>&1 </dev/null; then
    script -qec "'$examples/asor' -p 2 --poisson 40x40" /dev/null \
        >"$work/out" </dev/null || fail "asor on a terminal: exit code $?"
    ran='asor on a terminal'
    prints 'sweeps, residual'
else
    echo "skipped: the progress line, without script(1) or a terminal"
fi

# ---- A worker dies.

for mode in '' --sync; do
    mark=$work/dies$mode.csv # tells this run's processes
    "$examples/asor" -p 2 -e 1e-300 $mode --csv "$mark" --poisson 60x60 \
        >"$work/out" 2>"$work/err" &
    controller=$! pid=$! program=asor ran="asor $mode, whose worker dies"
    kill_worker "$mark"
    tells_of_death "$mark"
done

# ---- Real matrices.

if [ -r "$data/662_bus.mtx" ]; then
    for matrix in 662_bus nos3; do
        for workers in 1 2 3 4; do
            solves -p $workers -w 1.9 "$data/$matrix.mtx"
        done
        # A hundred thousand sweeps: too many for a sanitizer.
        [ -n "${sanitizers-}" ] || solves -p 3 -w 1 "$data/$matrix.mtx"
        solves -p 1 -w 1.99 -m 9999 "$data/$matrix.mtx"
    done
    file=$data/bad/1138_bus-broken-size-line.mtx
    refuses "$file:14: expected the size line" "$file"
else
    echo "skipped: the real matrices, not found in $data (\$DSM_DATA)"
fi

[ $failures -eq 0 ]

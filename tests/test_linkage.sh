#!/bin/sh
# A program that links libdsm alone has neither OpenBLAS in its address space
# nor a thread more than it started, and so have its workers and supervisor.
set -eu

here=$(cd "$(dirname "$0")/.." && pwd)
top_builddir=${top_builddir-$here}
fixture=$top_builddir/tests/fixture_cluster
[ -x "$fixture" ] || { echo "$fixture is missing: build it first"; exit 1; }
[ -r /proc/self/maps ] || { echo "there is no /proc"; exit 77; }

work=$(mktemp -d)
program=
failures=0
trap '[ -z "$program" ] || kill "$program" 2>/dev/null; rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

fail()
{
    echo "FAILED: $*"
    failures=$((failures + 1))
}

# PID WHAT
alone()
{
    if grep -i '/lib[^/]*blas[^/]*\.so' "/proc/$1/maps"; then
        fail "the $2 has a BLAS library loaded"
    fi
    threads=$(ls "/proc/$1/task" | wc -l)
    [ "$threads" -eq 1 ] || fail "the $2 has $threads threads"
}

# It ends with its standard input.
mkfifo "$work/in"
"$fixture" "linkage-$$" <"$work/in" >"$work/out" &
program=$!
exec 3>"$work/in"
end=$(($(date +%s) + 20))
while ! grep -q ready "$work/out"; do
    [ "$(date +%s)" -lt "$end" ] || { echo "$fixture is not ready"; exit 1; }
    sleep 0.05
done
supervisor=$(sed -n 's/^ready //p' "$work/out")
workers=$(cat "/proc/$supervisor/task/$supervisor/children" 2>/dev/null || :)

alone "$program" program
alone "$supervisor" supervisor
for worker in $workers; do
    alone "$worker" worker
done

exec 3>&-
wait "$program" || fail "$fixture failed"
program=
[ $failures -eq 0 ]

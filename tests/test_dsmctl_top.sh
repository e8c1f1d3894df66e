#!/bin/sh
# dsmctl top without a terminal: a table, or JSON, of what workers do.
set -eu

here=$(cd "$(dirname "$0")/.." && pwd)
srcdir=${srcdir-$here}
top_builddir=${top_builddir-$here}
fixture=$top_builddir/tests/fixture_region
[ -x "$fixture" ] || { echo "$fixture is missing: build it first"; exit 1; }
. "$srcdir/tests/dsmctl.sh"

# NAME: what top says of it now is in $work/out, as JSON.
look_at()
{
    run 0 top "$1" --json --delay 0.1 --output +MEAN
}

# PYTHON ARGUMENT...: the program has the workers in a list w.
workers_agree()
{
    program=$1
    shift
    python3 -c "import json, sys
w = json.load(sys.stdin)['workers']
$program" "$@" <"$work/out"
}

usage_errors()
{
    for delay in 0 -1 soon '' 0.05 1e9 nan; do
        run 2 top --once --delay "$delay"
        says "option --delay needs seconds from 0.1 to 86400, not '$delay'"
    done
    run 2 top --once -o NAME
    says "unknown column 'NAME'; the columns of workers are CLUSTER, WORKER,"
    run 2 top one two
    says 'too many arguments; usage: dsmctl top [NAME]'
    run 1 top
    says 'this is no terminal; --once prints a table, --json JSON'
    run 1 top "no$$" --once
    says "there is no live cluster 'no$$'"
}

# NAME: a cluster with idle workers.
table_of_idle()
{
    run 0 top "$1" --once -d 0.1 -o cluster,worker,state,busy,barrier,jobs,rate
    tr -s ' ' <"$work/out" >"$work/line"
    mv "$work/line" "$work/out"
    prints <<END
CLUSTER WORKER STATE BUSY BARRIER JOBS RATE
$1 0 idle 0% 0% 0 0.0
$1 1 idle 0% 0% 0 0.0
$1 all 0% 0% 0 0.0
END
    run 0 top "$1" --once -d 0.1 -n -o worker
    printf '%6s\n' 0 1 | sed 's/^ *//' >"$work/golden"
    tr -d ' ' <"$work/out" | cmp -s - "$work/golden" ||
        fail "$ran: printed $(cat "$work/out")"
}

sees_death()
{
    look_at "$1"
    workers_agree 'assert w[0]["deaths"] == 1 and w[1]["deaths"] == 0
assert w[0]["state"] == "idle" and w[0]["pid"] != int(sys.argv[1])' "$2"
}

# NAME: a worker's memory and death.
workers_of_idle()
{
    look_at "$1"
    workers_agree '
assert [x["worker"] for x in w] == [0, 1], w
for x in w:
    statm = open("/proc/%d/statm" % x["pid"]).read().split()
    assert 0 < x["memory"] < int(statm[1]) * 65536, x
    assert x["cluster"] == sys.argv[1] and x["mean"] == 0, x' "$1" ||
        fail "$ran: $(cat "$work/out")"
    victim=$(workers_agree 'print(w[0]["pid"])')
    kill -KILL "$victim"
    eventually sees_death "$1" "$victim"
}

# NAME: worker 1 waits for worker 0 nearly all of the time.
sees_waiting()
{
    look_at "$1"
    workers_agree '
for x in w:
    assert x["state"] == "running" and x["busy"] > 90, x
assert w[0]["barrier"] < 50 < w[1]["barrier"] <= 100, w'
}

# NAME...: all at once, though they lie at the same addresses.
all_of_them()
{
    run 0 top --json -d 0.1
    workers_agree '
seen = [(x["cluster"], x["worker"]) for x in w]
for name in sys.argv[1:]:
    assert (name, 0) in seen and (name, 1) in seen, seen
assert all(x["busy"] is not None for x in w if x["cluster"] in sys.argv[1:])
' "$@" || fail "$ran: $(cat "$work/out")"
}

usage_errors
command -v python3 >/dev/null || { echo "python3 is missing"; exit 77; }

mkfifo "$work/alive"
exec 9<>"$work/alive"
idle=idle$$ working=working$$
clusters="$idle $working"
run 0 start "$idle" --workers 2
table_of_idle "$idle"
workers_of_idle "$idle"

"$fixture" "$working" <"$work/alive" >"$work/ready" 2>&1 9>&- &
controller=$!
controllers=$controller
eventually grep -qs ready "$work/ready"
eventually sees_waiting "$working"
all_of_them "$idle" "$working"

exec 9>&-
wait "$controller" || fail "the fixture failed: $(cat "$work/ready")"
controllers=
run 0 stop "$idle"
for name in $clusters; do
    nothing_left_of "$name" || fail "left $(segments_of "$name")"
done
finish

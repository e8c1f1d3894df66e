#!/bin/sh
# dsmctl start, stop and refresh: clusters that no program owns.
set -eu

here=$(cd "$(dirname "$0")/.." && pwd)
srcdir=${srcdir-$here}
top_builddir=${top_builddir-$here}
. "$srcdir/tests/dsmctl.sh"

# NAME: the pids of what "dsmctl start NAME" has left running.  By way of a
# file: grep has a command line of its own.
processes_of()
{
    echo "$1" >"$work/mark"
    grep -lszxFf "$work/mark" /proc/[0-9]*/cmdline | cut -d / -f 3
}

# PID: its parent's pid, or nothing.
parent_of()
{
    sed -n 's/^PPid:.//p' "/proc/$1/status" 2>/dev/null || :
}

# NAME: the pids of its workers, whose parent is one of its processes, too.
workers_of()
{
    all=$(processes_of "$1")
    for pid in $all; do
        echo "$all" | grep -qx "$(parent_of "$pid")" && echo "$pid"
    done
    return 0
}

supervisor_of()
{
    parent_of "$(workers_of "$1" | head -n 1)"
}

no_process_of()
{
    [ -z "$(processes_of "$1")" ]
}

nothing_of()
{
    nothing_left_of "$1" && no_process_of "$1"
}

usage_errors()
{
    run 2 start
    says 'too few arguments; usage: dsmctl start NAME'
    for number in 0 1025 -1 2x '' 99999999999999999999; do
        run 2 start some --workers "$number"
        says "option --workers needs a number from 1 to 1024, not '$number'"
    done
    run 2 start some -n
    says 'option --workers needs N'
    run 2 start some --max-jobs none
    says 'option --max-jobs needs a number from 1 to 4294967295'
    run 2 start some -b
    says 'start does not take --bytes; its options are --workers, --log'
    run 2 stop some --force
    says 'stop takes no options, not --force'
    run 2 stop
    says 'too few arguments; usage: dsmctl stop NAME...'
    run 2 refresh some other
    says 'too many arguments; usage: dsmctl refresh NAME'
}

missing_cluster()
{
    for command in stop refresh; do
        run 1 $command "no$$"
        says "there is no cluster 'no$$'"
    done
}

# What fails says why, and leaves nothing.
failed_starts()
{
    run 1 start 'bad name'
    says "'bad name' is no name for a cluster"
    run 1 start "fail$$" --log "$work/missing/log"
    says "$work/missing/log: No such file or directory"
    nothing_of "fail$$" || fail "$ran: left something"
}

# PID
session_of()
{
    sed 's/.*) //' "/proc/$1/stat" | cut -d ' ' -f 4
}

# NAME PID
is_apart_from_terminal()
{
    [ "$(session_of "$2")" != "$(session_of $$)" ] ||
        fail "$1: process $2 is in the session of its starter"
    for fd in "/proc/$2/fd"/*; do
        case $(readlink "$fd" || :) in
        /dev/null | /dev/shm/* | "$work/$1.log" | socket:* | anon_inode:* | '')
            ;;
        *) fail "$1: process $2 has $(readlink "$fd") open" ;;
        esac
    done
}

# NAME WORKERS ARGUMENT...: starts it, with a descriptor that it should not keep.
start()
{
    name=$1 count=$2
    shift 2
    clusters="$clusters $name"
    exec 8<"$srcdir/README"
    run 0 start "$name" "$@"
    exec 8<&-
    prints_nothing
    is_in_state "$name" live || fail "$name is not live"
    [ "$(workers_of "$name" | wc -l)" -eq "$count" ] ||
        fail "$name: the workers are $(workers_of "$name")"
    for pid in $(processes_of "$name"); do
        is_apart_from_terminal "$name" "$pid"
    done
}

# NAME
refreshed()
{
    workers_of "$1" >"$work/before"
    run 0 refresh "$1"
    prints_nothing
    workers_of "$1" >"$work/after"
    [ "$(wc -l <"$work/after")" -eq "$(wc -l <"$work/before")" ] ||
        fail "$ran: the workers are $(cat "$work/after")"
    ! grep -qxFf "$work/before" "$work/after" ||
        fail "$ran: a worker is the same as before"
}

# NAME
stopped()
{
    run 0 stop "$1"
    prints_nothing
    nothing_left_of "$1" || fail "$ran: left $(segments_of "$1")"
    eventually no_process_of "$1"
}

# NAME: one that died with all of its processes is not for stop.
stale_is_refused()
{
    kill -KILL "$(supervisor_of "$1")"
    eventually is_in_state "$1" stale
    run 1 stop "$1"
    says "cluster '$1' does not live; 'dsmctl delete $1' removes it"
    is_in_state "$1" stale || fail "$ran: removed it"
    run 0 delete "$1"
    nothing_left_of "$1" || fail "$ran: left $(segments_of "$1")"
}

usage_errors
missing_cluster
failed_starts

first=first$$ second=second$$
start "$first" 2 -n 2 --log "$work/$first.log"
run 1 start "$first"
says "$first"
refreshed "$first"
DSM_WORKERS=3 start "$second" 3 --max-jobs 100
run 1 stop "no$$" "$first"
nothing_left_of "$first" || fail "$ran: left $(segments_of "$first")"
eventually no_process_of "$first"
is_in_state "$second" live || fail "$ran: $second is not live any more"
stopped "$second"

# Elsewhere another test's cluster would sweep the dead one away.
if [ "$DSM_TEST_PRIVATE" = yes ]; then
    start "$first" 1 --workers 1
    stale_is_refused "$first"
fi
finish

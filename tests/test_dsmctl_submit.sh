#!/bin/sh
# dsmctl submit: functions of a C file and of shared objects, how they end, and
# what is left of it.
set -eu

here=$(cd "$(dirname "$0")/.." && pwd)
srcdir=${srcdir-$here}
top_builddir=$(cd "${top_builddir-$here}" && pwd)
export CC="${CC-cc}"
. "$srcdir/tests/dsmctl.sh"

mkdir "$work/tmp"
export TMPDIR="$work/tmp" # nothing may stay there
export CFLAGS="-O1 -I$srcdir/include"
source=$srcdir/tests/submitted.c

# What it printed on stderr is these lines.
warns()
{
    cat >"$work/golden"
    diff -u "$work/golden" "$work/err" || fail "$ran: said otherwise"
}

nothing_in_tmp()
{
    [ -z "$(ls "$TMPDIR")" ] || fail "$ran: left $(ls "$TMPDIR")"
}

usage_errors()
{
    run 2 submit some
    says 'too few arguments; usage: dsmctl submit NAME FILE:FN [ARG...]'
    for operand in file :function file: ''; do
        run 2 submit some "$operand"
        says "'$operand' is not FILE:FUNCTION"
    done
    run 2 submit --retries many some file:function
    says 'option --retries needs a number from 0 to'
    run 2 submit --once some file:function
    says 'submit does not take --once; its options are --name, --retries'
}

# NAME: words that look like options are words.
c_file()
{
    run 0 submit "$1" "$source:words" one 'two three' '' --name -x
    printf '<one>\n<two three>\n<>\n<--name>\n<-x>\na\0b\n' >"$work/golden"
    cmp "$work/golden" "$work/out" || fail "$ran: printed $(cat "$work/out")"
    echo 'to stderr' | warns
    run 0 submit "$1" "$source:words"
    printf 'NULL and 0\na\0b\n' >"$work/golden"
    cmp "$work/golden" "$work/out" || fail "$ran: printed $(cat "$work/out")"
    nothing_in_tmp
}

# NAME: a path, from here only, and a name with and without a slash.
shared_objects()
{
    # shellcheck disable=SC2086
    $CC $CFLAGS -shared -fPIC -o "$work/words.so" "$source"
    run 0 submit "$1" "$work/words.so:words" one
    head -n 1 "$work/out" | grep -qx '<one>' || fail "$ran: no word"
    cd "$work"
    for file in words.so ./words.so tmp/../words.so; do
        run 0 submit "$1" "$file:words" one
        head -n 1 "$work/out" | grep -qx '<one>' || fail "$ran: no word"
    done
    cd - >/dev/null
}

# NAME
failures_of_functions()
{
    run 1 submit "$1" "$work/words.so:fail"
    head -n 1 "$work/err" | grep -qx 'no luck' || fail "$ran: no stderr"
    sed -i 1d "$work/err"
    says "job 'fail' returned 7"
    run 1 submit --name unlucky "$1" "$work/words.so:fail"
    sed -i 1d "$work/err"
    says "job 'unlucky' returned 7"
    run 1 submit "$1" "$work/words.so:die_once" "$work/died"
    echo 'first try' | prints
    says "died of SIGKILL in job 'die_once'"
    rm "$work/died"
    run 0 submit --retries 1 "$1" "$work/words.so:die_once" "$work/died"
    echo alive | prints
    warns </dev/null
}

# NAME
failures_before()
{
    run 1 submit "no$$" "$source:words"
    says "there is no cluster 'no$$'"
    run 1 submit "$1" "$work/missing.c:words"
    says "$work/missing.c: No such file or directory"
    run 1 submit "$1" "$work/missing.so:words"
    says "$work/missing.so: No such file or directory"
    run 1 submit "$1" "$source:nothing"
    says "$source has no function nothing"
    run 1 submit "$1" "$srcdir/README:words"
    says 'cannot load'
    echo 'int words(' >"$work/-wrong.c"
    cd "$work"
    run 1 submit "$1" "-wrong.c:words"
    cd - >/dev/null
    grep -q 'wrong.c:1:.*error' "$work/err" ||
        fail "$ran: nothing from the compiler"
    tail -n 1 "$work/err" >"$work/last"
    mv "$work/last" "$work/err"
    says '-wrong.c does not compile'
    nothing_in_tmp
}

is_running()
{
    "$dsmctl" top "$1" --once -d 0.1 -n -o state,work | tr -s ' ' |
        grep -qx "running job $2 *"
}

# NAME FUNCTION: submits it in the background, under a name of its own.
begin()
{
    ran="dsmctl submit ... $2"
    env --default-signal "$dsmctl" submit --name "name-of-$2" \
        "$1" "$source:$2" >"$work/out" \
        2>"$work/err" &
    submitter=$!
    controllers=$submitter
    eventually is_running "$1" "name-of-$2"
}

# SIGNAL: how a program ends of it.
ended_by()
{
    code=0
    wait "$submitter" || code=$?
    controllers=
    [ "$code" -eq $((128 + $1)) ] || fail "$ran: exit code $code"
    nothing_in_tmp
}

# NAME
interrupted()
{
    begin "$1" obey
    kill -TERM "$submitter"
    ended_by 15
    echo obeyed | prints
    begin "$1" hang
    kill -HUP "$submitter"
    ended_by 1
    says "job 'name-of-hang'"
    grep -q 'cancelled' "$work/err" || fail "$ran: $(cat "$work/err")"
}

# NAME
stopped_meanwhile()
{
    begin "$1" hang
    "$dsmctl" stop "$1" || fail "cannot stop $1"
    code=0
    wait "$submitter" || code=$?
    controllers=
    [ "$code" -eq 1 ] || fail "$ran: exit code $code"
    [ "$(wc -l <"$work/err")" -eq 1 ] || fail "$ran: said $(cat "$work/err")"
    nothing_in_tmp
}

usage_errors
name=submit$$
clusters=$name
run 0 start "$name" --workers 2
c_file "$name"
shared_objects "$name"
failures_of_functions "$name"
failures_before "$name"
interrupted "$name"
stopped_meanwhile "$name"
nothing_left_of "$name" || fail "left $(segments_of "$name")"
finish

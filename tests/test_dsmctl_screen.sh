#!/bin/sh
# dsmctl top on a terminal, which tmux plays: what it shows, keys, a new size,
# and that the terminal is given back, however it ends.
set -eu

here=$(cd "$(dirname "$0")/.." && pwd)
srcdir=${srcdir-$here}
top_builddir=$(cd "${top_builddir-$here}" && pwd)
command -v tmux >/dev/null || { echo "tmux is missing"; exit 77; }
. "$srcdir/tests/dsmctl.sh"

unset TMUX
export TMUX_TMPDIR="$work"
terminal()
{
    command=$1
    shift
    LC_ALL=C.UTF-8 tmux -f /dev/null "$command" "$@"
}
trap 'terminal kill-server 2>/dev/null || :; cleanup' EXIT

# REGULAR-EXPRESSION: a line of the terminal has it now.
shows()
{
    terminal capture-pane -p | grep -qe "$1"
}

shows_not()
{
    ! shows "$1"
}

# KEY...
press()
{
    terminal send-keys "$@"
}

# ARGUMENT...: dsmctl top, in a shell, which then tells how it ended and whether
# the terminal is as before.
begin()
{
    cat >"$work/session" <<END
trap : INT
stty -a >"$work/before"
"$dsmctl" top $*
code=\$?
stty -a >"$work/after"
echo "ended with \$code"
END
    press "sh $work/session" Enter
    ran="dsmctl top $*"
}

# CODE
ended()
{
    eventually shows "^ended with $1\$"
    eventually shows_not '^CLUSTER' # the other screen is back
    cmp -s "$work/before" "$work/after" ||
        fail "$ran: the terminal is not as before"
    [ "$(terminal display-message -p '#{alternate_on} #{cursor_flag}')" = \
        '0 1' ] || fail "$ran: left the other screen, or no cursor"
    press clear Enter
    eventually shows_not '^ended'
}

# The pid of the dsmctl that runs.
running()
{
    printf 'top\n' >"$work/word"
    grep -lszxFf "$work/word" /proc/[0-9]*/cmdline | cut -d / -f 3 >"$work/pids"
    while read -r pid; do
        tty=$(readlink "/proc/$pid/fd/0" 2>/dev/null) || continue
        [ "$tty" = "$(terminal display-message -p '#{pane_tty}')" ] &&
            echo "$pid"
    done <"$work/pids"
    return 0
}

# NAME
a_view()
{
    begin "$1" -d 0.2
    eventually shows '^CLUSTER  *WORKER  *PID STATE  *BUSY'
    eventually shows "^$1  *0  *[0-9]* idle  *0%"
    eventually shows "^$1  *all  *0%"
    shows '^dsmctl top ..:..:.., clusters: 1, workers: 9, running: 0' ||
        fail "$ran: $(terminal capture-pane -p)"
    shows '^ended' && fail "$ran: ended by itself"
    press q
    ended 0
}

# NAME: the rows move under the heading.
scrolling()
{
    begin "$1" -d 600
    eventually shows "^$1  *all"
    terminal resize-window -y 9
    eventually shows_not "^$1  *8 "
    shows "^$1  *0 " || fail "$ran: the first row is away"
    press Down
    eventually shows_not "^$1  *0 "
    shows '^CLUSTER' || fail "$ran: the heading is away"
    press End
    eventually shows "^$1  *all"
    press Home
    eventually shows "^$1  *0 "
    terminal resize-window -y 24
    eventually shows "^$1  *all"
    press q
    ended 0
}

# NAME SIGNAL CODE
signals()
{
    begin "$1"
    eventually shows "^$1  *0 "
    kill -"$2" "$(running)"
    ended "$3"
}

# NAME: Ctrl-Z gives the terminal back, too, and fg goes on.
suspended()
{
    press "'$dsmctl' top $1 -d 600" Enter
    ran="dsmctl top $1"
    eventually shows "^$1  *0 "
    press C-z
    eventually shows_not '^CLUSTER'
    press clear Enter fg Enter
    eventually shows "^$1  *0 "
    press q
    eventually shows_not '^CLUSTER'
    press clear Enter
}

# NAME
end_of_cluster()
{
    begin "$1" -d 0.1
    eventually shows "^$1  *0 "
    "$dsmctl" stop "$1" || fail "cannot stop $1"
    eventually shows "^cluster '$1' has ended\$"
    ended 0
}

# NAME: without a name it goes on when a cluster ends.
end_of_one_of_all()
{
    begin -d 0.1
    eventually shows '^dsmctl top'
    run 0 start "$1" -n 1
    eventually shows "^$1  *0 "
    run 0 stop "$1"
    eventually shows_not "^$1 "
    shows '^dsmctl top' || fail "$ran: ended with one of the clusters"
    press C-c
    ended 130
}

name=screen$$
clusters=$name
terminal new-session -d -x 100 -y 24 "PS1='$ ' exec bash --norc --noprofile"
run 0 start "$name" --workers 9
a_view "$name"
scrolling "$name"
signals "$name" TERM 143
signals "$name" HUP 129
signals "$name" QUIT 131
suspended "$name"
end_of_cluster "$name"
end_of_one_of_all "$name"

begin
eventually shows '^dsmctl top'
pid=$(running)
terminal kill-server
gone()
{
    [ ! -e "/proc/$1" ]
}
eventually gone "$pid"

ran='dsmctl top on a bare terminal'
TERM=unknown-$$ script -qc "'$dsmctl' top" "$work/typescript" \
    >"$work/out" </dev/null || :
grep -q "no live view\|kind 'unknown-$$'" "$work/out" ||
    fail "$ran: $(cat "$work/out")"
nothing_left_of "$name" || fail "left $(segments_of "$name")"
finish

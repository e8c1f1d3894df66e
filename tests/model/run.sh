#!/bin/sh
# Checks the models in this folder with spin: each as it is, in all its states,
# and with each of its bugs, which must be found.
#
#   tests/model/run.sh [--quick] [MODEL...]     all models, if none is named
#
# A row below is: model, case ("BUG_..." is a bug, to be found), sizes, what it
# shows.  --quick leaves out the rows marked "slow".
set -eu

here=$(cd "$(dirname "$0")" && pwd)

rows() {
    cat <<END
barrier region PARTIES=2 'a worker dies in one of two regions of two rounds'
barrier supervisor PARTIES=2,REGIONS=1,ROUNDS=1,SUPERVISOR_DEATHS=1 'a worker dies, and the supervisor'
barrier left PARTIES=2,LEAVES=1,DEATHS=0 'a worker leaves before the others come'
barrier three PARTIES=3,ROUNDS=1,REGIONS=1 'a worker of three dies' slow
barrier BUG_NO_BREAK PARTIES=2 'nobody breaks the gate of a dead party'
barrier BUG_BREAK_WAKES_FIRST PARTIES=2 'sleepers are woken, then it is broken'
barrier BUG_NO_COMPARE PARTIES=2 'a sleeper does not look again at the word'
barrier BUG_LETS_BROKEN_THROUGH PARTIES=3,ROUNDS=1,REGIONS=1 'the last to come does not look whether it broke' slow
barrier BUG_REGION_FIRST PARTIES=2 'the region is read before it is asked whether one runs'
queue whole EACH=2 'every message is popped once, and no slice is needed'
queue death CLOSES,DEATHS=1,EACH=1 'one dies at any step, then it is closed'
queue interrupt INTERRUPTS,DEATHS=1,PUSHERS=1 'one dies, and the region is interrupted'
queue BUG_SEEN_LATE EACH=1 'a sleeper waits for a change of what it reads now'
queue BUG_WAKES_FIRST INTERRUPTS,PUSHERS=1 'who sleeps is woken, then the region is interrupted'
queue BUG_COUNTS_FIRST CLOSES,DEATHS=1,EACH=1 'a message counts before it was copied'
event whole CLOSES=1 'who sleeps is woken, and who is counted sleeps'
event forgotten CLOSES=1,RESETS=1 'sleepers are forgotten at any time'
event death DEATHS=1 'one dies at any step'
event closed RESET_CLOSES=1,RESETS=1 'it is closed, while sleepers are forgotten' slow
event word WORD,CHANGES=2,DEATHS=1 'a word of its own meaning, and one dies'
event BUG_LOOKS_FIRST CLOSES=1 'a sleeper is counted after its last look'
event BUG_NO_EPOCH CLOSES=1,RESETS=1 'who leaves late takes off one who came later'
event BUG_CHANGES_FIRST WORD,CHANGES=2,RESETS=1 'the word changes before sleepers are forgotten'
event BUG_CHANGES_NOTHING RESET_CLOSES=1 'sleepers are woken, and the word is the same'
event BUG_SETTLED CLOSES=1,RESETS=1 'who wakes one that was forgotten takes off another'
sweep creators CREATORS=2,SWEEPERS=0 'two of one name, over a dead one or none, one dies'
sweep failure CREATORS=2,SWEEPERS=0,DEATHS=0,FAILURES=1 'one of two cannot make its file as large as it is to be'
sweep sweepers CREATORS=1,SWEEPERS=2,DEATHS=0 'two sweep while one is created' slow
sweep BUG_NO_INODE CREATORS=2,SWEEPERS=1,DEATHS=0 'a sweeper does not look whether the file has its name'
sweep BUG_NO_INODE_CREATOR CREATORS=2,SWEEPERS=1,DEATHS=0 'a creator does not'
sweep BUG_NAME_FIRST CREATORS=2,SWEEPERS=1,DEATHS=0 'the control segment is unlinked before the arrays'
sweep BUG_NO_TOMBSTONE CREATORS=2,SWEEPERS=1,DEATHS=0 'arrays without a cluster are unlinked without taking its name'
sweep BUG_UNLINKS_UNLOCKED CREATORS=2,SWEEPERS=0,DEATHS=0,FAILURES=1 'who fails unlinks the name, whosever it is'
job wake WORKERS=1,DEATHS=0 'one worker sleeps and is woken, and no slice is needed'
job quick WORKERS=1,DEATHS=0,QUICK=1 'the same of one with short jobs, which goes on saying that it looks'
job one WORKERS=1 'a worker dies over two jobs, or asleep'
job retry SLEEP=0,BLOCK=1,SUBMITTED=1,SLOTS=1,RETRIES=1 'one of two dies, and its job is run again'
job cancel SLEEP=0,BLOCK=1,SUBMITTED=1,SLOTS=1,CANCELS=1,DEATHS=0 'a job that never returns is cancelled'
job blocks SLEEP=0,DEATHS=0 'two take and steal blocks' slow
job sleep DEATHS=0,BLOCK=1,SUBMITTED=1,SLOTS=1 'two sleep and are woken' slow
job BUG_TELLS_BEFORE WORKERS=1,DEATHS=0 'a program says that it has jobs before it has'
job BUG_NO_RECHECK WORKERS=1,DEATHS=0 'a worker sleeps without another look'
job BUG_NO_SECOND_LOOK WORKERS=1,DEATHS=0 'a worker says that there are no jobs, and does not look again'
job BUG_AGAIN_ONCE SLEEP=0,BLOCK=1,SUBMITTED=1,SLOTS=1,RETRIES=2,DEATHS=2 'the turn of a job is not read again behind its bit' slow
job BUG_HEAD_FIRST SLEEP=0,BLOCK=1,SUBMITTED=1,SLOTS=1 'the head moves before the block is filled'
job BUG_BURIES_ONE SLEEP=0,BLOCK=1,SUBMITTED=1,SLOTS=1 'only the job that a dead worker ran is seen to'
job BUG_COMMITS_BLINDLY SLEEP=0,BLOCK=1,SUBMITTED=1,SLOTS=1,CANCELS=1,DEATHS=0 'an end is told without compare-and-swap'
ended whole DEATHS=0 'the program is told of each, by a ring that fills'
ended death DEATHS=1,TELLS=1 'one of two workers dies at any step'
ended rounds DEATHS=1,TELLS=1,LENGTH=1 'one dies, and each place is another round'
ended deaths DEATHS=2,TELLS=1 'both die' slow
ended BUG_NO_ROUNDS DEATHS=1,TELLS=1 'a place that was read is as empty as one that was not'
ended BUG_NO_MEND DEATHS=1,TELLS=1 'nobody makes void what a dead worker was to fill'
ended BUG_FILLING_LATE DEATHS=1,TELLS=1 'a worker says what it fills when it has moved the tail'
END
}

# What the output of a search says: "0", "1" or, if it was cut short, "?".
errors_in() {
    if grep -Eq 'max search depth too small|out of memory|Search not completed|VECTORSZ' "$1"; then
        grep -q 'errors: [1-9]' "$1" && echo 1 || echo '?'
    else
        sed -n 's/.*errors: \([0-9]*\).*/\1/p' "$1"
    fi
}

# MODEL CASE SIZES TEXT: one row; its line on stdout, what was said in a file.
one() {
    work=$scratch/$1.$2
    defines=$(echo "-D$3" | sed 's/,/ -D/g')
    case $2 in
    BUG_*) defines="$defines -D$2" want=1 ;;
    *) want=0 ;;
    esac
    mkdir "$work"
    cd "$work"
    # Spin reduces nothing well where processes can be killed by "unless".
    grep -q '} unless {' "$here/$1.pml" && defines_c=-DNOREDUCE || defines_c=
    # A search may take all of its 900 MiB and no more.
    # shellcheck disable=SC2086
    spin -a $defines "$here/$1.pml" >said 2>&1 &&
        ${CC-cc} -O1 -w -DSAFETY $defines_c -DMEMLIM=900 -o pan pan.c \
            >>said 2>&1 &&
        ./pan -m200000 -w22 >>said 2>&1 || true
    found=$(errors_in said)
    states=$(sed -n 's/^ *\([0-9.e+]*\) states, stored.*/\1/p' said)
    depth=$(sed -n 's/.*depth reached \([0-9]*\).*/\1/p' said)
    seconds=$(sed -n 's/.*elapsed time \([0-9.e-]*\) seconds.*/\1/p' said)
    if [ "$found" != "$want" ]; then
        result=FAILED
    elif [ $want = 1 ]; then
        result=$(sed -n 's/^pan:1: \(assertion violated \)*\(.*\) (at depth.*/caught: \2/p' said)
    else
        result=right
    fi
    printf '%-8s %-24s %9s %6s %8s  %-46s %s\n' "$1" "$2" "${states:--}" \
        "${depth:--}" "${seconds:--}" "$result" "$4"
    if [ "$result" = FAILED ]; then
        sed 's/^/    /' said >&2
        exit 1
    fi
}

if [ "${1-}" = --one ]; then
    scratch=$2
    shift 2
    one "$@"
    exit
fi
command -v spin >/dev/null || {
    echo "spin is not installed"
    exit 77
}
skip='^$'
if [ "${1-}" = --quick ]; then
    skip=' slow$'
    shift
fi
models=$(echo "^(${*:-.*}) " | tr ' ' '|' | sed 's/|$/ /')
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
printf '%-8s %-24s %9s %6s %8s  %-46s %s\n' model case states depth seconds \
    result 'what it shows'
status=0
rows | grep -E "$models" | grep -Ev "$skip" | sed 's/ slow$//' |
    xargs -L1 -P"$(nproc)" sh "$here/run.sh" --one "$scratch" \
    >"$scratch/table" || status=1
cat "$scratch/table"
echo "# PASS: $(grep -vc FAILED "$scratch/table" || true)"
echo "# FAIL: $(grep -c FAILED "$scratch/table" || true)"
exit $status

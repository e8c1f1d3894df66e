#!/bin/sh
# The example wordcount against what tr, sort and uniq count, with 1 to 4
# workers, and on what it must refuse.  After each run nothing may be left.
set -eu

srcdir=${srcdir-$(cd "$(dirname "$0")/.." && pwd)}
top_builddir=${top_builddir-.}
. "$srcdir/tests/examples.sh"
need wordcount
wordcount=$examples/wordcount
longest=60

# CODE TEXT ARGUMENT...: ends with that exit code and one line.
refuses()
{
    wanted=$1 text=$2
    shift 2
    run "$wanted" wordcount "$@"
    says "$text"
}

# FILE...: what is to be counted, without tr's empty word.
expect()
{
    for text; do
        tr -cs A-Za-z '\n' <"$text"
        echo
    done | tr A-Z a-z | grep . | LC_ALL=C sort | LC_ALL=C uniq -c || :
}

same()
{
    cmp -s "$work/out" "$work/want" || {
        fail "$ran: counts other than tr, sort and uniq:"
        diff "$work/want" "$work/out" | head -n 5
    }
}

# FILE...: counts them right with 1 to 4 workers, and the most frequent ones.
counts()
{
    expect "$@" >"$work/want"
    for workers in 1 2 3 4; do
        run 0 wordcount -p $workers "$@"
        same
    done
    LC_ALL=C sort -k 1,1nr -k 2,2 "$work/want" | head -n 7 >"$work/top"
    mv "$work/top" "$work/want"
    run 0 wordcount -p 3 -k 7 "$@"
    same
}

# ---- Texts.

# SEED WORDS: some frequent and some rare words of 1 to 20 letters.
random_text()
{
    awk -v seed="$1" -v n="$2" 'BEGIN {
        srand(seed)
        for (k = 0; k < n; k++) {
            x = int(exp(9 * rand()))
            word = ""
            do {
                word = word sprintf("%c", (rand() < .1 ? 65 : 97) + x % 26)
                x = int(x / 26 * 1.7)
            } while (x > 0 && length(word) < 20)
            printf "%s%s", word, substr(" ,.\n-\t", 1 + int(6 * rand()), 1)
        }
    }'
}

# LETTER COUNT
letters()
{
    head -c "$2" /dev/zero | tr '\0' "$1"
}

cd "$work"
random_text 1 30000 >random
random_text 2 500 >small
counts random
counts small

# Borders of the workers' ranges at every place of short texts.
for text in a ab a-b ' a' 'a ' '-' aBcDeFgH abcdefgh-abcdefghi 'a a a b' \
    'abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRSTUVWXYZ' \
    '@[`{@A[Z`a{z/0a:9' 'The cat; the dog. THE END'; do
    printf %s "$text" >short
    expect short >want
    for workers in 2 3 5 7; do
        run 0 wordcount -p $workers short
        same
    done
done

# Words of which a worker has no beginning, and such as end with pieces of 8.
letters q 3000000 >huge
counts huge
{ printf 'x '; letters Q 100000; printf ' y '; letters q 99999; } >between
counts between
for n in 7 8 9 15 16 17 63 64 65; do
    letters z $n
    echo
    letters Z $n
    echo
done >eights
counts eights

: >empty
letters '\n' 100000 >none
counts empty
counts none
[ ! -s "$work/out" ] || fail "$ran: found words"

# All pairs of bytes.
awk 'BEGIN { for (k = 0; k < 65536; k++)
    printf "\\%03o\\%03o", k % 256, int(k / 256) % 256 }' >escapes
printf "$(cat escapes)" >binary
[ "$(wc -c <binary)" -eq 131072 ] || fail 'printf did not make all bytes'
counts binary
cp "$wordcount" program
counts program

counts random small empty huge binary none random
mkdir many
for k in $(seq 300); do
    echo "word$k Word x" >"many/$k"
done
counts many/*

# ---- Standard input, pipes, options.

expect random >want
run 0 wordcount -p 2 <random
same
run 0 wordcount -p 2 - <random
same
mkfifo fifo
cat random >fifo &
run 0 wordcount -p 2 fifo
wait $!
same
expect random small >want
run 0 wordcount -p 3 small - <random
same
run 0 wordcount -p 3 --check random small
same
grep -q 'serial count gives the same' err || fail "$ran: did not check"
run 0 wordcount -p 3 --check --time -k 1000000 random
grep -q 'words, .* different, .* 3 workers' err || fail "$ran: no time"
[ "$(sort -k 2 out | awk '{ print $2 }' | uniq -d | wc -l)" -eq 0 ] ||
    fail "$ran: a word twice"
run 0 wordcount --help
for option in workers top check time help; do
    grep -q -e "--$option" out || fail "--help does not tell of --$option"
done

# ---- What it must refuse.

refuses 1 'nowhere: No such file' nowhere
refuses 1 "$work: Is a directory" "$work"
refuses 1 'nowhere: No such file' small nowhere
refuses 2 'no number of words' -k 0 small
refuses 2 'no number of words' -k x small
refuses 2 'no number of workers' -p 0 small
refuses 2 'no number of workers' -p -1 small
refuses 1 'wordcount: ' -p 1000000 small
run 2 wordcount --no-such
TMPDIR=$work/nowhere
refuses 1 'set TMPDIR' - <random
TMPDIR=$work/tmp
if [ -w /dev/full ]; then
    ran='wordcount to a full disk' code=0
    "$wordcount" -p 2 small >/dev/full 2>err || code=$?
    [ $code -eq 1 ] || fail "$ran: exit code $code"
    says 'No space left'
fi

# ---- A file is cut short while workers have it mapped.

# COMMAND...: runs until the test calls what it does `seen`; then the file, of
# zeros that no disk has, is cut.
cut_while()
{
    truncate -s 100G sparse
    "$@" >out 2>err &
    controller=$!
    end=$(($(date +%s) + 20))
    until seen || [ "$(date +%s)" -ge "$end" ]; do
        sleep 0.01
    done
    truncate -s 0 sparse
    code=0
    wait "$controller" || code=$?
    pid=$controller
    controller=
    [ $code -eq 1 ] || fail "$ran: exit code $code"
}

seen()
{
    grep -qsF "$work/sparse" /proc/[0-9]*/maps
}

if truncate -s 100G sparse 2>/dev/null; then
    ran='wordcount of a file that is cut short'
    cut_while "$wordcount" -p 2 sparse
    [ -n "${sanitizers-}" ] || says 'cut short while it was counted'
    nothing_left
else
    echo "skipped: cutting a file short, where no large one can be made"
fi

# ---- The progress line, which only a terminal gets, after a second.

seen()
{
    grep -q '[0-9] %, [0-9]* s left' out
}

if [ -e sparse ] && script -qec true /dev/null >/dev/null 2>&1 </dev/null; then
    ran='wordcount on a terminal'
    cut_while script -qefc "'$wordcount' -p 2 sparse" /dev/null </dev/null
    seen || fail "$ran: no progress in '$(cat out)'"
else
    echo "skipped: the progress line, without script(1) or a terminal"
fi

[ $failures -eq 0 ]

#!/bin/bash
# Counts the words of 100 MB of text with examples/wordcount and with Python's
# multiprocessing, in turn, and prints the medians of whole runs and their ratio.
# Both print all words, and must print the same.
#
# usage: bench/compare_wordcount.sh [PROCESSES [ROUNDS]]     in the build folder
set -euo pipefail

processes=${1-2}
rounds=${2-5}
megabytes=100
here=$(cd "$(dirname "$0")" && pwd)
wordcount=${top_builddir-.}/examples/wordcount
python=/usr/bin/python3
[[ -x $wordcount ]] || { echo "$wordcount is missing: build it first"; exit 1; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Zipf's law over 100000 words, the frequent ones shorter, in lines of twelve
# with capitals and punctuation; always the same.
make_text() {
    "$python" - "$1" <<'END'
import itertools, random, string, sys

random.seed(1)
words = {}
while len(words) < 100000:
    length = max(1, round(random.gauss(2.2 + 0.45 * len(words).bit_length(), 1.2)))
    words[''.join(random.choices(string.ascii_lowercase, k=length))] = None
words = list(words)
weights = list(itertools.accumulate(1 / (k + 2.7) for k in range(len(words))))
size = 1000000 * int(sys.argv[1])
while size > 0:
    line = random.choices(words, cum_weights=weights, k=12000)
    for k in range(0, len(line), 12):
        line[k] = line[k].capitalize()
        line[k + 11] += random.choice('.,;!') + '\n'
    text = ' '.join(line)[:size]
    size -= len(text)
    sys.stdout.write(text)
END
}

# NAME COMMAND...: appends the seconds that it took to $work/NAME.
measure() {
    local name=$1 began=$EPOCHREALTIME
    shift

    "$@" >"$work/$name.words"
    echo "$began $EPOCHREALTIME" | awk '{ printf "%.4f\n", $2 - $1 }' \
        >>"$work/$name"
}

median() {
    sort -n "$work/$1" | awk '
        { t[NR] = $1 }
        END { print (t[int((NR + 1) / 2)] + t[int(NR / 2) + 1]) / 2 }'
}

make_text $megabytes >"$work/text"
for ((round = 0; round < rounds; round++)); do
    measure wordcount "$wordcount" -p "$processes" "$work/text"
    measure python "$python" "$here/wordcount_peer.py" "$work/text" "$processes"
done
cmp "$work/wordcount.words" "$work/python.words"
ours=$(median wordcount) peer=$(median python)
awk -v n="$processes" -v m=$megabytes -v ours="$ours" -v peer="$peer" 'BEGIN {
    printf "%d MB, %d processes: wordcount %.3f s, python %.3f s, ratio %.1f\n",
        m, n, ours, peer, peer / ours }'

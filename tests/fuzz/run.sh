#!/bin/bash
# Runs the fuzz targets, two at a time, from what is in the tree and what they
# have learnt before, and prints a table.
#
#   tests/fuzz/run.sh BUILD SECONDS [TARGET...]     all targets, if none is named
#
# BUILD has them linked with libFuzzer ("./dev fuzz" builds it).  What they find
# and learn goes into BUILD/fuzz/TARGET.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
build=$1 seconds=$2
shift 2

# TARGET
fuzz() {
    local directory=$build/fuzz/$1 known=("$here"/corpus/"$1") options=()

    mkdir -p "$directory"/corpus
    rm -f "$directory"/log "$directory"/status
    [[ ! -d $here/regressions/$1 ]] || known+=("$here"/regressions/"$1")
    [[ ! -e $here/$1.dict ]] || options=(-dict="$here"/"$1".dict)
    "$build"/tests/fuzz/fuzz_"$1" "$directory"/corpus "${known[@]}" \
        "${options[@]}" -max_total_time="$seconds" -timeout=20 \
        -error_exitcode=1 \
        -artifact_prefix="$directory"/ >"$directory"/log 2>&1 ||
        echo $? >"$directory"/status
}

# TARGET: its line of the table; fails when there was a finding.
report() {
    local directory=$build/fuzz/$1 status=0 finding=none

    [[ ! -e $directory/status ]] || read -r status <"$directory"/status
    ((status != 77)) || finding="not tested: $(tail -1 "$directory"/log)"
    ((status == 0 || status == 77)) || finding="see $directory/log"
    awk -v target="$1" -v finding="$finding" '
        /^#[0-9]+/ {
            runs = substr($1, 2)
            for (k = 2; k < NF; k++) {
                if ($k == "cov:") edges = $(k + 1)
                if ($k == "corp:") corpus = $(k + 1)
            }
        }
        END {
            sub(/\/.*/, "", corpus)
            printf "%-16s %12d %8d %8d  %s\n", target, runs, corpus, edges,
                finding
        }' "$directory"/log
    ((status == 0 || status == 77))
}

targets=("$@")
if ((${#targets[@]} == 0)); then
    for target in "$here"/fuzz_*.c; do
        target=${target##*/fuzz_}
        targets+=("${target%.c}")
    done
fi
for target in "${targets[@]}"; do
    while (($(jobs -pr | wc -l) >= 2)); do wait -n; done
    fuzz "$target" &
done
wait
findings=0
printf '%-16s %12s %8s %8s  %s\n' target executions corpus edges finding
for target in "${targets[@]}"; do
    report "$target" || findings=$((findings + 1))
done
printf '# PASS: %d\n# FAIL: %d\n' $((${#targets[@]} - findings)) "$findings"
((findings == 0))

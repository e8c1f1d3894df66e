#!/bin/sh
# plot.sh MEDIANS FOLDER: draws what "bench_sweep --tsv MEDIANS" has measured, as
# SVG files in FOLDER.  The two virtual CPUs of a small machine may have shared a
# cache in some rounds and not in others; the plots are of whichever was more
# often so.
set -eu
medians=$1 folder=$2
here=$(dirname "$0")

caches=$(awk -F'\t' '{ n[$5] += $6 }
    END { for (k in n) if (n[k] > n[best]) best = k; print best }' "$medians")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# GROUP NAME X: of that figure, lines of column X and the median in ns.
series()
{
    awk -F'\t' -v group="$1" -v name="$2" -v caches="$caches" -v x="$3" \
        '$1 == group && $2 == name && $5 == caches { print $x, $7 }' "$medians"
}

# GROUP X: a file for gnuplot with a block for each figure of the group, which
# begins with its name.
blocks()
{
    awk -F'\t' -v group="$1" '$1 == group && !seen[$2]++ { print $2 }' \
        "$medians" |
    while read -r name; do
        echo "\"$name\""
        series "$1" "$name" "$2"
        echo
        echo
    done
}

parties=3 size=4
for group in 'loop, item i costs i' 'random numbers' sum scan; do
    for name in libdsm OpenMP; do
        series "$group" "$name" $parties >"$work/points"
        [ -s "$work/points" ] || continue
        echo "\"$group, $name\""
        awk 'NR == 1 { one = $2 } { print $1, one / $2 }' "$work/points"
        echo
        echo
    done
done >"$work/speed-up"
blocks 'sum by size' $size >"$work/sum"
blocks 'scan by size' $size >"$work/scan"
blocks 'barrier by workers' $parties >"$work/barrier"
blocks 'region by workers' $parties >"$work/region"

mkdir -p "$folder"
for plot in speed-up bandwidth latency; do
    gnuplot -e "work = '$work'; caches = '$caches'" \
        -e "set output '$folder/$plot.svg'" "$here/$plot.gp"
done

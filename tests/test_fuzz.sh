#!/bin/bash
# Each fuzz target goes through the inputs that it began with (corpus) and those
# that once were findings (regressions).
set -eu
cd "$top_builddir"

status=0
for program in tests/fuzz/fuzz_*; do
    case $program in *.*) continue ;; esac
    target=${program##*/fuzz_}
    result=0
    "$program" "$srcdir/tests/fuzz/corpus/$target" \
        "$srcdir/tests/fuzz/regressions/$target" || result=$?
    case $result in
    0) ;;
    77) echo "$target: not tested" ;;
    *)
        echo "$target: the last of these inputs is a finding"
        status=1
        ;;
    esac
done
exit $status

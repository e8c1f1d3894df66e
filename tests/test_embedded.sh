#!/bin/sh
# libdsm in programs of another kind: in C++ with exceptions, beside OpenMP and
# OpenBLAS, and in a plugin of a program that does not know it.
set -eu

here=$(cd "$(dirname "$0")/.." && pwd)
srcdir=${srcdir-$here}
top_builddir=${top_builddir-$here}
library=$top_builddir/.libs/libdsm.so
[ -e "$library" ] || { echo "there is no shared library here"; exit 77; }

work=$(mktemp -d)
name=embedded-$$
failures=0 passed=0
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

fail()
{
    echo "FAILED: $*"
    failures=$((failures + 1))
}

# OUTPUT COMPILER ARGUMENT...: compiles against the library.
compile()
{
    output=$1 compiler=$2
    shift 2
    $compiler -Wall -g -I"$srcdir/include" -o "$work/$output" "$@" \
        "$library" -Wl,-rpath,"$top_builddir/.libs" 2>"$work/errors"
}

# PROGRAM ARGUMENT...: it prints "done", and leaves nothing.
runs()
{
    if ! timeout 60 "$@" >"$work/out" 2>"$work/err"; then
        fail "$*: $(cat "$work/out" "$work/err")"
    elif [ "$(cat "$work/out")" != "done" ]; then
        fail "$*: printed $(cat "$work/out")"
    else
        passed=$((passed + 1))
    fi
    left=$(find /dev/shm -maxdepth 1 -name "*$name*")
    [ -z "$left" ] || fail "$*: left $left"
}

echo 'int main() {}' >"$work/empty.cpp"
if ${CXX-c++} -o "$work/empty" "$work/empty.cpp" 2>/dev/null; then
    compile exception "${CXX-c++} -std=c++17" \
        "$srcdir/tests/embedded_exception.cpp" || fail "$(cat "$work/errors")"
    runs "$work/exception" "$name"
else
    echo "no C++ compiler: exceptions are not tried"
fi

blas=$(pkg-config --cflags --libs openblas 2>/dev/null) &&
    blas="-DWITH_BLAS $blas" || echo "no OpenBLAS: not tried"
echo 'int main(void) { return 0; }' >"$work/empty.c"
if ${CC-cc} -fopenmp -o "$work/empty" "$work/empty.c" 2>/dev/null; then
    # shellcheck disable=SC2086
    compile threads "${CC-cc} -fopenmp" "$srcdir/tests/embedded_threads.c" \
        $blas || fail "$(cat "$work/errors")"
    runs "$work/threads" "$name" controller
    runs "$work/threads" "$name" workers
else
    echo "no OpenMP: not tried"
fi

compile plugin.so "${CC-cc} -DPLUGIN -shared -fPIC" \
    "$srcdir/tests/embedded_plugin.c" || fail "$(cat "$work/errors")"
${CC-cc} -Wall -g -D_GNU_SOURCE -o "$work/host" \
    "$srcdir/tests/embedded_plugin.c" -ldl || fail "the host does not compile"
runs "$work/host" "$name" "$work/plugin.so"

[ $failures -eq 0 ] || exit 1
echo "$passed programs run well"

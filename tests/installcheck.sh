#!/bin/sh
# "make installcheck": compiles a program for each library as C11 and as C++17
# through pkg-config against what was installed, and runs them.  The root that
# DESTDIR named, if any, is pkg-config's sysroot.
set -eu

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export PKG_CONFIG_PATH="$DESTDIR$pkgconfigdir${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}"
[ -z "$DESTDIR" ] || export PKG_CONFIG_SYSROOT_DIR="$DESTDIR"
export LD_LIBRARY_PATH="$DESTDIR$libdir${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"

# PACKAGE SOURCE COMPILER FLAG...
try()
{
    package=$1 source=$2
    shift 2
    echo "installcheck: $package: $*"
    # The flags are words.
    # shellcheck disable=SC2046
    "$@" -Wall -Wextra -Wpedantic -Werror $sanitizers -o "$work/program" \
        "$srcdir/tests/$source" $(pkg-config --cflags --libs "$package")
    "$work/program"
}

version=$(pkg-config --modversion dsm)
[ "$version" = "$expected_version" ] ||
    { echo "installcheck: dsm.pc is of version $version"; exit 1; }
for what in 'dsm installcheck.c' 'dsm_blas installcheck_blas.c'; do
    try $what $CC -std=c11
    try $what ${CXX:-c++} -std=c++17 -x c++
done
[ "$("$DESTDIR$bindir/dsmctl" --version | grep -c "$expected_version")" = 1 ] ||
    { echo "installcheck: dsmctl --version does not say $version"; exit 1; }

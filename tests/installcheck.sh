#!/bin/sh
# "make installcheck": compiles one program as C11 and as C++17 through
# pkg-config against the installed library, and runs both.  The root that
# DESTDIR named, if any, is pkg-config's sysroot.
set -eu

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export PKG_CONFIG_PATH="$DESTDIR$pkgconfigdir${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}"
[ -z "$DESTDIR" ] || export PKG_CONFIG_SYSROOT_DIR="$DESTDIR"
export LD_LIBRARY_PATH="$DESTDIR$libdir${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"

# COMPILER FLAG...
try()
{
    echo "installcheck: $*"
    # The flags are words.
    # shellcheck disable=SC2046
    "$@" -Wall -Wextra -Wpedantic -Werror $sanitizers -o "$work/program" \
        "$srcdir/tests/installcheck.c" $(pkg-config --cflags --libs dsm)
    "$work/program"
}

version=$(pkg-config --modversion dsm)
[ "$version" = "$expected_version" ] ||
    { echo "installcheck: dsm.pc is of version $version"; exit 1; }
try $CC -std=c11
try ${CXX:-c++} -std=c++17 -x c++
[ "$("$DESTDIR$bindir/dsmctl" --version | grep -c "$expected_version")" = 1 ] ||
    { echo "installcheck: dsmctl --version does not say $version"; exit 1; }

#!/bin/sh
# Every C file is as .clang-format says; "./dev format" makes it so.  Other
# versions of clang-format disagree in details.
set -eu
cd "$srcdir"

version=14
for tool in clang-format-$version clang-format ''; do
    [ -n "$tool" ] || { echo "clang-format $version is missing"; exit 77; }
    $tool --version 2>/dev/null | grep -q "version $version\." && break
done

find src include tools examples bench tests -name '*.[ch]' |
    LC_ALL=C sort | xargs "$tool" --dry-run -Werror

# Sourced by checks.
# shellcheck shell=sh

# HEADER...: prints what these declare DSM_API, with what they include, one name
# a line, sorted.  attributes.h is kept out, so that its macros stay to be seen.
public_names()
{
    printf '#include <%s>\n' "$@" |
        ${CC:-cc} -E -P -DDSM_ATTRIBUTES_H -I"$srcdir/include" -x c - |
        tr '\n;' ' \n' |
        sed -n -e 's/.*DSM_API extern .*[ *]\([A-Za-z0-9_]*\)$/\1/p' \
               -e 's/.*DSM_API [^(]*[ *]\(dsm_[a-z0-9_]*\) *(.*/\1/p' |
        LC_ALL=C sort -u
}

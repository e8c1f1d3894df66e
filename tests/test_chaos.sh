#!/bin/sh
# Half a minute of random programs whose processes are killed; see
# tests/chaos/chaos.h.
exec "$top_builddir/tests/chaos/chaos" --minutes 0.5

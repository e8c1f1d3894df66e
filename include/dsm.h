/* libdsm: parallel programs made of processes that share memory.
 *
 * This is the only header to include; each noun has one of its own below.
 * C11, usable from C++17.  Link with `pkg-config --cflags --libs dsm`.
 *
 * One rule for errors: every call that can fail returns int.  Negative: it
 * failed and nothing was acquired.  0: done.  Positive: done, with a note.
 * dsm_last_error() has the sentence.  See dsm(7).
 */
#ifndef DSM_H
#define DSM_H

#include <dsm/array.h>
#include <dsm/cluster.h>
#include <dsm/error.h>
#include <dsm/job.h>
#include <dsm/op.h>
#include <dsm/primitives.h>
#include <dsm/split.h>
#include <dsm/sync.h>
#include <dsm/type.h>
#include <dsm/worker.h>

#endif

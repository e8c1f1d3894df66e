/* The library's calls, and how they may end. */
#ifndef CHAOS_CALLS_H
#define CHAOS_CALLS_H

/* X(name, function, codes after a worker's death, after the supervisor's)
 * A code that a call gives in a certain place for other reasons is named there.
 */
#define CALLS_MAP(X)                                                           \
    X(CREATE, "dsm_cluster_create", MAY(EWORKER), MAY(ESTALE))                 \
    X(ATTACH, "dsm_cluster_attach", 0, MAY(ESTALE))                            \
    X(RUN, "dsm_cluster_run", MAY(EWORKER), MAY(ESTALE) | MAY(EFAILED))        \
    X(START, "dsm_cluster_start", MAY(EWORKER), MAY(ESTALE))                   \
    X(WAIT, "dsm_cluster_wait", MAY(EWORKER), MAY(ESTALE))                     \
    X(CANCEL, "dsm_cluster_cancel", MAY(EWORKER), MAY(ESTALE))                 \
    X(REFRESH, "dsm_cluster_refresh", MAY(EWORKER), MAY(ESTALE))               \
    X(WORKER_INFO, "dsm_cluster_worker", 0, 0)                                 \
    X(LIST, "dsm_cluster_list", 0, 0)                                          \
    X(ARRAY_CREATE, "dsm_array_create", 0, MAY(ESTALE))                        \
    X(ARRAY_OPEN, "dsm_array_open", 0, MAY(ESTALE))                            \
    X(ARRAY_VIEW, "dsm_array_view", 0, MAY(ESTALE))                            \
    X(ARRAY_DESTROY, "dsm_array_destroy", 0, MAY(ESTALE))                      \
    X(ARRAY_SAVE, "dsm_array_save", 0, 0)                                      \
    X(ARRAY_LOAD, "dsm_array_load", 0, MAY(ESTALE))                            \
    X(LOCK_CREATE, "dsm_lock_create", 0, MAY(ESTALE))                          \
    X(LOCK_DESTROY, "dsm_lock_destroy", 0, MAY(ESTALE))                        \
    X(LOCK_ACQUIRE, "dsm_lock_acquire", MAY(NOTE), MAY(ESTALE) | MAY(NOTE))    \
    X(LOCK_RELEASE, "dsm_lock_release", 0, 0)                                  \
    X(BARRIER_CREATE, "dsm_barrier_create", 0, MAY(ESTALE))                    \
    X(BARRIER_DESTROY, "dsm_barrier_destroy", 0, MAY(ESTALE))                  \
    X(BARRIER_WAIT, "dsm_barrier_wait", MAY(EBROKEN), MAY(ESTALE))             \
    X(WORKER_BARRIER, "dsm_worker_barrier", MAY(EBROKEN), MAY(ESTALE))         \
    X(WORKER_REDUCE, "dsm_worker_reduce", MAY(EBROKEN), MAY(ESTALE))           \
    X(QUEUE_CREATE, "dsm_queue_create", 0, MAY(ESTALE))                        \
    X(QUEUE_DESTROY, "dsm_queue_destroy", 0, MAY(ESTALE))                      \
    X(QUEUE_PUSH, "dsm_queue_push", MAY(ECANCELED), MAY(ESTALE) | MAY(PIPE))   \
    X(QUEUE_POP, "dsm_queue_pop", MAY(ECANCELED), MAY(ESTALE) | MAY(PIPE))     \
    X(QUEUE_CLOSE, "dsm_queue_close", 0, 0)                                    \
    X(FOR, "dsm_for", MAY(EWORKER), MAY(ESTALE))                               \
    X(MAP, "dsm_map", MAY(EWORKER), MAY(ESTALE))                               \
    X(REDUCE, "dsm_reduce", MAY(EWORKER), MAY(ESTALE))                         \
    X(SCAN, "dsm_scan", MAY(EWORKER), MAY(ESTALE))                             \
    X(PACK, "dsm_pack", MAY(EWORKER), MAY(ESTALE))                             \
    X(FILTER, "dsm_filter", MAY(EWORKER), MAY(ESTALE))                         \
    X(DOT, "dsm_dot", MAY(EWORKER), MAY(ESTALE))                               \
    X(COLLECTIVE, "collective dsm_reduce", MAY(EBROKEN), MAY(ESTALE))          \
    X(SUBMIT, "dsm_job_submit", MAY(EWORKER), MAY(ESTALE))                     \
    X(JOB_MAP, "dsm_job_map", MAY(EWORKER), MAY(ESTALE))                       \
    X(NEXT, "dsm_job_next", 0, MAY(ESTALE))                                    \
    X(RESULT, "dsm_job_result", MAY(EWORKER), MAY(ESTALE) | MAY(ECANCELED))    \
    X(PROVISIONAL, "dsm_job_provisional", 0, 0)                                \
    X(JOB_CANCEL, "dsm_job_cancel", 0, MAY(ESTALE))                            \
    X(JOB_STATUS, "dsm_job_status", 0, 0)                                      \
    X(POLL, "dsm_cluster_poll", 0, MAY(ESTALE))                                \
    X(DRAIN, "dsm_cluster_drain", 0, MAY(ESTALE))                              \
    X(RETURN, "dsm_worker_return", 0, 0)                                       \
    X(PUBLISH, "dsm_worker_publish", 0, MAY(ESTALE))

enum call {
#define CALLS_ENUM(name, function, worker, supervisor) CALL_##name,
    CALLS_MAP(CALLS_ENUM)
#undef CALLS_ENUM
        CALLS
};

/* X(name, value): OK is 0, NOTE anything above. */
#define CODES_MAP(X)                                                           \
    X(OK, 0)                                                                   \
    X(NOTE, 1)                                                                 \
    X(EWORKER, DSM_EWORKER)                                                    \
    X(EFAILED, DSM_EFAILED)                                                    \
    X(EBROKEN, DSM_EBROKEN)                                                    \
    X(ESTALE, DSM_ESTALE)                                                      \
    X(EPENDING, DSM_EPENDING)                                                  \
    X(ECANCELED, DSM_ECANCELED)                                                \
    X(TIMEDOUT, -ETIMEDOUT)                                                    \
    X(NOENT, -ENOENT)                                                          \
    X(BUSY, -EBUSY)                                                            \
    X(AGAIN, -EAGAIN)                                                          \
    X(PIPE, -EPIPE)                                                            \
    X(CHILD, -ECHILD)                                                          \
    X(EXIST, -EEXIST)                                                          \
    X(FORMAT, DSM_EFORMAT)                                                     \
    X(TOOBIG, -E2BIG) /* of a function of ours */

enum code {
#define CODES_ENUM(name, value) CODE_##name,
    CODES_MAP(CODES_ENUM)
#undef CODES_ENUM
        CODE_OTHER,
    CODES
};

#define MAY(name) (1u << CODE_##name)

/* Counts how the call ended, and finds it wrong if that is none of `may` nor
 * what the harm done so far allows.  Returns `result`. */
int note(enum call call, int result, unsigned may);
const char *call_name(enum call call);
const char *code_name(enum code code);

#endif

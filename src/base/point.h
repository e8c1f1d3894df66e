/* Points where a test may interfere: kill the process, stop it, fail it.
 *
 * In the test build (DSM_TESTING) a test sets dsm__point_hook before it creates
 * a cluster; all its processes inherit it.  In the library itself a point is
 * nothing at all. */
#ifndef DSM_BASE_POINT_H
#define DSM_BASE_POINT_H

#ifdef DSM_TESTING
extern void (*dsm__point_hook)(const char *point);
#define DSM__POINT(name)                                                       \
    do {                                                                       \
        if (dsm__point_hook)                                                   \
            dsm__point_hook(name);                                             \
    } while (0)
#else
#define DSM__POINT(name) ((void)0)
#endif

#endif

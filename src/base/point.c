/* The hook of the test build; see point.h. */
#include "base/point.h"

#ifdef DSM_TESTING
void (*dsm__point_hook)(const char *point);
#else
typedef int dsm__point_unused; /* ISO C wants a declaration in every file */
#endif

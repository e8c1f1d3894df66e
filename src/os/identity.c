/* The page that a fork wipes; see identity.h. */
#include "os/identity.h"

#include <errno.h>
#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

static const volatile uint32_t never = 0;
static volatile uint32_t *page;
const volatile uint32_t *dsm__armed = &never;

int
dsm__identity_arm(void)
{
    size_t size = (size_t)sysconf(_SC_PAGESIZE);

    if (!page) {
        void *fresh = mmap(NULL, size, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (fresh == MAP_FAILED)
            return -errno;
        if (madvise(fresh, size, MADV_WIPEONFORK) < 0) {
            int error = -errno;
            munmap(fresh, size);
            return error;
        }
        page = fresh;
    }
    *page = 1;
    dsm__armed = page;
    return 0;
}

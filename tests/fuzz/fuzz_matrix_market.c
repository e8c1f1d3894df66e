/* The examples' reader of Matrix Market files: that what it takes is a matrix
 * in compressed rows, and what it refuses leaves a sentence and nothing else.
 */
#include "../../examples/matrix.h"
#include "fuzz.h"

#include <fcntl.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Rows take memory before an entry does. */
#define ROWS_MOST 100000

static int file;
static char path[32];

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    file = memfd_create("fuzz.mtx", 0);
    fuzz_check(file >= 0);
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    return 0;
}

static void
check_matrix(const matrix *m, unsigned flags)
{
    fuzz_check(m->start[0] == 0 && m->start[m->n] == m->entries);
    for (size_t i = 0; i < m->n; i++) {
        size_t diagonals = 0;

        fuzz_check(m->start[i] <= m->start[i + 1]);
        for (size_t k = m->start[i]; k < m->start[i + 1]; k++) {
            fuzz_check(m->column[k] < m->n);
            fuzz_check(k == m->start[i] || m->column[k - 1] < m->column[k]);
            fuzz_check(isfinite(m->value[k]));
            diagonals += m->column[k] == i && m->value[k] != 0;
        }
        fuzz_check(!(flags & MATRIX_DIAGONAL) || diagonals == 1);
    }
}

/* Whether some whole number in it is so large that memory would be all that is
 * tried. */
static bool
asks_for_much(const uint8_t *data, size_t size)
{
    size_t digits = 0;
    bool fraction = false;

    for (size_t k = 0; k < size; k++) {
        bool digit = data[k] >= '0' && data[k] <= '9';

        fraction = data[k] == '.' || (digit && fraction);
        digits = digit ? digits + 1 : 0;
        if (digits > 5 && !fraction)
            return true;
    }
    return false;
}

static void
try_reading(unsigned flags)
{
    char message[MATRIX_MESSAGE_MAX] = "";
    matrix m;

    if (matrix_read(&m, path, flags, message) == 0) {
        fuzz_check(m.n <= ROWS_MOST);
        check_matrix(&m, flags);
        matrix_free(&m);
    } else {
        fuzz_check(*message && !strchr(message, '\n'));
        fuzz_check(!m.start && !m.column && !m.value);
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (asks_for_much(data, size))
        return 0;
    fuzz_check(ftruncate(file, 0) == 0);
    fuzz_check(pwrite(file, data, size, 0) == (ssize_t)size);
    try_reading(0);
    try_reading(MATRIX_DIAGONAL);
    return 0;
}

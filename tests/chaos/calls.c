/* What calls gave, and whether they might; see calls.h. */
#include "chaos.h"

#include <errno.h>
#include <string.h>

struct board *board;

static const struct {
    const char *name;
    unsigned worker, supervisor;
} calls[CALLS] = {
#define CALLS_ROW(name, function, worker, supervisor)                          \
    {function, worker, supervisor},
    CALLS_MAP(CALLS_ROW)
#undef CALLS_ROW
};

static const int codes[] = {
#define CODES_ROW(name, value) value,
    CODES_MAP(CODES_ROW)
#undef CODES_ROW
};

static int log_here = -1; /* of this process */

const char *
call_name(enum call call)
{
    return calls[call].name;
}

const char *
code_name(enum code code)
{
    if (code == CODE_OK)
        return "0";
    if (code == CODE_NOTE)
        return "positive";
    return code == CODE_OTHER ? "others" : dsm_errname(codes[code]);
}

static enum code
code_of(int result)
{
    if (result > 0)
        return CODE_NOTE;
    for (unsigned k = 0; k < CODE_OTHER; k++)
        if (codes[k] == result)
            return (enum code)k;
    return CODE_OTHER;
}

void
log_choose(int which)
{
    log_here = which;
}

void
log_line(const char *format, ...)
{
    struct log *log;
    va_list arguments;
    size_t size;
    int n;

    if (log_here < 0)
        return;
    log = &board->log[log_here];
    size = log->size;
    n = snprintf(log->text + size, sizeof log->text - size, "%8.2f ms  ",
                 (now() - board->began) * 1e3);
    if (n > 0 && size + (size_t)n < sizeof log->text)
        size += (size_t)n;
    va_start(arguments, format);
    n = vsnprintf(log->text + size, sizeof log->text - size, format, arguments);
    va_end(arguments);
    if (n > 0 && size + (size_t)n + 1 < sizeof log->text) {
        size += (size_t)n;
        log->text[size++] = '\n';
        log->size = (uint32_t)size;
    }
}

void
wrong(const char *format, ...)
{
    va_list arguments;

    if (atomic_fetch_add(&board->wrong, 1) > 0)
        return;
    va_start(arguments, format);
    vsnprintf(board->what, sizeof board->what, format, arguments);
    va_end(arguments);
}

/* What the harm up to now allows of a call. */
static unsigned
excused(enum call call)
{
    unsigned harm = board->harm, may = 0;

    /* The guest finds it going, as if it lost its supervisor. */
    if (board->ended)
        harm |= 1u << SUPERVISOR;

    if (harm & 1u << WORKER)
        may |= calls[call].worker;
    /* The next to have its lock is told. */
    if (harm & (1u << GUEST | HOLDER))
        may |= calls[call].worker & MAY(NOTE);
    if (!(harm & (1u << SUPERVISOR | 1u << CONTROLLER)))
        return may;
    may |= calls[call].supervisor | calls[call].worker;
    /* Files are gone a little before the supervisor is. */
    if (log_here == LOG_GUEST)
        may |= MAY(NOENT);
    return may;
}

int
note(enum call call, int result, unsigned may)
{
    enum code code = code_of(result);

    atomic_fetch_add_explicit(&board->count[call][code], 1,
                              memory_order_relaxed);
    if (result < 0)
        log_line("%s: %s: %s", calls[call].name, dsm_errname(result),
                 dsm_last_error());
    else
        log_line("%s: %d", calls[call].name, result);
    if (!(1u << code & (may | excused(call))))
        wrong("%s gave %s (%s), with harm %#x done", calls[call].name,
              result > 0 ? "a positive number" : dsm_errname(result),
              result < 0 ? dsm_last_error() : "", (unsigned)board->harm);
    return result;
}

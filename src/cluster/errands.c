/* The supervisor's part in jobs, besides burying workers: cancelled ones end
 * after their grace, and programs that are gone leave nothing running. */
#include "base/clock.h"
#include "base/point.h"
#include "cluster/watch.h"
#include "pool/recover.h"

#include <signal.h>

/* Between two looks whether a program's jobs have ended. */
#define SETTLE_MS 10

void
dsm__errands_cancel(struct dsm__watch *watch, unsigned program, uint64_t entry,
                    int grace_ms)
{
    int worker = dsm__job_runner(watch->control, program, entry);
    struct dsm__doom doom = {dsm__deadline(grace_ms), program, entry};
    struct dsm__doom *old;

    if (worker < 0)
        return;
    old = &watch->dooms[worker];
    /* Of two graces the one that is over first counts. */
    if (!old->deadline || old->deadline > doom.deadline ||
        old->program != program || old->entry != entry)
        *old = doom;
}

static void
doom_running(void *context, unsigned program, uint64_t entry)
{
    struct dsm__watch *watch = context;

    dsm__errands_cancel(watch, program, entry,
                        watch->cluster->options.grace_ms);
}

void
dsm__errands_program_gone(struct dsm__watch *watch, unsigned program)
{
    dsm__program_gone(watch->control, program, doom_running, watch);
    watch->gone[program] = true;
}

static void
carry_out(struct dsm__watch *watch, struct dsm__doom *doom)
{
    int worker = dsm__job_doom(watch->control, doom->program, doom->entry);

    DSM__POINT("supervisor.doom");
    if (worker >= 0 && watch->pids[worker])
        kill(watch->pids[worker], SIGKILL);
    doom->deadline = 0;
}

void
dsm__errands_look(struct dsm__watch *watch, int64_t now)
{
    struct dsm__control *control = watch->control;

    for (unsigned id = control->first; id < control->workers; id++)
        if (watch->dooms[id].deadline && now >= watch->dooms[id].deadline)
            carry_out(watch, &watch->dooms[id]);
    for (unsigned p = 0; p < DSM__PROGRAMS_MAX; p++) {
        if (!watch->gone[p] || !dsm__program_settled(control, p))
            continue;
        watch->gone[p] = false;
        if (p > 0)
            control->clients[p - 1].used = 0;
    }
}

int64_t
dsm__errands_next(const struct dsm__watch *watch, int64_t now)
{
    int64_t at = DSM__NO_DEADLINE;

    for (unsigned id = 0; id < watch->control->workers; id++)
        if (watch->dooms[id].deadline && watch->dooms[id].deadline < at)
            at = watch->dooms[id].deadline;
    for (unsigned p = 0; p < DSM__PROGRAMS_MAX; p++)
        if (watch->gone[p] && now + SETTLE_MS * DSM__NS_PER_MS < at)
            at = now + SETTLE_MS * DSM__NS_PER_MS;
    return at;
}

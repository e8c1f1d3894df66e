/* The ring of ended jobs (src/pool/ended.c, and dsm__ledger_read in
 * src/job/collect.c), while workers die.
 *
 * Workers tell a program of jobs that have ended: each moves the tail and then
 * fills its place.  The program reads the ring when the tail has moved or a gap
 * was filled.  What a worker that died may have begun to fill the supervisor
 * makes void, and tells of its job itself.
 *
 * Property.  Whoever dies, at whatever step:
 *   - the program is told of every job that has ended;
 *   - when nothing can happen any more it has read to the tail: no gap is left,
 *     which would make the ring smaller for ever.
 *
 * Abstraction.  One entry at a time, where C pushes a block of them, each of
 * which then has its place as here.  That the program is woken is event.pml's:
 * here it goes on as soon as there is something to see.  `overflow` makes it look
 * at the words of all jobs, here at `ended`.  The supervisor and the program do
 * not die: all ends with the one, and with the other nobody is to be told.
 *
 * Memory order.  An entry is filled in behind its job's word (release), and read
 * before it (acquire).  The tail moves by compare-and-swap, as places change;
 * `head` is stored behind the places that are emptied (release) and read by
 * writers before they take one (acquire).
 *
 * Cases (run.sh), each of two workers: nobody dies, and each tells of two jobs
 * (407,000 states); of one job each, one dies (1.5 million), or both (7.6). */

#ifndef WORKERS
#define WORKERS 2
#endif
#ifndef TELLS
#define TELLS 2
#endif
#ifndef DEATHS
#define DEATHS 1
#endif
#ifndef LENGTH
#define LENGTH 2 /* of the ring */
#endif
#define MOST 2 /* places that a worker may be filling: DSM__BLOCK_MAX */
#define JOBS (WORKERS * TELLS)
#define ENTRY(job) (100 + (job))
#define VOID 255

/* dsm__ended_empty. */
#ifdef BUG_NO_ROUNDS
#define EMPTY(at) 0
#else
#define EMPTY(at) ((at) / LENGTH)
#endif

/* struct dsm__board. */
byte place[LENGTH], tail, head;
bool overflow;

byte filling[WORKERS], now[WORKERS]; /* the job that a worker tells of */
bool ended[JOBS], told[JOBS];
bool dead[WORKERS];
byte deaths = DEATHS, to_bury, read_to; /* the program's own head */

/* ended.c: dsm__ended_push; `at` is the tail that it has read. */
inline push(job, worker, at, has_slot)
{
    at = tail;
    do
    :: at + 1 > head + LENGTH -> overflow = true; break
    :: else ->
#ifndef BUG_FILLING_LATE
       if
       :: has_slot -> filling[worker] = at + 1
       :: else
       fi;
#endif
       if
       :: d_step { tail == at -> tail++ };
#ifdef BUG_FILLING_LATE
          if
          :: has_slot -> filling[worker] = at + 1
          :: else
          fi;
#endif
          if
          :: d_step { place[at % LENGTH] == EMPTY(at) ->
                 place[at % LENGTH] = ENTRY(job)
             };
             break
          :: d_step { place[at % LENGTH] != EMPTY(at) -> at++ }
          fi
       :: d_step { tail != at -> at = tail }
       fi
    od;
    if
    :: d_step { has_slot -> filling[worker] = 0; at = 0 }
    :: d_step { !has_slot -> at = 0 }
    fi
}

proctype worker(byte me)
{
    byte at;

    {
        do
        :: now[me] < TELLS ->
           ended[me * TELLS + now[me]] = true;
           push(me * TELLS + now[me], me, at, true);
           now[me]++
        :: else -> break
        od
    } unless {
        d_step { dead[me] -> at = 0 }
    }
}

/* ended.c: dsm__ended_mend; recover.c: bury_entry. */
proctype supervisor()
{
    byte who, k, at;

    do
    :: d_step { to_bury > 0 ->
           to_bury--;
           who = 0;
           do
           :: dead[who] && now[who] < TELLS -> break
           :: else -> who++
           od
       };
#ifndef BUG_NO_MEND
       if
       :: filling[who] ->
          k = 0;
          do
          :: k < MOST ->
             d_step {
                 at = filling[who] - 1 + k;
                 if
                 :: at >= head && at - head < LENGTH &&
                    place[at % LENGTH] == EMPTY(at) ->
                    place[at % LENGTH] = VOID
                 :: else
                 fi;
                 k++
             }
          :: else -> break
          od;
          atomic { filling[who] = 0; at = 0; k = 0 }
       :: else
       fi;
#endif
       ended[who * TELLS + now[who]] = true;
       push(who * TELLS + now[who], who, at, false);
       d_step { now[who] = TELLS; who = 0 }
    :: to_bury == 0 && deaths == 0 -> break
    od
}

/* collect.c: dsm__ledger_read, whenever there is something to see (has_come). */
proctype program()
{
    byte at, seen, to, entry, k;
    bool gaps;

end:
    do
    :: tail > seen || overflow ||
       (read_to < seen && place[read_to % LENGTH] != EMPTY(read_to)) ->
       d_step { to = tail; at = read_to; gaps = false };
       do
       :: at < to ->
          entry = place[at % LENGTH];
          d_step {
              if
              :: entry == EMPTY(at) -> gaps = true
              :: else ->
                 if
                 :: entry >= ENTRY(0) && entry != VOID ->
                    told[entry - ENTRY(0)] = true
                 :: else
                 fi;
                 place[at % LENGTH] = (gaps -> VOID : EMPTY(at + LENGTH));
                 read_to = (gaps -> read_to : at + 1)
              fi;
              entry = 0;
              at++
          }
       :: else -> break
       od;
       atomic { seen = to; at = 0; to = 0; gaps = false; head = read_to };
       if
       :: overflow ->
          overflow = false;
          d_step {
              k = 0;
              do
              :: k < JOBS -> told[k] = told[k] || ended[k]; k++
              :: else -> break
              od;
              k = 0
          }
       :: else
       fi
    od
}

inline kill(who)
{
    d_step { deaths > 0 && !dead[who] && now[who] < TELLS ->
        deaths--;
        dead[who] = true;
        to_bury++
    }
}

proctype killer()
{
    do
    :: kill(0)
    :: kill(WORKERS - 1)
    :: d_step { deaths > 0 -> deaths-- }
    :: deaths == 0 -> break
    od
}

/* Nothing can happen any more. */
proctype watcher()
{
    byte k;

    timeout;
    d_step {
        do
        :: k < JOBS -> assert(!ended[k] || told[k]); k++
        :: else -> break
        od;
        assert(read_to == tail)
    }
}

init {
    byte k;

    atomic {
        do
        :: k < WORKERS -> run worker(k); k++
        :: else -> break
        od;
        run supervisor();
        run program();
        run killer();
        run watcher()
    }
}

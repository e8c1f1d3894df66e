/* Creating clusters of one name, and sweeping what dead ones left of it
 * (src/cluster/cluster.c, src/cluster/remains.c, src/shm/segment.c).
 *
 * Property.  Whoever may die, and at whatever step:
 *   - nobody but its owner unlinks the control segment or an array of a cluster
 *     that lives, that is, from when dsm__remains_lock told its creator that it
 *     has the name, until the owner takes it away or is dead;
 *   - of several clusters of one name at most one lives, and it has the name;
 *   - a sweep that took a dead cluster's lock leaves nothing of it;
 *   - when all have ended or died, one sweep makes the name free, and nothing
 *     with it is left.
 *
 * Abstraction.  One name.  An inode is a number, never used again.  A cluster is
 * one process: its processes share one open file, so that its flock goes with
 * the last of them.  It has one array.  A directory is read in any order and not
 * in one step, but an array is found if it is there all the while; looking for
 * whether there are any is one step.  flock with LOCK_NB is one step; of
 * LOCK_SH's many tries with pauses there are as many as one likes.
 *
 * Memory order.  There is none: all that decides are system calls on one
 * directory and on one lock for each inode, which the kernel orders.
 *
 * Cases (run.sh): before it begins there is nothing, a dead cluster with an
 * array or without, or an array without a cluster, any of these.  "creators": two
 * creators, a death (326,000 states); "failure": one's ftruncate fails (120,000);
 * "sweepers": one creator, two sweepers (840,000; with a death 4.6 million). */

#ifndef CREATORS
#define CREATORS 2
#endif
#ifndef SWEEPERS
#define SWEEPERS 1
#endif
#ifndef DEATHS
#define DEATHS 1
#endif
#ifndef FAILURES
#define FAILURES 0
#endif
#define TRIES 2 /* NAME_TRIES */
#define INODES 8 /* as many as can come to be */
#define PROCESSES (CREATORS + SWEEPERS + 1)
#define SELF (PROCESSES - 1) /* who sweeps in the end */

byte name;                /* the inode that has it; 0: none */
byte inodes = 1;          /* used so far; the first is a dead cluster's */
byte shared[INODES];      /* flock: so many hold it so; */
byte exclusive[INODES];   /* who holds it so, plus 1 */
bool array[INODES];       /* an array of the cluster of that inode */
byte holds[PROCESSES];    /* the inode that it has open */
bool shares[PROCESSES];   /* and whether it holds that shared */
bool dead[PROCESSES];
byte deaths = DEATHS, failures = FAILURES;

/* What is only there to be asserted. */
bool lives[INODES];

/* segment.c: dsm__segment_create, that is open with O_CREAT | O_EXCL. */
inline create(fd)
{
    d_step {
        if
        :: name == 0 -> inodes++; fd = inodes; name = fd; holds[me] = fd
        :: else -> fd = 0
        fi
    }
}

inline close_it()
{
    d_step {
        if
        :: shares[me] -> shared[holds[me]]--; shares[me] = false
        :: !shares[me] && exclusive[holds[me]] == me + 1 ->
           exclusive[holds[me]] = 0
        :: else
        fi;
        holds[me] = 0
    }
}

inline unlink_name()
{
    d_step {
        assert(!lives[name]);
        name = 0
    }
}

/* remains.c: unlink_prefix. */
inline clear(mine)
{
    k = 0;
    do
    :: k < INODES ->
       d_step {
           if
           :: array[k] ->
              assert(!lives[k] || k == mine);
              array[k] = false
           :: else
           fi;
           k++;
           do
           :: k < INODES && !array[k] -> k++
           :: else -> break
           od
       }
    :: else -> break
    od;
    k = 0
}

/* remains.c: dsm__remains_lock with LOCK_EX; segment.c: dsm__segment_is. */
inline lock_exclusive(fd, got)
{
    d_step {
        got = shared[fd] == 0 && exclusive[fd] == 0;
        if
        :: got -> exclusive[fd] = me + 1
        :: else
        fi
    }
#ifndef BUG_NO_INODE
    got = got && name == fd
#endif
}

#define DONE 0
#define ENOENT 1
#define EBUSY 2

/* remains.c: sweep_once, sweep_orphans, dsm__remains_remove. */
inline sweep(error)
{
    d_step { /* dsm__segment_open */
        fd = name;
        holds[me] = fd
    }
    if
    :: fd != 0 ->
       lock_exclusive(fd, got);
       if
       :: got ->
#ifdef BUG_NAME_FIRST
          unlink_name();
          clear(0);
#else
          clear(0);
          unlink_name();
#endif
          assert(!array[fd] && name != fd);
          error = DONE
       :: else -> error = EBUSY
       fi;
       close_it()
    :: else ->
       d_step { /* dsm__remains_arrays */
           k = 0;
           do
           :: k < INODES && !array[k] -> k++
           :: else -> break
           od;
           got = k < INODES;
           k = 0
       }
       if
       :: !got -> error = ENOENT
       :: else ->
#ifdef BUG_NO_TOMBSTONE
          clear(0);
          error = DONE
#else
          create(fd);
          if
          :: fd == 0 -> error = EBUSY
          :: else ->
             lock_exclusive(fd, got);
             if
             :: got -> clear(0); unlink_name()
             :: else
             fi;
             close_it();
             error = DONE
          fi
#endif
       fi
    fi;
    fd = 0;
    got = false
}

proctype sweeper(byte me)
{
    byte fd, k, error;
    bool got;

    {
        sweep(error);
        error = 0
    } unless { d_step { dead[me] -> fd = 0; k = 0; error = 0; got = false } }
}

/* cluster.c: dsm_cluster_create: create_control_file, create_locked,
 * make_control; and dsm_cluster_destroy. */
proctype creator(byte me)
{
    byte fd, k, error, tries;
    bool got;

    {
        tries = 0;
again:
        tries++;
        if
        :: tries > TRIES -> goto out
        :: else
        fi;
        create(fd);
        if
        :: fd == 0 -> goto exists
        :: else
        fi;
        if
        :: d_step { failures > 0 -> failures-- } /* set_size fails */
#ifdef BUG_UNLINKS_UNLOCKED
           unlink_name();
#else
           lock_exclusive(fd, got);
           if
           :: got -> unlink_name()
           :: else
           fi;
#endif
           close_it();
           goto out
        :: true
        fi;
        /* dsm__remains_lock with LOCK_SH; then dsm__segment_is. */
        d_step {
            got = exclusive[fd] == 0;
            if
            :: got -> shared[fd]++; shares[me] = true
            :: else
            fi
        }
        d_step {
#ifndef BUG_NO_INODE_CREATOR
            got = got && name == fd;
#endif
            if
            :: got ->
               k = 0;
               do
               :: k < INODES -> assert(!lives[k]); k++
               :: else -> break
               od;
               k = 0;
               lives[fd] = true;
               assert(name == fd)
            :: else
            fi
        }
        if
        :: got -> goto made
        :: else -> close_it()
        fi;
exists: sweep(error);
        if
        :: error == EBUSY -> goto out
        :: else -> goto again
        fi;
made:
#ifndef BUG_NO_CLEAR /* takes the states of CREATORS=2, SWEEPERS=1 to find */
        clear(fd); /* make_control */
#else
        skip;
#endif
        d_step { /* dsm_array_create: its name is free */
            k = 0;
            do
            :: k < INODES -> assert(!array[k]); k++
            :: else -> break
            od;
            k = 0;
            array[fd] = true
        }
        assert(name == fd && array[fd]);
        if
        :: name == fd -> /* dsm__remains_remove */
           lives[fd] = false;
           clear(fd);
           unlink_name()
        :: else
        fi;
        close_it();
out:    skip;
        d_step { fd = 0; k = 0; error = 0; got = false; tries = 0 }
    } unless {
        d_step { dead[me] -> fd = 0; k = 0; error = 0; got = false; tries = 0 }
    }
}

/* The kernel closes what it has open. */
inline kill(who)
{
    d_step { deaths > 0 && !dead[who] ->
        deaths--;
        dead[who] = true;
        if
        :: shares[who] ->
           shared[holds[who]]--;
           lives[holds[who]] = false
        :: !shares[who] && exclusive[holds[who]] == who + 1 ->
           exclusive[holds[who]] = 0
        :: else
        fi
    }
}

proctype killer()
{
    do
    :: kill(0)
    :: kill(1)
#if CREATORS + SWEEPERS > 2
    :: kill(2)
#endif
    :: break
    od
}

init {
    byte fd, k, error, me = SELF;
    bool got;

    atomic {
        if
        :: true
        :: name = 1; array[1] = true
        :: name = 1
        :: array[1] = true
        fi;
        do
        :: k < CREATORS -> run creator(k); k++
        :: k >= CREATORS && k < CREATORS + SWEEPERS -> run sweeper(k); k++
        :: else -> break
        od;
        run killer();
        k = 0
    }
    _nr_pr == 1;
    sweep(error);
    d_step {
        assert(error != EBUSY && name == 0);
        do
        :: k < INODES -> assert(!array[k]); k++
        :: else -> break
        od
    }
}

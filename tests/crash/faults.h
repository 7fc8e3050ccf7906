/* faults.h - one life of the database in which one thing goes wrong.
 *
 *     seed ──▶ workload.h, steps ... ✗ call n fails ... steps ──▶ close, open, crash, open
 *
 * After the failure the life goes on as a careful program's would: it looks at what it has, opens
 * again when the handle was fenced, and works on. At the end the machine crashes in several modes.
 *
 * What must hold
 *   1. every status is one that the fault explains, with a message; nothing is leaked or left open;
 *   2. what was acknowledged is there, the batch that failed is there whole or not at all (not at
 *      all while the handle lives);
 *   3. a write that the disk lost or put elsewhere is noticed when it is read, or doesn't matter.
 *
 * Threads: one.
 */
#ifndef CRASH_FAULTS_H
#define CRASH_FAULTS_H

#include "crash/workload.h"

struct fault_life {
    uint64_t seed;
    uint32_t steps;
    bool read;     /* The fault is in read number `call`, not in a numbered call. */
    uint64_t call; /* 0: none. */
    enum sim_fault fault;
    /* Out. */
    uint64_t calls, reads;  /* There were; of the first boot. */
    uint64_t failures;      /* Calls of the engine that didn't answer OK, */
    uint64_t fenced;        /* handles that were fenced, */
    uint64_t reported;      /* and images that were found damaged. */
    char failure[RUN_TEXT]; /* Not empty: the engine was wrong. */
};

/* False: `failure` says what was wrong. */
bool fault_life(struct fault_life *life);

/* Whether everything that comes out of the image is right, or reported as CORRUPT. Takes a rebooted
 * disk, but doesn't destroy it. *reported counts. */
bool image_is_right_or_reported(const struct run *parent, struct sim *sim, uint64_t *reported,
                                char failure[RUN_TEXT]);

/* OMENDB_TEST_LONG=1: everything, not a sample. */
bool test_long(void);

/* How far apart the members of a sweep are: `usual` in an optimised build, more under a sanitizer,
 * 1 when everything is wanted. */
uint64_t test_step(uint64_t usual);

#endif /* CRASH_FAULTS_H */

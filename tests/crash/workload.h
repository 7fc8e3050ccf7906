/* workload.h - what happens to the database while the simulated disk crashes, and the model that
 * knows what must come out.
 *
 *     seed ──▶ profile ──▶ steps: batches (three levels), collections made, dropped, renamed,
 *                                 checkpoints, syncs, marks, clean closes and reopens
 *     model    history[S mod 64] = every document of every collection at sequence S
 *
 * The whole content of a document (bytes, id, vectors) follows from its collection's incarnation,
 * its key and the number of the write that made it; numbers are never used twice, not even after
 * a crash that lost them. So a state is a table of numbers, and a ghost of a lost batch can't
 * look like the batch that came after it.
 *
 * Bounds of what a crash may leave, all sequences:
 *
 *     covered <= durable <= acknowledged <= started
 *
 *   covered       proved durable by a later frame, mark or image: rot there must be noticed
 *   durable       acknowledged at FULL (or by sync, checkpoint, close, recovery): never lost
 *   acknowledged  at any level: survives the end of the process
 *   started       the batch under way, if any: there whole or not at all
 *
 * `generation` is that of the newest image which the engine itself calls durable. A recovery
 * that has to begin with an older one was saved by redundancy, and counts as a failure.
 *
 * Every other group of seeds has a toy index that works between the batches: it holds nodes, writes
 * rows and asks for checkpoints.
 *
 * Threads: one for each run.
 */
#ifndef CRASH_WORKLOAD_H
#define CRASH_WORKLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sim/vfs_sim.h"
#include "store/store_inner.h"
#include "toy_index.h"

enum {
    WORLD_COLLECTIONS = 3,
    WORLD_GROUPS = 36,  /* Keys of a collection; each stands for group_size documents. */
    WORLD_HISTORY = 64, /* Sequences between `durable` and `started`, at most. */
    RUN_TEXT = 400
};

enum world_profile {
    PROFILE_MIXED,   /* Small documents, all kinds of steps. */
    PROFILE_CHURN,   /* Larger ones, replaced and deleted: reuse, compaction, runs, shrinking. */
    PROFILE_BULK,    /* Thousands of tiny documents: capacity grows. */
    PROFILE_UNSYNCED /* Mostly unsynced frames of one page: torn and stale tails. */
};

struct world_collection {
    bool exists;
    uint8_t kind; /* 0: no vectors, 1: one field, 2: two fields. */
    uint32_t name_number;
    uint32_t incarnation;
    uint32_t versions[WORLD_GROUPS]; /* Number of the write; 0 = absent. */
};

struct world_state {
    struct world_collection collections[WORLD_COLLECTIONS];
};

struct world {
    uint64_t random;
    uint32_t counter; /* Of writes and incarnations, over all lives. */
    enum world_profile profile;
    uint32_t group_size;
    uint64_t covered, durable, acknowledged, started;
    uint64_t generation;
    struct world_state history[WORLD_HISTORY];
};

/* One process that uses the database on one simulated machine. */
struct run {
    struct sim *sim;
    struct store *store;   /* NULL: closed. */
    struct store *closing; /* Within store_close(). */
    struct store_options options;
    struct world world;
    bool indexed; /* The toy stands in place of the real indexes. */
    struct toy toy;
    bool faults;            /* Some calls are made to fail: statuses are the caller's to judge. */
    bool rotten;            /* A bit was flipped: CORRUPT is a good answer. */
    char failure[RUN_TEXT]; /* Not empty: the engine was wrong. */
};

extern const char run_path[];

void run_init(struct run *run, struct sim *sim, uint64_t seed);
/* A copy for another disk, whose store isn't open; its random numbers go another way. */
void run_fork(struct run *run, const struct run *from, struct sim *sim, uint64_t seed);

/* Opens; what is there must be a state within the bounds, which becomes the state now. `killed`:
 * the machine went on, so everything acknowledged must be there. False: crashed, or failed. */
bool run_open(struct run *run, bool killed);
/* One more random step. False: crashed, or failed. With run->faults: the step's status. */
bool run_step(struct run *run, omendb_status *status);
/* Clean close; everything is durable then and the log gone. */
bool run_close(struct run *run, omendb_status *status);
/* Ends the process without a write: the next call would crash. */
void run_abandon(struct run *run);

/* Compares all that a reader finds with the model at its snapshot, which must be `sequence`;
 * deep: and lets the store check itself. Leaves the difference in run->failure. */
bool run_verify(struct run *run, uint64_t sequence, bool deep);

/* Newest valid superblock of the file as it is; 0: none. */
uint64_t image_generation(struct sim *sim, uint32_t *slot, uint32_t *valid);

/* Remembers the newest generation that the engine calls durable. */
void run_claim(struct run *run, const struct store *store);

bool run_fenced(const struct run *run);
bool run_failed(struct run *run, const char *format, ...) __attribute__((format(printf, 2, 3)));
uint64_t random_next(uint64_t *state);

#endif /* CRASH_WORKLOAD_H */

/* campaign.h - crashes at every call of a workload, in every mode, over many lives.
 *
 *     seed ─▶ workload ─▶ before each call: clone the disk, crash it in 6 modes
 *                             │ a durable image not seen before
 *                             ▼
 *              recover, compare with the model, check ──▶ now and then: write on,
 *                             │                           crash at a random call,
 *                             ▼                           6 modes again, 4 lives deep
 *              now and then: rot (superblock, log, blocks)
 *
 * An image is known by its hash; a known one isn't recovered again, but the sequence that it
 * recovered to is held against the bounds of the moment, which may have risen.
 *
 * Before each call readers look through the live store: they must see exactly what was
 * acknowledged.
 *
 * Threads: a campaign belongs to one thread.
 */
#ifndef CRASH_CAMPAIGN_H
#define CRASH_CAMPAIGN_H

#include "crash/workload.h"

enum { LIVES_MAX = 4 };

struct tally {
    uint64_t workloads, calls, batches, checkpoints, segments, recycled, grown;
    uint64_t states;                   /* Distinct durable images recovered. */
    uint64_t by_mode[SIM_CRASH_MODES]; /* The mode that made each first. */
    uint64_t repeated;                 /* Images known already: bounds only. */
    uint64_t killed;                   /* Process ends: recovered with the page cache. */
    uint64_t lives[LIVES_MAX + 1];     /* Recovered images by how many crashes lie behind. */
    uint64_t reader_views, reopened;   /* Through the live store; clean closes of images. */
    uint64_t rot_right, rot_reported;  /* Images with a flipped bit: right, or CORRUPT. */
};

struct seen {
    uint64_t hash;
    uint64_t sequence;
};

struct campaign {
    struct tally tally;
    struct seen *seen; /* [seen_capacity], open addressing; hash 0 = free. */
    size_t seen_count, seen_capacity;
    uint64_t *hashes; /* NULL, or [hashes_max]: every distinct hash, for a union. */
    uint64_t hashes_max;
    uint64_t states_max;              /* Ends when there are so many. */
    char failure[2 * RUN_TEXT + 100]; /* Not empty: found something, with what makes it again. */
    /* Of the workload under way. */
    uint64_t seed, random;
    struct run run;
};

void campaign_init(struct campaign *campaign);
void campaign_deinit(struct campaign *campaign);

/* One workload of `steps` steps. False: a failure was found. */
bool campaign_workload(struct campaign *campaign, uint64_t seed, uint32_t steps);

/* Recovers a rebooted disk, checks it, crashes it again; takes the disk. For the fault tests too:
 * `killed` as in run_open(). False: run's failure is set. */
bool image_recovers(struct run *parent, struct sim *sim, bool killed, uint64_t *sequence,
                    char failure[RUN_TEXT]);

#endif /* CRASH_CAMPAIGN_H */

/* outage.h - a sync, or any other call, that fails once, and a disk that is full for a while; then
 * the process and the machine end.
 *
 * What must hold whichever call fails:
 *   1. the step that met it fails, or didn't need it; readers go on and see what was acknowledged
 *   2. either nothing has happened and the database goes on, or it is fenced: every later write
 *      fails
 *   3. no file is synced again after its sync failed
 *   4. after the end of the process, and after the end of the machine, everything that was
 *      acknowledged is there; a batch that failed is there whole or not at all, and once a
 *      recovery has shown it, it is durable
 *
 * A full disk fences nothing: FULL, and on it goes when there is space again; a database can be
 * recovered and read meanwhile.
 *
 * faults.h goes through more kinds of faults; this one goes through every call.
 */
#ifndef CRASH_OUTAGE_H
#define CRASH_OUTAGE_H

#include "crash/workload.h"

struct outage_tally {
    uint64_t runs, met, fenced, recovered;
};

/* One workload for each sync of it (or for each call) and each kind of failure that fits. */
bool outages_of_syncs(uint64_t seed, uint32_t steps, struct outage_tally *tally,
                      char failure[2 * RUN_TEXT]);
bool outages_of_calls(uint64_t seed, uint32_t steps, struct outage_tally *tally,
                      char failure[2 * RUN_TEXT]);

/* The same with a disk that is full from each `stride`-th call on, for some steps. */
bool outages_of_space(uint64_t seed, uint32_t steps, uint32_t stride, struct outage_tally *tally,
                      char failure[2 * RUN_TEXT]);

#endif /* CRASH_OUTAGE_H */

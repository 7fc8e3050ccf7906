/* host.h - what the store offers an index that works in the background.
 *
 *     hooks.work(collection, host)          on the store's index thread, no lock held
 *         read, search, compute             beside writers and readers; inside a snapshot
 *                                           (store_enter) where epochs matter
 *         host_lock                         the writer lock: no batch is staged, no image begins
 *             array_prepare, write elements of derived arrays, collection_node_mark/_release
 *             host_changed
 *         host_unlock                       what is there now may be what an image holds
 *
 * Invariants
 *   1. whenever the writer lock isn't held, derived arrays are in a state that a recovery can start
 *      from: an image is made of all arrays at such a moment.
 *   2. work() returns soon after host_stopping() became true, and holds no lock when it returns.
 *   3. the collection stays in memory during the call, even when it is dropped meanwhile.
 *
 * Without threads (a single-threaded vfs) work() is called at the end of a commit, one piece each.
 *
 * Threads: a host belongs to the one call of work() that was given it; host_stopping() any thread
 * that works for that call.
 */
#ifndef STORE_HOST_H
#define STORE_HOST_H

#include "store/store.h"

struct index_host {
    struct store *store;
    struct collection *collection; /* That of the call. */
    uint32_t threads;              /* That the work may use, the caller among them; at least 1. */
    /* Somebody who waits for the index lends his thread for what takes less than a millisecond: do
     * only that, else nothing, and say so. The store's thread will be called for it. */
    bool brief, refused;
};

/* The writer lock, for short changes: writers wait. Not within one another. */
void host_lock(struct index_host *host);
void host_unlock(struct index_host *host);

/* The database is being closed, or the collection was dropped, or nothing can be written any more:
 * come back soon. */
bool host_stopping(const struct index_host *host);

/* Lock held: derived arrays were changed, so that the next image differs from the one before even
 * when no batch was committed. */
void host_changed(struct index_host *host);

/* Asks for a checkpoint: what was done since the last one is worth it. No lock held. */
void host_want_checkpoint(struct index_host *host);

#endif /* STORE_HOST_H */

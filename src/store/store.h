/* store.h - one open database: everything below indexes and queries.
 *
 *     store ─ space (file, blocks, mapping) ─ epoch (readers)
 *           ├ wal (log segments)            ├ catalog: collections
 *           └ txn (queue of batches, group commit), checkpoint
 *
 * A batch goes: stage (writer lock; may fail, is undone) -> queue -> frame (one leader writes and
 * syncs for all that wait) -> publish (visible sequence) -> acknowledged.
 *
 * Lock order: indexing -> writer -> log -> catalog -> array locks -> epoch. The checkpoint takes the writer lock twice,
 * to freeze and to thaw; readers take none of the first three.
 *
 * Threads: any, unless a function says otherwise.
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include "os/vfs.h"
#include "store/batch.h"
#include "store/collection.h"

struct store;

struct store_options {
    struct vfs *vfs;
    const char *path;             /* NULL: in memory. */
    uint32_t flags;               /* OMENDB_OPEN_* */
    omendb_durability durability; /* Never DEFAULT. */
    uint32_t interval_ms;
    uint64_t wal_size_max;     /* Log bytes that start a checkpoint. */
    uint64_t wal_segment_size; /* The largest ordinary segment; default 16 MiB. */
    struct index_hooks hooks;
    uint32_t index_threads; /* For hooks.work; 0: half of the processors, at least one. */
    /* Counts store_interrupt(), for as long as the store is open. Stores that follow each other share
     * one, so that what runs on an older one ends too. NULL: the store's own. */
    atomic_u32 *interrupts;
};

omendb_status store_open(const struct store_options *options, struct store **out,
                         omendb_error *err);
/* Read-only: takes in what the log says since, batch by batch, while readers go on. Returns with
 * everything that was acknowledged before the call, or with *newer: its writer has made another image,
 * for which store_open_newer() is. A writable store has nothing to take in. Errors: IO (the file was
 * moved or replaced), CORRUPT, NOMEM; what was taken in before stays, as whole batches, and the next
 * call goes on there. Cost: some 40 system calls when there is nothing, and about the writer's own for
 * each batch. Threads: any; calls take turns. */
omendb_status store_follow(struct store *store, bool *newer, omendb_error *err);
/* Opens the newest image of the same database, with the same options. Errors: as store_open(), and
 * CORRUPT when it is older than what `store` shows. */
omendb_status store_open_newer(struct store *store, struct store **out, omendb_error *err);

/* Ends the handle whatever the status says. */
omendb_status store_close(struct store *store, omendb_error *err);

/* Commits a batch and waits for its level (DEFAULT: the store's). *sequence may be NULL. Its
 * conditions are judged when its turn comes to be staged, so that of two batches that exclude each
 * other the first one wins. EXISTS, CONFLICT: one doesn't hold; what it was refused for is visible
 * when this returns. */
omendb_status store_commit(struct store *store, const struct batch *batch,
                           omendb_durability durability, uint64_t *sequence, omendb_error *err);
omendb_status store_sync(struct store *store, omendb_error *err);
omendb_status store_checkpoint(struct store *store, omendb_error *err);

/* One piece of hooks.work for the collection whose turn it is, on this thread, however many there
 * are; *more: somewhere there is more to do. An error of it is returned, and not noted. For tests
 * and for who wants to wait for the index; the store's own thread calls it too. */
omendb_status store_index_work(struct store *store, bool *more, omendb_error *err);

/* What the store's own thread is doing for the collection, of hooks.work. After a commit returned,
 * IDLE means that its vectors were taken in too, and FAILED that the last piece failed, which will be
 * tried again, or that the store is fenced: *cause tells. */
enum store_index_state { STORE_INDEX_IDLE, STORE_INDEX_BUSY, STORE_INDEX_FAILED };
enum store_index_state store_index_state(struct store *store, struct collection *collection,
                                         omendb_error *cause);

/* For who waits until that is no longer BUSY: take store_index_seen(), then look at the state, then
 * wait with what was seen. store_index_wait() returns when work came to rest or failed since, when
 * store_interrupt() was called, or `timeout_ms` passed; or without cause. While somebody waits the
 * store's thread gathers no commits before it begins. */
uint32_t store_index_seen(const struct store *store);
void store_index_wait(struct store *store, uint32_t seen, uint32_t timeout_ms);

/* Does what is brief of the work on the collection on the caller's thread, which costs less than to
 * wake another one and to wait for it: look at the state again. false: there is no such work, or it is
 * being done; wait then. */
bool store_index_help(struct store *store, struct collection *collection);

/* Has the store's thread look at collections that were marked (work_wanted) outside of a batch. */
void store_index_wake(struct store *store);

/* A snapshot of what is published now. Keep it short: it holds back reuse. */
omendb_status store_enter(struct store *store, struct snapshot *out, omendb_error *err);
void store_leave(struct snapshot *snapshot);

/* Holds the versions that are published now, for as long as the caller likes: nothing but their own
 * space waits for it. Who reads at it enters, and sets snapshot.sequence to the pin's. BUSY:
 * OMENDB_SNAPSHOTS_MAX pins. Unpin before the store is closed. */
omendb_status store_pin(struct store *store, struct epoch_pin *out, omendb_error *err);
void store_unpin(struct store *store, struct epoch_pin *pin);

/* Collections. create takes the schema in any case. */
omendb_status store_collection_create(struct store *store, const char *name, struct schema *schema,
                                      struct collection **out, omendb_error *err);
omendb_status store_collection_open(struct store *store, const char *name, struct collection **out,
                                    omendb_error *err); /* Pinned: collection_unpin() it. */
omendb_status store_collection_drop(struct store *store, const char *name, omendb_error *err);
omendb_status store_collection_rename(struct store *store, const char *name, const char *new_name,
                                      omendb_error *err);
/* The collection of that id, pinned; NULL: there is none. */
struct collection *store_collection_find(struct store *store, uint32_t id);
/* Calls each() for every collection, sorted by name, pinned during the call. */
omendb_status store_collections(struct store *store,
                                omendb_status (*each)(void *context, struct collection *collection,
                                                      const char *name, omendb_error *err),
                                void *context, omendb_error *err);
void store_collection_name(struct store *store, struct collection *collection,
                           char out[OMENDB_NAME_SIZE_MAX + 1]);

/* MISUSE in a forked child. Call it at the head of every public function. */
omendb_status store_usable(struct store *store, omendb_error *err);

/* Raised by omendb_interrupt(); long loops compare it with what they saw when they began. */
uint32_t store_interrupts(struct store *store);
void store_interrupt(struct store *store);
uint64_t store_clock_ns(struct store *store);

/* JSON texts for omendb_stats() and omendb_check(). */
omendb_status store_stats(struct store *store, struct buffer *out, omendb_error *err);
omendb_status store_check(struct store *store, bool deep, struct buffer *out, omendb_error *err);

#endif /* STORE_STORE_H */

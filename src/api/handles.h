/* handles.h - what the public handles hold. Inner to api/.
 *
 *     omendb ─ opened ─ store; gate, kernels
 *       ▲        ▲
 *       │        └ calls under way and snapshots of a read-only database
 *       ├ omendb_collection ─ pinned struct collection, pool of query workspaces
 *       │     └ seen through a snapshot or a transaction: a reference to it
 *       ├ omendb_snapshot ─ pin
 *       ├ omendb_transaction ─ pin, overlay
 *       └ omendb_batch ─ operations in log form
 *
 * omendb_documents and omendb_hits are query/result.h's.
 *
 * Every public function first asks store_usable() (fork), then its arguments, then whether the
 * collection was dropped.
 *
 * A database that can be written has one store for ever. A read-only one changes it by omendb_refresh():
 *   1. what is entered, and each snapshot, holds the store that it began with; the last one that leaves
 *      an older store closes it;
 *   2. db->opened, the list of handles and what they lead to change together, under db->mutex;
 *   3. a handle whose collection the newest state lacks leads to NULL, and does so for good: ids of
 *      collections don't come back.
 * Lock order: refreshing, mutex, then the store's. Nothing waits for a call that is under way.
 */
#ifndef API_HANDLES_H
#define API_HANDLES_H

#include "api/gate.h"
#include "query/exec.h"
#include "store/batch.h"
#include "store/store.h"

struct
    opened { /* A store, and how many hold it: the database while it is the newest, and others. */
    struct store *store;
    atomic_u32 references;
};

struct omendb {
    struct store *store; /* opened->store. Unless read-only it may be read without a lock. */
    struct opened *opened;
    struct gate gate;
    const struct kernels *kernels;
    bool read_only;
    struct vfs *vfs;
    uint64_t process;
    atomic_u32 interrupts;   /* Of all its stores. */
    struct mutex refreshing; /* One omendb_refresh() at a time. */
    struct mutex mutex;      /* With read_only: see above. */
    omendb_collection *handles;
};

struct omendb_snapshot {
    omendb *db;
    struct opened *opened; /* Held. */
    struct epoch_pin pin;
    uint64_t sequence;
    atomic_u32 references; /* The caller's and one for each collection seen through it. */
    atomic_u32 inside;     /* Reads under way, and 1 until it is destroyed: at 0 the pin goes. */
    atomic_u32 ended;      /* 1: destroyed. */
};

struct omendb_transaction {
    omendb *db;
    struct mutex mutex; /* Every call on it or on what is seen through it. Before the gate. */
    struct epoch_pin pin;
    uint64_t sequence;
    struct overlay overlay;
    atomic_u32 references; /* As a snapshot's. */
    bool ended;
};

struct omendb_collection {
    omendb *db;
    struct collection
        *collection; /* Pinned; NULL: it was dropped before the state that is shown. */
    struct exec_pool pool;
    bool listed; /* In db->handles: omendb_refresh() leads it on. */
    omendb_collection *next, *previous;
    omendb_snapshot *snapshot; /* What it is seen through: one of them, or none. */
    omendb_transaction *transaction;
    struct exec_view view; /* With either. */
    atomic_u64 counted;
};

struct omendb_batch {
    omendb *db;
    struct batch batch;
};

/* A handle for a pinned collection; on failure the pin is given back. NOMEM. */
omendb_status handles_collection(omendb *db, struct collection *pinned, omendb_collection **out,
                                 omendb_error *err);

/* The newest store, held until it is released, which may close it. */
struct opened *handles_hold(omendb *db);
void handles_release_opened(struct opened *opened);

/* Closes the newest store unless it is held still, and shows `newer`, which it takes, by all handles. */
void handles_replace(omendb *db, struct opened *newer);

/* Into and out of db->handles; list with db->mutex held, unlist without. */
void handles_list(omendb_collection *handle);
void handles_unlist(omendb_collection *handle);

/* MISUSE in a forked child. */
omendb_status handles_usable(const omendb *db, omendb_error *err);

/* ARGUMENT (NULL), MISUSE (fork, its snapshot ended), NOT_FOUND (dropped; of what omendb_refresh() may
 * lead on, handles_enter() tells). */
omendb_status handles_check_db(const omendb *db, omendb_error *err);
omendb_status handles_check_collection(const omendb_collection *collection, omendb_error *err);

/* READ_ONLY unless the database can be written; or the collection, which a snapshot's can't. */
omendb_status handles_check_writable(const omendb *db, omendb_error *err);
omendb_status handles_check_unpinned(const omendb_collection *collection, omendb_error *err);

/* References that a collection seen through them holds; NULL is allowed. */
void handles_release_snapshot(omendb_snapshot *snapshot);
void handles_release_transaction(omendb_transaction *transaction);

/* ARGUMENT when a pointer that must be given is NULL; `what` is its name. */
omendb_status handles_check_pointer(const void *pointer, const char *what, omendb_error *err);

/* Ends the text in `buffer` with NUL and gives it away as *out; on failure it is freed. */
omendb_status handles_give_text(struct buffer *buffer, omendb_status status, char **out,
                                omendb_error *err);

/* Who asks, for query/: unless it is one of db->handles. */
static inline struct exec handles_exec(omendb_collection *collection)
{
    const bool newest = collection->snapshot == NULL && collection->transaction == NULL;
    return (struct exec){.store = collection->snapshot != NULL ? collection->snapshot->opened->store
                                                               : collection->db->store,
                         .collection = collection->collection,
                         .kernels = collection->db->kernels,
                         .pool = &collection->pool,
                         .view = newest ? NULL : &collection->view};
}

/* A call on a collection while it runs. */
struct entered {
    struct exec exec;
    struct opened *opened; /* Held, and exec.collection pinned; NULL: nobody can take them away. */
};

/* The same for any collection. What it is seen through is kept until handles_leave(), a transaction for
 * us alone, and so is the state that it leads to. MISUSE: it has ended; NOT_FOUND: dropped. */
omendb_status handles_enter(omendb_collection *collection, struct entered *out, omendb_error *err);
void handles_leave(omendb_collection *collection, struct entered *entered);

/* One reads through it less; or, when it is destroyed, its own share. */
void handles_leave_snapshot(omendb_snapshot *snapshot);

/* Entered, with a transaction: writes the batch in front of its snapshot. */
omendb_status handles_write(omendb_collection *collection, const struct batch *batch,
                            uint64_t *deleted, omendb_error *err);

/* Commits behind the gate, beside others. */
omendb_status handles_commit(omendb *db, const struct batch *batch, omendb_durability durability,
                             uint64_t *sequence, omendb_error *err);

#endif /* API_HANDLES_H */

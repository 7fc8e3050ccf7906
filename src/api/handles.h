/* handles.h - what the public handles hold. Inner to api/.
 *
 *     omendb ─ store, gate, kernels
 *       ▲
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
 */
#ifndef API_HANDLES_H
#define API_HANDLES_H

#include "api/gate.h"
#include "query/exec.h"
#include "store/batch.h"
#include "store/store.h"

struct omendb {
    struct store *store;
    struct gate gate;
    const struct kernels *kernels;
    bool read_only;
};

struct omendb_snapshot {
    omendb *db;
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
    struct collection *collection; /* Pinned. */
    struct exec_pool pool;
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

/* ARGUMENT (NULL), MISUSE (fork, its snapshot ended), NOT_FOUND (dropped). */
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

/* Who asks, for query/. */
static inline struct exec handles_exec(omendb_collection *collection)
{
    const bool newest = collection->snapshot == NULL && collection->transaction == NULL;
    return (struct exec){.store = collection->db->store,
                         .collection = collection->collection,
                         .kernels = collection->db->kernels,
                         .pool = &collection->pool,
                         .view = newest ? NULL : &collection->view};
}

/* The same for a collection that may be seen through something, which is kept until handles_leave(): a
 * transaction for us alone. MISUSE: it has ended. */
omendb_status handles_enter(omendb_collection *collection, struct exec *out, omendb_error *err);
void handles_leave(omendb_collection *collection);

/* One reads through it less; or, when it is destroyed, its own share. */
void handles_leave_snapshot(omendb_snapshot *snapshot);

/* Entered, with a transaction: writes the batch in front of its snapshot. */
omendb_status handles_write(omendb_collection *collection, const struct batch *batch,
                            uint64_t *deleted, omendb_error *err);

/* Commits behind the gate, beside others. */
omendb_status handles_commit(omendb *db, const struct batch *batch, omendb_durability durability,
                             uint64_t *sequence, omendb_error *err);

#endif /* API_HANDLES_H */

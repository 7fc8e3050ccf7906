/* store_inner.h - the inside of `struct store`, for store.c, txn.c, checkpoint.c, recover.c,
 * follow.c, verify.c and host.c. Lock order: indexing -> checkpoint_mutex -> writer -> log -> catalog; index
 * is the last of all. */
#ifndef STORE_STORE_INNER_H
#define STORE_STORE_INNER_H

#include "store/catalog.h"
#include "store/store.h"
#include "store/superblock.h"
#include "store/wal.h"

enum {
    WAL_SIZE_LIMIT = 256 << 20,  /* Log bytes at which writers wait for the checkpoint. */
    IDLE_MARK_MS = 200,          /* Without a commit for so long: cover the last frame. */
    IDLE_CHECKPOINT_MS = 2000,   /* ... and write what changed into the file. */
    INDEX_CHECKPOINT_MS = 30000, /* A long build without commits is written so often. */
    INDEX_GATHER_MS = 5,         /* The index thread wakes at most so often. */
    INDEX_RETRY_MS = 1000,       /* Its pause after a failure. */
    IDLE_CHECKPOINTS_MAX = 12, /* In a row without a commit: unlink, two rotations, moves, again. */
    COMPACT_BUDGET = 8 << 20,  /* Document bytes moved by one checkpoint. */
    SHRINK_BLOCKS_MIN = 32,    /* Gaps of a file up to 2 MiB are left. */
    COMMIT_COLLECTIONS = 4     /* Collections of a batch whose counts need no allocation. */
};

struct commit_count {
    struct collection *collection;
    uint64_t live;
};

/* A batch that waits for the log. Lies on the stack of the thread that commits it. */
struct commit {
    struct wal_batch batch;
    bool sync;
    atomic_u32 done;
    omendb_status status;
    omendb_error error;
    struct commit *next;
    struct commit_count *counts; /* What the collections count once it is visible. */
    uint32_t counts_size;
    struct commit_count counts_inline[COMMIT_COLLECTIONS];
};

struct image {     /* The durable state that replay starts from. */
    uint32_t slot; /* 0 or 1 */
    uint64_t generation, sequence;
    struct wal_position wal;
    struct buffer payload; /* References to catalog blocks, when there are any. */
    uint32_t catalog_refs;
    uint64_t catalog_changes; /* store->catalog_changes in it. */
    uint64_t index_changes;   /* store->index_changes in it. */
    uint64_t reclaims;
    bool clean;
    bool proved; /* Its log segment is there: a damaged newer image would be noticed. */
};

struct store {
    struct store_options options;
    struct vfs *vfs;
    char *path; /* NULL: in memory. */
    bool read_only;
    uint64_t process;
    struct space space;
    struct wal wal;
    uint8_t uuid[16];

    struct mutex checkpoint_mutex; /* One checkpoint at a time. */
    struct mutex writer;           /* Staging: one at a time. */
    struct mutex log;              /* queue, leading, fence text */
    struct mutex catalog;          /* collections */
    struct condition log_changed;  /* A frame was written, or a checkpoint ended. */
    struct condition upkeep_wanted;
    uint32_t locks_made, conditions_made;

    struct commit *queue, **queue_end; /* Staged, not yet in the log. */
    uint32_t queue_count;
    uint32_t last_group;            /* Commits of the group before, */
    uint64_t last_write_ns, groups; /* and what writing it took. */
    atomic_u32 leading;             /* 1: a thread writes frames. Changed under `log`. */
    struct event logged;            /* A group was logged. */
    uint64_t next_sequence;         /* Of the next batch to stage. Writer lock. */
    struct stage stage;             /* Writer lock. */
    struct wal_batch *group;        /* Leader's scratch. */
    size_t group_capacity;

    struct collection **collections; /* Sorted by name. */
    size_t collections_count, collections_capacity;
    struct collection **dropped; /* Their blocks go with the next checkpoint. */
    size_t dropped_count, dropped_capacity;
    uint32_t next_collection_id;
    uint64_t catalog_changes; /* Counts creations, drops, renames. */

    struct image live;           /* The newest durable image. */
    bool settled;                /* It is certainly durable: recover_settle(). Writer lock. */
    atomic_u32 replay_unwritten; /* 1: replayed, but the checkpoint after it failed. */
    uint64_t previous_wal;       /* First segment that the image before it needs. */
    struct buffer last_catalog;  /* Collection records of the live image. */
    uint32_t last_collections;

    atomic_u32 fenced; /* 1: no more writing; the reason is in fence_error. */
    omendb_error fence_error;
    atomic_u32 interrupts_own; /* options.interrupts leads here, or to the caller's. */
    atomic_u64 last_commit_ns;

    /* Work of indexes: host.c. */
    struct mutex indexing;         /* One call of hooks.work at a time; index_cursor. */
    struct mutex index;            /* index_thread, and its sleep. */
    struct condition index_wanted; /* index_pending or index_stopped were set. */
    struct thread index_thread;
    atomic_u32 index_stopped; /* 1: opening or closing. */
    bool index_inline;        /* A commit that is logged works on an index before it returns. */
    atomic_u32 index_pending; /* 1: the thread will look, or is looking. */
    atomic_u32 index_waiters; /* Threads in store_index_wait(). */
    struct event indexed;     /* The work on a collection came to rest, or failed. */
    uint32_t index_cursor;    /* Id of the collection that had the last turn. */
    uint64_t index_changes;   /* Counts host_changed(). Writer lock. */
    atomic_u64 last_index_ns; /* When it was called last. */
    /* What the upkeep thread compares without a lock; written with the image. */
    atomic_u64 image_sequence, image_index_changes, image_ns;
    atomic_u64 index_changes_seen; /* index_changes, for that thread. */

    struct thread upkeep;
    bool upkeep_running, upkeep_stop, checkpoint_wanted;
    uint32_t idle_checkpoints;
    uint64_t room_sequence; /* Of the last attempt to make room on a full disk. Writer lock. */
    uint32_t shrink_moved;  /* Blocks that the last checkpoint moved towards the beginning, */
    uint32_t shrink_taken;  /* and how many were taken when one was last looked for. */
    uint32_t file_blocks;   /* Of the live image. */
    uint64_t checkpoints, checkpoint_ns_last, replayed_batches, undone_batches;
    atomic_u32 commits_waiting; /* For the writer lock: host_lock(). */
    uint64_t commits, upkeep_failures;
    omendb_error upkeep_error; /* Of the last failed background checkpoint, for stats. */
};

/* txn.c */
omendb_status txn_stage(struct store *store, const uint8_t *bytes, size_t size,
                        uint32_t operation_count, uint64_t sequence, omendb_error *err);
void txn_publish(struct store *store, uint64_t sequence);
/* Writer lock held: waits until every staged batch is logged (or the store is fenced). */
void txn_drain(struct store *store);
/* Takes the leader's place while nobody writes frames, and gives it back. */
void txn_lead_begin(struct store *store);
void txn_lead_end(struct store *store);
void store_fence(struct store *store, const omendb_error *reason);
omendb_status store_writable(struct store *store, omendb_error *err);
/* No lock held: also does the checkpoint that must come after a replay, before any writing. */
omendb_status store_writable_settled(struct store *store, omendb_error *err);
/* Logs one catalog operation, with the writer lock held and the queue drained. */
omendb_status txn_log_alone(struct store *store, const struct batch *batch, omendb_error *err);

/* checkpoint.c */
enum checkpoint_kind {
    CHECKPOINT_NORMAL,
    CHECKPOINT_TIGHT, /* The disk is full: an image although nothing changed, so that what the one
                         before holds is given back; gaps are closed and the file is cut. */
    CHECKPOINT_CLOSE
};
omendb_status checkpoint_run(struct store *store, enum checkpoint_kind kind, omendb_error *err);
omendb_status checkpoint_final(struct store *store, omendb_error *err);
/* Notes a failure of background work, for stats. */
void upkeep_note(struct store *store, const omendb_error *error);
void upkeep_main(void *context);

/* host.c. Announces that hooks.work may have something to do; cheap when it was announced already.
 * No lock but `checkpoint_mutex` held. */
void host_wake(struct store *store);
void host_wake_wanted(struct store *store); /* When some collection is marked. */
void host_begin(struct store *store);       /* The end of opening: from here on wakes count. */
void host_stop(struct store *store);        /* Returns when no call of work is under way. */
/* Without threads: one piece at the end of a commit or before closing, and the checkpoint that it
 * asked for. Failures are noted. */
void host_work_inline(struct store *store);

/* recover.c */
omendb_status recover_create(struct store *store, omendb_error *err);
omendb_status recover_open(struct store *store, omendb_error *err);
/* Applies and publishes a batch of the log. `context` is the store. */
omendb_status recover_batch(void *context, const struct wal_batch *batch, omendb_error *err);
/* Before the first change of this process, writer lock held: what the open found may be in the
 * page cache only. */
omendb_status recover_settle(struct store *store, omendb_error *err);
/* Decodes each collection of an image's catalog and gives it, pinned, to each(). `catalog` is filled,
 * `view` shows it. */
omendb_status image_each_collection(
    struct space *space, const struct superblock *superblock, const struct index_hooks *hooks,
    omendb_status (*each)(void *context, struct collection *collection, omendb_error *err),
    void *context, struct buffer *catalog, struct catalog_view *view, omendb_error *err);
/* Calls each() for every block that an image's catalog refers to. */
omendb_status image_each_block(struct space *space, const struct superblock *superblock,
                               omendb_status (*each)(void *context, struct block_ref ref,
                                                     omendb_error *err),
                               void *context, omendb_error *err);

/* store.c */
/* Reads both superblocks of `file` and pins the newest image by a lock of `file`, as a reader does.
 * BUSY: its writer makes one image after the other. */
omendb_status store_pin_newest(struct file *file, const char *path, struct superblock slots[2],
                               omendb_error *err);
struct collection *store_collection_by_id(struct store *store, uint32_t id);
omendb_status store_catalog_apply(struct store *store, const struct operation *op,
                                  uint64_t sequence, omendb_error *err);
omendb_status store_collection_insert(struct store *store, struct collection *collection,
                                      omendb_error *err);

#endif /* STORE_STORE_INNER_H */

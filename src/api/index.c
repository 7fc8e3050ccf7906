/* index.c - how vector fields are searched, and how far the background work on it is. */
#include "api/handles.h"
#include "query/indexes.h"

enum {
    INDEX_LOOK_MS = 10,    /* How often a waiting one looks although nothing came to rest. */
    INDEX_REPORT_MS = 100, /* How often it reports at least, moved or not. */
};

omendb_status omendb_collection_set_index(omendb_collection *collection, const char *field,
                                          omendb_index index, omendb_error *err)
{
    TRY(handles_check_collection(collection, err));
    TRY(handles_check_writable(collection->db, err));
    return indexes_set(collection->db->store, collection->collection, field, index, err);
}

struct waiting {
    omendb_collection *collection;
    omendb_index_progress progress; /* NULL: nobody wants to know. */
    void *context;
    uint32_t interrupts;
    uint64_t deadline_ns, report_ns; /* 0: no deadline. */
    uint64_t indexed;                /* Reported last. */
};

static omendb_status waiting_report(struct waiting *waiting, bool now, omendb_error *err)
{
    uint64_t indexed, total;
    const uint64_t time = store_clock_ns(waiting->collection->db->store);
    if (waiting->progress == NULL) return OMENDB_OK;
    indexes_progress(waiting->collection->collection, &indexed, &total);
    if (!now && indexed == waiting->indexed && time < waiting->report_ns) return OMENDB_OK;
    waiting->indexed = indexed;
    waiting->report_ns = time + (uint64_t)(INDEX_REPORT_MS - 2 * INDEX_LOOK_MS) * 1000000;
    if (waiting->progress(waiting->context, indexed, total) == 0) return OMENDB_OK;
    return fail(err, OMENDB_ERR_INTERRUPTED, "the caller stopped waiting for the index");
}

/* *done: nothing is left. */
static omendb_status waiting_look(struct waiting *waiting, bool *done, omendb_error *err)
{
    struct store *store = waiting->collection->db->store;
    omendb_error cause = {0};
    TRY(handles_check_collection(waiting->collection, err)); /* Dropped meanwhile? */
    const enum store_index_state state = store_index_state(store, waiting->collection->collection,
                                                           &cause);
    if (state == STORE_INDEX_FAILED) return fail(err, cause.status, "index: %.200s", cause.message);
    *done = state == STORE_INDEX_IDLE;
    if (*done) return OMENDB_OK;
    if (store_interrupts(store) != waiting->interrupts)
        return fail(err, OMENDB_ERR_INTERRUPTED, "interrupted while waiting for the index");
    if (waiting->deadline_ns != 0 && store_clock_ns(store) >= waiting->deadline_ns)
        return fail(err, OMENDB_ERR_TIMEOUT, "timeout_ms passed before the index was built");
    return OMENDB_OK;
}

/* The little that a few documents leave is done here, all else by the store's thread. */
static omendb_status waiting_run(struct waiting *waiting, omendb_error *err)
{
    struct store *store = waiting->collection->db->store;
    bool done = false, helping = true;
    for (;;) {
        const uint32_t seen = store_index_seen(store);
        TRY(waiting_look(waiting, &done, err));
        TRY(waiting_report(waiting, done, err));
        if (done) return OMENDB_OK;
        helping = helping && store_index_help(store, waiting->collection->collection);
        if (!helping) store_index_wait(store, seen, INDEX_LOOK_MS);
    }
}

omendb_status omendb_collection_wait_indexed(omendb_collection *collection, uint32_t timeout_ms,
                                             omendb_index_progress progress, void *context,
                                             omendb_error *err)
{
    TRY(handles_check_collection(collection, err));
    TRY(handles_check_writable(collection->db, err));
    struct store *store = collection->db->store;
    struct waiting waiting = {.collection = collection,
                              .progress = progress,
                              .context = context,
                              .interrupts = store_interrupts(store)};
    if (timeout_ms != 0)
        waiting.deadline_ns = store_clock_ns(store) + (uint64_t)timeout_ms * 1000000;
    TRY(waiting_report(&waiting, true, err));
    return waiting_run(&waiting, err);
}

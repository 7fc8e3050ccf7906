#include "api/handles.h"

#include "base/alloc.h"

omendb_status handles_collection(omendb *db, struct collection *pinned, omendb_collection **out,
                                 omendb_error *err)
{
    omendb_collection *handle = alloc_zeroed(1, sizeof *handle);
    if (handle == NULL) {
        collection_unpin(pinned);
        return fail(err, OMENDB_ERR_NOMEM, "out of memory: collection handle");
    }
    handle->db = db;
    handle->collection = pinned;
    *out = handle;
    return OMENDB_OK;
}

/* ---- The store, which a refresh replaces ---- */

void handles_list(omendb_collection *handle)
{
    omendb *db = handle->db;
    handle->listed = true;
    handle->next = db->handles;
    if (handle->next != NULL) handle->next->previous = handle;
    db->handles = handle;
}

void handles_unlist(omendb_collection *handle)
{
    omendb *db = handle->db;
    mutex_lock(&db->mutex);
    if (handle->next != NULL) handle->next->previous = handle->previous;
    if (handle->previous != NULL) handle->previous->next = handle->next;
    else db->handles = handle->next;
    mutex_unlock(&db->mutex);
}

struct opened *handles_hold(omendb *db)
{
    if (db->read_only) mutex_lock(&db->mutex);
    struct opened *opened = db->opened;
    (void)atomic_add_u32(&opened->references, 1);
    if (db->read_only) mutex_unlock(&db->mutex);
    return opened;
}

void handles_release_opened(struct opened *opened)
{
    if (opened == NULL || atomic_sub_u32(&opened->references, 1) != 1) return;
    (void)store_close(opened->store, NULL); /* Read-only: there is nothing that could fail. */
    alloc_free(opened);
}

void handles_replace(omendb *db, struct opened *newer)
{
    mutex_lock(&db->mutex);
    struct opened *older = db->opened;
    for (omendb_collection *handle = db->handles; handle != NULL; handle = handle->next) {
        struct collection *before = handle->collection;
        if (before == NULL) continue;
        handle->collection = store_collection_find(newer->store, before->id);
        collection_unpin(
            before); /* Never the last pin: its store has one, and we have the store. */
    }
    db->opened = newer;
    db->store = newer->store;
    mutex_unlock(&db->mutex);
    handles_release_opened(older);
}

omendb_status handles_check_db(const omendb *db, omendb_error *err)
{
    TRY(handles_check_pointer(db, "db", err));
    return handles_usable(db, err);
}

omendb_status handles_usable(const omendb *db, omendb_error *err)
{
    if (db->process == db->vfs->ops->process_id(db->vfs)) return OMENDB_OK;
    return fail(err, OMENDB_ERR_MISUSE,
                "the database was opened by the parent process: open it again in the child");
}

static omendb_status handles_check_dropped(const struct collection *collection, omendb_error *err)
{
    if (collection != NULL && atomic_load_acquire_u32(&collection->dropped) == 0) return OMENDB_OK;
    return fail(err, OMENDB_ERR_NOT_FOUND, "the collection was dropped");
}

omendb_status handles_check_collection(const omendb_collection *collection, omendb_error *err)
{
    TRY(handles_check_pointer(collection, "collection", err));
    TRY(handles_usable(collection->db, err));
    if (collection->snapshot != NULL && atomic_load_acquire_u32(&collection->snapshot->ended) != 0)
        return fail(err, OMENDB_ERR_MISUSE, "the snapshot was destroyed");
    return collection->listed ? OMENDB_OK : handles_check_dropped(collection->collection, err);
}

omendb_status handles_check_unpinned(const omendb_collection *collection, omendb_error *err)
{
    if (collection->transaction == NULL) TRY(handles_check_writable(collection->db, err));
    if (collection->snapshot == NULL) return OMENDB_OK;
    return fail(err, OMENDB_ERR_READ_ONLY, "a snapshot can't be written");
}

void handles_release_snapshot(omendb_snapshot *snapshot)
{
    if (snapshot == NULL || atomic_sub_u32(&snapshot->references, 1) != 1) return;
    handles_release_opened(snapshot->opened);
    alloc_free(snapshot);
}

omendb_status handles_check_writable(const omendb *db, omendb_error *err)
{
    if (!db->read_only) return OMENDB_OK;
    return fail(err, OMENDB_ERR_READ_ONLY, "the database was opened read-only");
}

omendb_status handles_check_pointer(const void *pointer, const char *what, omendb_error *err)
{
    if (pointer != NULL) return OMENDB_OK;
    return fail(err, OMENDB_ERR_ARGUMENT, "%s is NULL", what);
}

omendb_status handles_give_text(struct buffer *buffer, omendb_status status, char **out,
                                omendb_error *err)
{
    if (status == OMENDB_OK) status = buffer_append_zeros(buffer, 1, err);
    if (status != OMENDB_OK) {
        buffer_deinit(buffer);
        return status;
    }
    *out = (char *)buffer->data;
    return OMENDB_OK;
}

void handles_release_transaction(omendb_transaction *transaction)
{
    if (transaction == NULL || atomic_sub_u32(&transaction->references, 1) != 1) return;
    mutex_deinit(&transaction->mutex);
    alloc_free(transaction);
}

/* A snapshot that is destroyed meanwhile holds its versions until we have left. */
static omendb_status handles_enter_snapshot(omendb_snapshot *snapshot, omendb_error *err)
{
    uint32_t inside = atomic_load_relaxed_u32(&snapshot->inside);
    while (inside != 0)
        if (atomic_swap_if_u32(&snapshot->inside, &inside, inside + 1)) return OMENDB_OK;
    return fail(err, OMENDB_ERR_MISUSE, "the snapshot was destroyed");
}

void handles_leave_snapshot(omendb_snapshot *snapshot)
{
    if (atomic_sub_u32(&snapshot->inside, 1) == 1)
        store_unpin(snapshot->opened->store, &snapshot->pin);
}

/* The state that it leads to now stays, whatever is refreshed meanwhile. */
static omendb_status handles_enter_listed(omendb_collection *collection, struct entered *out,
                                          omendb_error *err)
{
    omendb *db = collection->db;
    mutex_lock(&db->mutex);
    struct collection *now = collection->collection;
    const omendb_status status = handles_check_dropped(now, err);
    if (status == OMENDB_OK) {
        collection_pin(now);
        (void)atomic_add_u32(&db->opened->references, 1);
        out->opened = db->opened;
        out->exec = (struct exec){.store = db->store,
                                  .collection = now,
                                  .kernels = db->kernels,
                                  .pool = &collection->pool};
    }
    mutex_unlock(&db->mutex);
    return status;
}

omendb_status handles_enter(omendb_collection *collection, struct entered *out, omendb_error *err)
{
    omendb_transaction *transaction = collection->transaction;
    out->opened = NULL;
    if (collection->listed) return handles_enter_listed(collection, out, err);
    out->exec = handles_exec(collection);
    if (collection->snapshot != NULL) return handles_enter_snapshot(collection->snapshot, err);
    if (transaction == NULL) return OMENDB_OK;
    mutex_lock(&transaction->mutex);
    if (!transaction->ended) return OMENDB_OK;
    mutex_unlock(&transaction->mutex);
    return fail(err, OMENDB_ERR_MISUSE, "the transaction has ended");
}

void handles_leave(omendb_collection *collection, struct entered *entered)
{
    if (entered->opened != NULL) {
        collection_unpin(entered->exec.collection);
        handles_release_opened(entered->opened);
    }
    if (collection->transaction != NULL) mutex_unlock(&collection->transaction->mutex);
    if (collection->snapshot != NULL) handles_leave_snapshot(collection->snapshot);
}

omendb_status handles_write(omendb_collection *collection, const struct batch *batch,
                            uint64_t *deleted, omendb_error *err)
{
    omendb_transaction *transaction = collection->transaction;
    struct store *store = collection->db->store;
    struct snapshot snapshot;
    TRY(store_enter(store, &snapshot, err));
    snapshot.sequence = transaction->sequence;
    const omendb_status status = overlay_write(&transaction->overlay, collection->collection,
                                               &snapshot, batch, deleted, err);
    store_leave(&snapshot);
    return status;
}

omendb_status handles_commit(omendb *db, const struct batch *batch, omendb_durability durability,
                             uint64_t *sequence, omendb_error *err)
{
    TRY(gate_enter(&db->gate, db->store, false, err));
    const omendb_status status = store_commit(db->store, batch, durability, sequence, err);
    gate_leave(&db->gate, false);
    return status;
}

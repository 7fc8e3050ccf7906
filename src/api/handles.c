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

omendb_status handles_check_db(const omendb *db, omendb_error *err)
{
    TRY(handles_check_pointer(db, "db", err));
    return store_usable(db->store, err);
}

omendb_status handles_check_collection(const omendb_collection *collection, omendb_error *err)
{
    TRY(handles_check_pointer(collection, "collection", err));
    TRY(store_usable(collection->db->store, err));
    if (collection->snapshot != NULL && atomic_load_acquire_u32(&collection->snapshot->ended) != 0)
        return fail(err, OMENDB_ERR_MISUSE, "the snapshot was destroyed");
    if (atomic_load_acquire_u32(&collection->collection->dropped) == 0) return OMENDB_OK;
    return fail(err, OMENDB_ERR_NOT_FOUND, "the collection was dropped");
}

omendb_status handles_check_unpinned(const omendb_collection *collection, omendb_error *err)
{
    if (collection->transaction == NULL) TRY(handles_check_writable(collection->db, err));
    if (collection->snapshot == NULL) return OMENDB_OK;
    return fail(err, OMENDB_ERR_READ_ONLY, "a snapshot can't be written");
}

void handles_release_snapshot(omendb_snapshot *snapshot)
{
    if (snapshot != NULL && atomic_sub_u32(&snapshot->references, 1) == 1) alloc_free(snapshot);
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
    if (atomic_sub_u32(&snapshot->inside, 1) == 1) store_unpin(snapshot->db->store, &snapshot->pin);
}

omendb_status handles_enter(omendb_collection *collection, struct exec *out, omendb_error *err)
{
    omendb_transaction *transaction = collection->transaction;
    *out = handles_exec(collection);
    if (collection->snapshot != NULL) return handles_enter_snapshot(collection->snapshot, err);
    if (transaction == NULL) return OMENDB_OK;
    mutex_lock(&transaction->mutex);
    if (!transaction->ended) return OMENDB_OK;
    mutex_unlock(&transaction->mutex);
    return fail(err, OMENDB_ERR_MISUSE, "the transaction has ended");
}

void handles_leave(omendb_collection *collection)
{
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

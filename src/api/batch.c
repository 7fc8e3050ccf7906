/* batch.c - writing: upserts, deletes, batches over several collections. */
#include "api/handles.h"
#include "base/alloc.h"
#include "query/write.h"

/* What was made of the caller's rows: into the transaction, or committed. */
static omendb_status batch_finish(omendb_collection *collection, const struct batch *batch,
                                  uint64_t *deleted, omendb_error *err)
{
    struct entered in;
    if (batch->operation_count == 0) return OMENDB_OK;
    if (collection->transaction == NULL)
        return handles_commit(collection->db, batch, OMENDB_DURABILITY_DEFAULT, NULL, err);
    TRY(handles_enter(collection, &in, err));
    const omendb_status status = handles_write(collection, batch, deleted, err);
    handles_leave(collection, &in);
    return status;
}

omendb_status omendb_collection_upsert(omendb_collection *collection, const omendb_rows *rows,
                                       omendb_error *err)
{
    struct batch batch = {0};
    TRY(handles_check_collection(collection, err));
    TRY(handles_check_pointer(rows, "rows", err));
    TRY(handles_check_unpinned(collection, err));
    omendb_status status = write_rows(&batch, collection->db->kernels, collection->collection, rows,
                                      err);
    if (status == OMENDB_OK) status = batch_finish(collection, &batch, NULL, err);
    batch_deinit(&batch);
    return status;
}

/* Deletes and counts behind the closed gate, so that the count is what this batch deleted. */
static omendb_status delete_counted(omendb_collection *collection, const struct batch *batch,
                                    const omendb_id *ids, size_t count, uint64_t *deleted,
                                    omendb_error *err)
{
    omendb *db = collection->db;
    const struct exec exec = handles_exec(collection);
    uint64_t existing = 0;
    TRY(gate_enter(&db->gate, db->store, true, err));
    omendb_status status = exec_count_ids(&exec, ids, count, &existing, err);
    if (status == OMENDB_OK)
        status = store_commit(db->store, batch, OMENDB_DURABILITY_DEFAULT, NULL, err);
    gate_leave(&db->gate, true);
    if (status == OMENDB_OK) *deleted = existing;
    return status;
}

omendb_status omendb_collection_delete(omendb_collection *collection, const omendb_id *ids,
                                       size_t count, uint64_t *deleted, omendb_error *err)
{
    struct batch batch = {0};
    TRY(handles_check_collection(collection, err));
    TRY(handles_check_unpinned(collection, err));
    omendb_status status = write_deletes(&batch, collection->collection, ids, NULL, count, err);
    if (status == OMENDB_OK && count == 0 && deleted != NULL) *deleted = 0;
    else if (status == OMENDB_OK && deleted != NULL && collection->transaction == NULL)
        status = delete_counted(collection, &batch, ids, count, deleted, err);
    else if (status == OMENDB_OK) status = batch_finish(collection, &batch, deleted, err);
    batch_deinit(&batch);
    return status;
}

omendb_status omendb_collection_delete_if_version(omendb_collection *collection,
                                                  const omendb_id *ids, const uint64_t *versions,
                                                  size_t count, omendb_error *err)
{
    struct batch batch = {0};
    TRY(handles_check_collection(collection, err));
    if (count != 0) TRY(handles_check_pointer(versions, "versions", err));
    TRY(handles_check_unpinned(collection, err));
    omendb_status status = write_deletes(&batch, collection->collection, ids, versions, count, err);
    if (status == OMENDB_OK) status = batch_finish(collection, &batch, NULL, err);
    batch_deinit(&batch);
    return status;
}

/* In a transaction nobody comes between what it sees and what it deletes. */
static omendb_status delete_where_seen(omendb_collection *collection, const char *filter,
                                       size_t filter_size, uint64_t *count, omendb_error *err)
{
    struct batch batch = {0};
    struct entered in;
    TRY(handles_enter(collection, &in, err));
    omendb_status status = exec_delete_where(&in.exec, filter, filter_size, &batch, count, err);
    if (status == OMENDB_OK && *count != 0) status = handles_write(collection, &batch, NULL, err);
    handles_leave(collection, &in);
    batch_deinit(&batch);
    return status;
}

static omendb_status delete_where_alone(omendb_collection *collection, const char *filter,
                                        size_t filter_size, uint64_t *count, omendb_error *err)
{
    struct batch batch = {0};
    omendb *db = collection->db;
    const struct exec exec = handles_exec(collection);
    TRY(gate_enter(&db->gate, db->store, true, err));
    omendb_status status = exec_delete_where(&exec, filter, filter_size, &batch, count, err);
    if (status == OMENDB_OK && *count != 0)
        status = store_commit(db->store, &batch, OMENDB_DURABILITY_DEFAULT, NULL, err);
    gate_leave(&db->gate, true);
    batch_deinit(&batch);
    return status;
}

omendb_status omendb_collection_delete_where(omendb_collection *collection, const char *filter,
                                             size_t filter_size, uint64_t *deleted,
                                             omendb_error *err)
{
    uint64_t count = 0;
    TRY(handles_check_collection(collection, err));
    TRY(handles_check_pointer(filter, "filter ({} deletes all)", err));
    TRY(handles_check_unpinned(collection, err));
    if (collection->transaction != NULL)
        TRY(delete_where_seen(collection, filter, filter_size, &count, err));
    else TRY(delete_where_alone(collection, filter, filter_size, &count, err));
    if (deleted != NULL) *deleted = count;
    return OMENDB_OK;
}

omendb_status omendb_batch_create(omendb *db, omendb_batch **out, omendb_error *err)
{
    TRY(handles_check_db(db, err));
    TRY(handles_check_pointer(out, "out", err));
    TRY(handles_check_writable(db, err));
    omendb_batch *batch = alloc_zeroed(1, sizeof *batch);
    if (batch == NULL) return fail(err, OMENDB_ERR_NOMEM, "out of memory: batch");
    batch->db = db;
    *out = batch;
    return OMENDB_OK;
}

static omendb_status check_pair(const omendb_batch *batch, const omendb_collection *collection,
                                omendb_error *err)
{
    TRY(handles_check_pointer(batch, "batch", err));
    TRY(handles_check_collection(collection, err));
    if (batch->db != collection->db)
        return fail(err, OMENDB_ERR_ARGUMENT, "batch and collection belong to different databases");
    if (collection->transaction != NULL)
        return fail(err, OMENDB_ERR_ARGUMENT, "batch: the collection is a transaction's");
    return handles_check_unpinned(collection, err);
}

omendb_status omendb_batch_upsert(omendb_batch *batch, omendb_collection *collection,
                                  const omendb_rows *rows, omendb_error *err)
{
    TRY(check_pair(batch, collection, err));
    TRY(handles_check_pointer(rows, "rows", err));
    return write_rows(&batch->batch, batch->db->kernels, collection->collection, rows, err);
}

omendb_status omendb_batch_delete(omendb_batch *batch, omendb_collection *collection,
                                  const omendb_id *ids, size_t count, omendb_error *err)
{
    TRY(check_pair(batch, collection, err));
    return write_deletes(&batch->batch, collection->collection, ids, NULL, count, err);
}

/* An empty batch changes nothing: its place in the order is that of the newest one. */
static omendb_status newest_sequence(omendb *db, uint64_t *sequence, omendb_error *err)
{
    struct snapshot snapshot;
    if (sequence == NULL) return OMENDB_OK;
    TRY(store_enter(db->store, &snapshot, err));
    *sequence = snapshot.sequence;
    store_leave(&snapshot);
    return OMENDB_OK;
}

omendb_status omendb_batch_commit(omendb_batch *batch, omendb_durability durability,
                                  uint64_t *sequence, omendb_error *err)
{
    TRY(handles_check_pointer(batch, "batch", err));
    TRY(handles_check_db(batch->db, err));
    if (durability > OMENDB_DURABILITY_NONE)
        return fail(err, OMENDB_ERR_ARGUMENT, "batch: unknown durability %u", durability);
    if (batch->batch.operation_count == 0) return newest_sequence(batch->db, sequence, err);
    TRY(handles_commit(batch->db, &batch->batch, durability, sequence, err));
    batch_clear(&batch->batch);
    return OMENDB_OK;
}

void omendb_batch_destroy(omendb_batch *batch)
{
    if (batch == NULL) return;
    batch_deinit(&batch->batch);
    alloc_free(batch);
}

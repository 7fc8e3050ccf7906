/* snapshot.c - the state of one moment, kept for long. */
#include "api/handles.h"
#include "base/alloc.h"

omendb_status omendb_snapshot_create(omendb *db, omendb_snapshot **out, omendb_error *err)
{
    TRY(handles_check_db(db, err));
    TRY(handles_check_pointer(out, "out", err));
    omendb_snapshot *snapshot = alloc_zeroed(1, sizeof *snapshot);
    if (snapshot == NULL) return fail(err, OMENDB_ERR_NOMEM, "out of memory: snapshot");
    snapshot->db = db;
    atomic_store_relaxed_u32(&snapshot->references, 1);
    atomic_store_relaxed_u32(&snapshot->inside, 1);
    snapshot->opened = handles_hold(db);
    const omendb_status status = store_pin(snapshot->opened->store, &snapshot->pin, err);
    if (status != OMENDB_OK) {
        handles_release_opened(snapshot->opened);
        alloc_free(snapshot);
        return status;
    }
    snapshot->sequence = snapshot->pin.sequence;
    *out = snapshot;
    return OMENDB_OK;
}

uint64_t omendb_snapshot_sequence(const omendb_snapshot *snapshot)
{
    return snapshot != NULL ? snapshot->sequence : 0;
}

/* The collection in the store that the snapshot is of, pinned: the handle may lead to a newer one. */
static omendb_status find_seen(omendb_snapshot *snapshot, omendb_collection *collection,
                               struct collection **out, omendb_error *err)
{
    struct entered in;
    TRY(handles_enter(collection, &in, err));
    *out = in.exec.collection;
    if (in.exec.store == snapshot->opened->store) collection_pin(*out);
    else *out = store_collection_find(snapshot->opened->store, in.exec.collection->id);
    handles_leave(collection, &in);
    if (*out != NULL) return OMENDB_OK;
    return fail(err, OMENDB_ERR_NOT_FOUND, "the collection was made after the snapshot");
}

omendb_status omendb_snapshot_collection(omendb_snapshot *snapshot, omendb_collection *collection,
                                         omendb_collection **out, omendb_error *err)
{
    omendb_collection *seen = NULL;
    struct collection *found = NULL;
    TRY(handles_check_pointer(snapshot, "snapshot", err));
    TRY(handles_check_collection(collection, err));
    TRY(handles_check_pointer(out, "out", err));
    if (snapshot->db != collection->db)
        return fail(err, OMENDB_ERR_ARGUMENT,
                    "snapshot and collection belong to different databases");
    TRY(find_seen(snapshot, collection, &found, err));
    TRY(handles_collection(snapshot->db, found, &seen, err));
    (void)atomic_add_u32(&snapshot->references, 1);
    seen->snapshot = snapshot;
    seen->view = (struct exec_view){.sequence = snapshot->sequence, .counted = &seen->counted};
    atomic_store_relaxed_u64(&seen->counted, EXEC_NOT_COUNTED);
    *out = seen;
    return OMENDB_OK;
}

void omendb_snapshot_destroy(omendb_snapshot *snapshot)
{
    /* A forked child's copy refers to what is its parent's. */
    if (snapshot == NULL || handles_usable(snapshot->db, NULL) != OMENDB_OK) return;
    atomic_store_release_u32(&snapshot->ended, 1); /* with handles_check_collection() */
    handles_leave_snapshot(snapshot);
    handles_release_snapshot(snapshot);
}

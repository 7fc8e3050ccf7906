/* collection.c - making, opening, listing collections. */
#include <string.h>

#include "api/handles.h"
#include "base/alloc.h"
#include "doc/json.h"
#include "query/indexes.h"

omendb_status omendb_collection_create(omendb *db, const char *name, const omendb_schema *schema,
                                       omendb_collection **out, omendb_error *err)
{
    struct schema *taken = NULL;
    struct collection *collection = NULL;
    TRY(handles_check_db(db, err));
    TRY(handles_check_pointer(name, "name", err));
    TRY(handles_check_writable(db, err));
    TRY(schema_check_name("collection", name, err));
    TRY(schema_create(schema, &taken, err));
    omendb_status status = indexes_check(taken, err);
    if (status != OMENDB_OK) {
        schema_destroy(taken);
        return status;
    }
    /* The handle comes first: a collection that was made can't be taken back. */
    omendb_collection *handle = alloc_zeroed(1, sizeof *handle);
    if (handle == NULL) {
        schema_destroy(taken);
        return fail(err, OMENDB_ERR_NOMEM, "out of memory: collection handle");
    }
    status = store_collection_create(db->store, name, taken, &collection, err);
    if (status != OMENDB_OK) {
        alloc_free(handle);
        return status;
    }
    *handle = (omendb_collection){.db = db, .collection = collection};
    if (out != NULL) *out = handle;
    else omendb_collection_close(handle);
    return OMENDB_OK;
}

omendb_status omendb_collection_open(omendb *db, const char *name, omendb_collection **out,
                                     omendb_error *err)
{
    struct collection *collection = NULL;
    omendb_collection *handle = NULL;
    TRY(handles_check_db(db, err));
    TRY(handles_check_pointer(name, "name", err));
    TRY(handles_check_pointer(out, "out", err));
    if (db->read_only) mutex_lock(&db->mutex); /* A refresh leads all handles on, or finds ours. */
    omendb_status status = store_collection_open(db->store, name, &collection, err);
    if (status == OMENDB_OK) status = handles_collection(db, collection, &handle, err);
    if (status == OMENDB_OK && db->read_only) handles_list(handle);
    if (db->read_only) mutex_unlock(&db->mutex);
    if (status == OMENDB_OK) *out = handle;
    return status;
}

void omendb_collection_close(omendb_collection *collection)
{
    if (collection == NULL || handles_usable(collection->db, NULL) != OMENDB_OK) return;
    if (collection->listed) handles_unlist(collection);
    exec_pool_deinit(&collection->pool);
    if (collection->collection != NULL) collection_unpin(collection->collection);
    handles_release_snapshot(collection->snapshot);
    handles_release_transaction(collection->transaction);
    alloc_free(collection);
}

omendb_status omendb_collection_drop(omendb *db, const char *name, omendb_error *err)
{
    TRY(handles_check_db(db, err));
    TRY(handles_check_pointer(name, "name", err));
    TRY(handles_check_writable(db, err));
    return store_collection_drop(db->store, name, err);
}

omendb_status omendb_collection_rename(omendb *db, const char *name, const char *new_name,
                                       omendb_error *err)
{
    TRY(handles_check_db(db, err));
    TRY(handles_check_pointer(name, "name", err));
    TRY(handles_check_pointer(new_name, "new_name", err));
    TRY(handles_check_writable(db, err));
    TRY(schema_check_name("collection", new_name, err));
    return store_collection_rename(db->store, name, new_name, err);
}

static omendb_status describe(struct buffer *text, struct collection *collection, const char *name,
                              omendb_error *err)
{
    TRY(buffer_append_text(text, "{\"name\":", err));
    TRY(json_append_string(text, name, strlen(name), err));
    TRY(buffer_append_format(
        text, err, ",\"count\":%llu,",
        (unsigned long long)atomic_load_acquire_u64(&collection->published_count)));
    omendb_index indexes[OMENDB_VECTOR_FIELDS_MAX];
    for (uint32_t i = 0; i < collection->schema->vectors_count; i++)
        indexes[i] = indexes_get(collection, i);
    TRY(schema_describe(collection->schema, indexes, text, err));
    return buffer_append_text(text, "}", err);
}

static omendb_status list_add(void *context, struct collection *collection, const char *name,
                              omendb_error *err)
{
    struct buffer *text = context;
    if (text->size > 1) TRY(buffer_append_text(text, ",", err));
    return describe(text, collection, name, err);
}

static omendb_status list_all(struct store *store, struct buffer *text, omendb_error *err)
{
    TRY(buffer_append_text(text, "[", err));
    TRY(store_collections(store, list_add, text, err));
    return buffer_append_text(text, "]", err);
}

omendb_status omendb_collection_list(omendb *db, char **out, omendb_error *err)
{
    struct buffer text = {0};
    TRY(handles_check_db(db, err));
    TRY(handles_check_pointer(out, "out", err));
    struct opened *opened = handles_hold(db);
    const omendb_status status = list_all(opened->store, &text, err);
    handles_release_opened(opened);
    return handles_give_text(&text, status, out, err);
}

omendb_status omendb_collection_describe(omendb_collection *collection, char **out,
                                         omendb_error *err)
{
    char name[OMENDB_NAME_SIZE_MAX + 1];
    struct buffer text = {0};
    TRY(handles_check_collection(collection, err));
    TRY(handles_check_pointer(out, "out", err));
    struct entered in;
    TRY(handles_enter(collection, &in, err));
    store_collection_name(in.exec.store, in.exec.collection, name);
    const omendb_status status = describe(&text, in.exec.collection, name, err);
    handles_leave(collection, &in);
    return handles_give_text(&text, status, out, err);
}

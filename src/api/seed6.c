/* seed6.c - the six functions OmenDB began with: one collection in the process, in memory.
 *
 *     names    id text        -> {"o": ordinal}
 *     vectors  ordinal number -> vector
 *
 * Two collections of an ordinary database at ":memory:". A vector's id is its ordinal, so ties come
 * in the order of insertion. Both are written in one batch; the ordinal is taken from `count` under
 * the mutex, and nothing is ever deleted but all at once, so ordinals have no gaps.
 *
 * The only global state of the library.
 */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "api/handles.h"
#include "base/alloc.h"

struct seed_database {
    omendb *db; /* NULL: omendb_init() wasn't called. */
    omendb_collection *names, *vectors;
    omendb_batch *batch;
    uint32_t dimension;
    uint32_t count;
};

static struct seed_state {
    struct mutex mutex; /* Guards all that follows. */
    struct seed_database now;
    uint64_t *ids; /* Of a search; [ids_capacity] */
    size_t ids_capacity;
} seed = {.mutex = {PTHREAD_MUTEX_INITIALIZER}};

static void seed_close(struct seed_database *database)
{
    /* After fork() all of it belongs to the parent; the handles are left alone then. */
    if (database->db == NULL || store_usable(database->db->store, NULL) != OMENDB_OK) return;
    omendb_batch_destroy(database->batch);
    omendb_collection_close(database->names);
    omendb_collection_close(database->vectors);
    (void)omendb_close(database->db, NULL);
}

static omendb_status seed_open(uint32_t dimension, struct seed_database *out)
{
    omendb_vector_field field = OMENDB_VECTOR_FIELD_INIT;
    omendb_schema schema = OMENDB_SCHEMA_INIT;
    field.name = "v";
    field.dim = dimension;
    schema.vectors = &field;
    schema.vectors_count = 1;
    out->dimension = dimension;
    TRY(omendb_open(":memory:", NULL, &out->db, NULL));
    TRY(omendb_collection_create(out->db, "names", NULL, &out->names, NULL));
    TRY(omendb_collection_create(out->db, "vectors", &schema, &out->vectors, NULL));
    return omendb_batch_create(out->db, &out->batch, NULL);
}

/* On failure what was there stays. */
static omendb_status seed_reset(uint32_t dimension)
{
    struct seed_database fresh = {0};
    const omendb_status status = seed_open(dimension, &fresh);
    if (status != OMENDB_OK) {
        seed_close(&fresh);
        return status;
    }
    seed_close(&seed.now);
    seed.now = fresh;
    return OMENDB_OK;
}

/* The ordinal of an id; *known = false: it has none yet. */
static omendb_status seed_ordinal(const omendb_id *id, uint64_t *ordinal, bool *known)
{
    omendb_documents *documents = NULL;
    omendb_document document;
    TRY(omendb_collection_get(seed.now.names, id, 1, OMENDB_WITH_DOCUMENTS, &documents, NULL));
    omendb_documents_entry(documents, 0, &document);
    *known = document.found != 0;
    *ordinal = 0;
    for (size_t i = 0; *known && i < document.json_size; i++) { /* {"o":123} */
        const char digit = document.json_view[i];
        if (digit >= '0' && digit <= '9') *ordinal = *ordinal * 10 + (uint64_t)(digit - '0');
    }
    omendb_documents_destroy(documents);
    return OMENDB_OK;
}

static omendb_status seed_write(const omendb_id *id, uint64_t ordinal, bool known,
                                const float *vector)
{
    omendb_rows rows = OMENDB_ROWS_INIT;
    omendb_vectors column = OMENDB_VECTORS_INIT;
    column.data = vector;
    column.dim = seed.now.dimension;
    rows.count = 1;
    rows.id_numbers = &ordinal;
    rows.vectors = &column;
    rows.vectors_count = 1;
    TRY(omendb_batch_upsert(seed.now.batch, seed.now.vectors, &rows, NULL));
    if (!known) {
        char json[32];
        const int length = snprintf(json, sizeof json, "{\"o\":%llu}", (unsigned long long)ordinal);
        const uint64_t offsets[2] = {0, (uint64_t)length};
        omendb_rows name = OMENDB_ROWS_INIT;
        name.count = 1;
        name.ids = id;
        name.json = json;
        name.json_offsets = offsets;
        TRY(omendb_batch_upsert(seed.now.batch, seed.now.names, &name, NULL));
    }
    return omendb_batch_commit(seed.now.batch, OMENDB_DURABILITY_NONE, NULL, NULL);
}

static omendb_status seed_add(const omendb_id *id, const float *vector)
{
    uint64_t ordinal = 0;
    bool known = false;
    TRY(store_usable(seed.now.db->store, NULL));
    TRY(seed_ordinal(id, &ordinal, &known));
    if (!known) ordinal = seed.now.count;
    if (!known && seed.now.count == INT32_MAX) return OMENDB_ERR_FULL;
    const omendb_status status = seed_write(id, ordinal, known, vector);
    if (status != OMENDB_OK) batch_clear(&seed.now.batch->batch);
    if (status == OMENDB_OK && !known) seed.now.count++;
    return status;
}

static int seed_search(const float *query, uint32_t k, int *result_ids, float *result_distances)
{
    omendb_search_params params = OMENDB_SEARCH_PARAMS_INIT;
    const struct exec exec = handles_exec(seed.now.vectors);
    uint32_t found = 0;
    TRY(store_usable(seed.now.db->store, NULL));
    if (!alloc_grow(&seed.ids, &seed.ids_capacity, k, sizeof *seed.ids)) return OMENDB_ERR_NOMEM;
    params.queries = query;
    params.query_count = 1;
    params.dim = seed.now.dimension;
    params.k = k;
    TRY(exec_search_numbers(&exec, &params, seed.ids, result_distances, NULL, &found, NULL));
    for (uint32_t i = 0; i < found; i++) result_ids[i] = (int)seed.ids[i];
    return (int)found;
}

int omendb_init(int dimension)
{
    if (dimension < 1 || dimension > (int)OMENDB_DIM_MAX) return OMENDB_ERR_ARGUMENT;
    mutex_lock(&seed.mutex);
    const omendb_status status = seed_reset((uint32_t)dimension);
    mutex_unlock(&seed.mutex);
    return status;
}

int omendb_add(const char *id_ptr, int id_len, const float *vector_ptr, int dimension)
{
    if (id_ptr == NULL || vector_ptr == NULL || id_len < 1 || id_len > (int)OMENDB_ID_SIZE_MAX)
        return OMENDB_ERR_ARGUMENT;
    const omendb_id id = {.text_view = id_ptr, .size = (size_t)id_len};
    omendb_status status = OMENDB_OK;
    mutex_lock(&seed.mutex);
    if (seed.now.db == NULL) status = OMENDB_ERR_ARGUMENT;
    else if (dimension < 0 || (uint32_t)dimension != seed.now.dimension)
        status = OMENDB_ERR_DIMENSION;
    else status = seed_add(&id, vector_ptr);
    mutex_unlock(&seed.mutex);
    return status;
}

int omendb_search(const float *query_ptr, int k, int *result_ids, float *result_distances)
{
    if (query_ptr == NULL || result_ids == NULL || result_distances == NULL || k < 1)
        return OMENDB_ERR_ARGUMENT;
    int found = 0;
    mutex_lock(&seed.mutex);
    const uint32_t wanted = (uint32_t)k < seed.now.count ? (uint32_t)k : seed.now.count;
    if (seed.now.db == NULL || wanted > OMENDB_K_MAX) found = OMENDB_ERR_ARGUMENT;
    else found = seed_search(query_ptr, wanted != 0 ? wanted : 1, result_ids, result_distances);
    mutex_unlock(&seed.mutex);
    return found;
}

int omendb_clear(void)
{
    omendb_status status = OMENDB_OK;
    mutex_lock(&seed.mutex);
    if (seed.now.db != NULL && seed.now.count != 0) status = seed_reset(seed.now.dimension);
    mutex_unlock(&seed.mutex);
    return status;
}

int omendb_count(void)
{
    mutex_lock(&seed.mutex);
    const int count = (int)seed.now.count;
    mutex_unlock(&seed.mutex);
    return count;
}

const char *omendb_version(void)
{
    return OMENDB_VERSION_STRING;
}

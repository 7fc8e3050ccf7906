/* api_threads_test.c - readers, writers, deletes and drops at once, through the public API. Meant
 * to be run under ThreadSanitizer too. */
#include "base/atomics.h"
#include "base/compiler.h"
#include "omendb.h"
#include "os/thread.h"
#include "test.h"

enum { DOCUMENTS = 40, DIM = 8 };

static omendb *db;
static atomic_u32 stop;
static atomic_u64 answers, deleted_total, interrupted_total;

static omendb_collection *make(const char *name)
{
    omendb_vector_field field = OMENDB_VECTOR_FIELD_INIT;
    omendb_schema schema = OMENDB_SCHEMA_INIT;
    omendb_collection *collection = NULL;
    omendb_error err;
    field.name = "v";
    field.dim = DIM;
    schema.vectors = &field;
    schema.vectors_count = 1;
    CHECK(omendb_collection_create(db, name, &schema, &collection, &err) == OMENDB_OK);
    return collection;
}

/* DOCUMENTS rows, all of one generation: ids base .., {"g": generation}, vectors that say it too. */
struct rows {
    uint64_t ids[DOCUMENTS], offsets[DOCUMENTS + 1];
    float vectors[DOCUMENTS][DIM];
    char json[DOCUMENTS * 24];
    omendb_vectors column;
    omendb_rows rows;
};

static void rows_make(struct rows *rows, uint64_t base, uint32_t generation)
{
    size_t used = 0;
    for (uint32_t i = 0; i < DOCUMENTS; i++) {
        rows->ids[i] = base + i;
        rows->offsets[i] = used;
        used += (size_t)snprintf(rows->json + used, sizeof rows->json - used, "{\"g\":%u}",
                                 generation);
        for (uint32_t j = 0; j < DIM; j++) rows->vectors[i][j] = (float)(i * j % 7);
        rows->vectors[i][0] = (float)generation;
    }
    rows->offsets[DOCUMENTS] = used;
    rows->column = (omendb_vectors)OMENDB_VECTORS_INIT;
    rows->column.data = rows->vectors;
    rows->column.dim = DIM;
    rows->rows = (omendb_rows)OMENDB_ROWS_INIT;
    rows->rows.count = DOCUMENTS;
    rows->rows.id_numbers = rows->ids;
    rows->rows.json = rows->json;
    rows->rows.json_offsets = rows->offsets;
    rows->rows.vectors = &rows->column;
    rows->rows.vectors_count = 1;
}

/* ---- One generation at a time ---- */

static void generation_writer(void *context)
{
    omendb_collection *const *collections = context;
    omendb_batch *batch = NULL;
    omendb_error err;
    static struct rows rows;
    CHECK(omendb_batch_create(db, &batch, &err) == OMENDB_OK);
    for (uint32_t generation = 1; generation <= 150; generation++) {
        rows_make(&rows, 0, generation);
        CHECK(omendb_batch_upsert(batch, collections[0], &rows.rows, &err) == OMENDB_OK);
        CHECK(omendb_batch_upsert(batch, collections[1], &rows.rows, &err) == OMENDB_OK);
        CHECK(omendb_batch_commit(batch, OMENDB_DURABILITY_NONE, NULL, &err) == OMENDB_OK);
    }
    omendb_batch_destroy(batch);
    atomic_store_release_u32(&stop, 1);
}

/* All documents of a result are of one generation; returns it. */
static uint32_t check_generation(const omendb_documents *documents)
{
    omendb_document first;
    CHECK(omendb_documents_count(documents) == DOCUMENTS);
    omendb_documents_entry(documents, 0, &first);
    const float *vector = omendb_documents_vector(documents, 0, "v", NULL, NULL);
    const uint32_t generation = (uint32_t)vector[0];
    for (size_t i = 0; i < DOCUMENTS; i++) {
        omendb_document document;
        omendb_documents_entry(documents, i, &document);
        CHECK(document.json_size == first.json_size);
        CHECK(memcmp(document.json_view, first.json_view, first.json_size) == 0);
        vector = omendb_documents_vector(documents, i, "v", NULL, NULL);
        CHECK((uint32_t)vector[0] == generation);
    }
    char wanted[24];
    snprintf(wanted, sizeof wanted, "{\"g\":%u}", generation);
    CHECK(strcmp(first.json_view, wanted) == 0);
    return generation;
}

static void generation_reader(void *context)
{
    omendb_collection *collection = context;
    const float query[2][DIM] = {{1}, {2}};
    uint32_t newest = 0;
    while (atomic_load_acquire_u32(&stop) == 0) {
        omendb_error err;
        omendb_documents *documents = NULL;
        omendb_hits *hits = NULL;
        omendb_find_params find = OMENDB_FIND_PARAMS_INIT;
        omendb_search_params search = OMENDB_SEARCH_PARAMS_INIT;
        find.flags = OMENDB_WITH_DOCUMENTS | OMENDB_WITH_VECTORS;
        find.filter = "{\"g\":{\"$gte\":0}}";
        find.filter_size = strlen(find.filter);
        CHECK(omendb_collection_find(collection, &find, &documents, &err) == OMENDB_OK);
        uint32_t generation = check_generation(documents);
        CHECK(generation >= newest); /* Never back in time. */
        newest = generation;
        omendb_documents_destroy(documents);
        search.flags = find.flags;
        search.dim = DIM;
        search.queries = query;
        search.query_count = 2;
        search.k = DOCUMENTS + 5;
        search.filter = find.filter;
        search.filter_size = find.filter_size;
        search.threads = 2;
        CHECK(omendb_collection_search(collection, &search, &hits, &err) == OMENDB_OK);
        for (size_t q = 0; q < 2; q++) {
            generation = check_generation(omendb_hits_documents(hits, q));
            CHECK(generation >= newest);
            newest = generation;
        }
        omendb_hits_destroy(hits);
        atomic_add_u64(&answers, 1);
    }
}

static void readers_see_whole_batches(void)
{
    omendb_error err;
    omendb_collection *collections[2];
    struct thread threads[4] = {0};
    static struct rows rows;
    CHECK(omendb_open(":memory:", NULL, &db, &err) == OMENDB_OK);
    collections[0] = make("a");
    collections[1] = make("b");
    rows_make(&rows, 0, 0);
    for (int i = 0; i < 2; i++)
        CHECK(omendb_collection_upsert(collections[i], &rows.rows, &err) == OMENDB_OK);
    atomic_store_release_u32(&stop, 0);
    atomic_store_release_u64(&answers, 0);
    for (int i = 1; i < 4; i++)
        CHECK(thread_start(&threads[i], "reader", generation_reader, collections[i % 2], &err) ==
              OMENDB_OK);
    CHECK(thread_start(&threads[0], "writer", generation_writer, collections, &err) == OMENDB_OK);
    for (int i = 0; i < 4; i++) thread_join(&threads[i]);
    for (int i = 0; i < 2; i++) omendb_collection_close(collections[i]);
    CHECK(omendb_close(db, &err) == OMENDB_OK);
}

/* ---- What is deleted is counted once ---- */

struct share {
    omendb_collection *collection;
    uint32_t number;
};

static void inserter(void *context)
{
    const struct share *share = context;
    struct rows *rows = calloc(1, sizeof *rows);
    omendb_error err;
    CHECK(rows != NULL);
    for (uint32_t i = 0; i < 25; i++) {
        rows_make(rows, ((uint64_t)share->number * 25 + i) * DOCUMENTS, share->number);
        CHECK(omendb_collection_upsert(share->collection, &rows->rows, &err) == OMENDB_OK);
    }
    free(rows);
}

static void deleter(void *context)
{
    omendb_collection *collection = context;
    omendb_error err;
    for (uint32_t i = 0; i < 60; i++) {
        char filter[24];
        uint64_t deleted = 0;
        if (i % 2 == 0) {
            const int size = snprintf(filter, sizeof filter, "{\"g\":%u}", i / 2 % 3);
            CHECK(omendb_collection_delete_where(collection, filter, (size_t)size, &deleted,
                                                 &err) == OMENDB_OK);
        } else {
            omendb_id ids[200];
            for (uint64_t j = 0; j < 200; j++)
                ids[j] = (omendb_id){.number = (i * 131u + j * 7u) % (3 * 25 * DOCUMENTS)};
            CHECK(omendb_collection_delete(collection, ids, 200, &deleted, &err) == OMENDB_OK);
        }
        atomic_add_u64(&deleted_total, deleted);
    }
}

static void every_document_is_deleted_once(void)
{
    omendb_error err;
    struct thread threads[5] = {0};
    struct share shares[3];
    CHECK(omendb_open(":memory:", NULL, &db, &err) == OMENDB_OK);
    omendb_collection *collection = make("a");
    atomic_store_release_u64(&deleted_total, 0);
    for (uint32_t i = 0; i < 3; i++) {
        shares[i] = (struct share){collection, i};
        CHECK(thread_start(&threads[i], "inserter", inserter, &shares[i], &err) == OMENDB_OK);
    }
    for (uint32_t i = 3; i < 5; i++)
        CHECK(thread_start(&threads[i], "deleter", deleter, collection, &err) == OMENDB_OK);
    for (int i = 0; i < 5; i++) thread_join(&threads[i]);
    uint64_t left = 0;
    CHECK(omendb_collection_count(collection, NULL, 0, &left, &err) == OMENDB_OK);
    CHECK(left + atomic_load_acquire_u64(&deleted_total) == 3 * 25 * DOCUMENTS);
    omendb_collection_close(collection);
    CHECK(omendb_close(db, &err) == OMENDB_OK);
}

/* ---- Drops, renames, interrupts under way ---- */

static void dropper(void *context)
{
    omendb_error err;
    (void)context;
    for (uint32_t i = 0; i < 60; i++) {
        struct rows *rows = calloc(1, sizeof *rows);
        CHECK(rows != NULL);
        omendb_collection *collection = make("shared");
        rows_make(rows, 0, i);
        CHECK(omendb_collection_upsert(collection, &rows->rows, &err) == OMENDB_OK);
        omendb_interrupt(db);
        CHECK(omendb_collection_rename(db, "shared", "renamed", &err) == OMENDB_OK);
        thread_yield();
        CHECK(omendb_collection_rename(db, "renamed", "shared", &err) == OMENDB_OK);
        CHECK(omendb_collection_drop(db, "shared", &err) == OMENDB_OK);
        omendb_collection_close(collection);
        free(rows);
    }
    atomic_store_release_u32(&stop, 1);
}

static void visitor(void *context)
{
    const float query[DIM] = {1};
    (void)context;
    while (atomic_load_acquire_u32(&stop) == 0) {
        omendb_error err;
        omendb_collection *collection = NULL;
        omendb_status status = omendb_collection_open(db, "shared", &collection, &err);
        CHECK(status == OMENDB_OK || status == OMENDB_ERR_NOT_FOUND);
        for (int i = 0; status == OMENDB_OK && i < 5; i++) {
            omendb_search_params search = OMENDB_SEARCH_PARAMS_INIT;
            omendb_hits *hits = NULL;
            char *text = NULL;
            search.dim = DIM;
            search.queries = query;
            search.query_count = 1;
            search.flags = OMENDB_WITH_DOCUMENTS;
            status = omendb_collection_search(collection, &search, &hits, &err);
            CHECK(status == OMENDB_OK || status == OMENDB_ERR_NOT_FOUND ||
                  status == OMENDB_ERR_INTERRUPTED);
            if (status == OMENDB_ERR_INTERRUPTED) atomic_add_u64(&interrupted_total, 1);
            omendb_hits_destroy(hits);
            CHECK(omendb_collection_list(db, &text, &err) == OMENDB_OK);
            omendb_text_destroy(text);
        }
        omendb_collection_close(collection);
    }
}

static void drops_and_interrupts_meet_queries_politely(void)
{
    omendb_error err;
    struct thread threads[3] = {0};
    CHECK(omendb_open(":memory:", NULL, &db, &err) == OMENDB_OK);
    atomic_store_release_u32(&stop, 0);
    for (int i = 0; i < 2; i++)
        CHECK(thread_start(&threads[i], "visitor", visitor, NULL, &err) == OMENDB_OK);
    CHECK(thread_start(&threads[2], "dropper", dropper, NULL, &err) == OMENDB_OK);
    for (int i = 0; i < 3; i++) thread_join(&threads[i]);
    CHECK(omendb_close(db, &err) == OMENDB_OK);
}

/* ---- Interrupts ---- */

static void patient(void *context)
{
    omendb_collection *collection = context;
    omendb_status status = OMENDB_OK;
    while (status == OMENDB_OK) {
        omendb_error err;
        uint64_t count = 0;
        status = omendb_collection_count(collection, "{\"g\":{\"$gte\":1}}", 16, &count, &err);
    }
    CHECK(status == OMENDB_ERR_INTERRUPTED);
    atomic_store_release_u32(&stop, 1);
}

static void an_interrupt_ends_a_running_query(void)
{
    omendb_error err;
    struct thread thread = {0};
    struct rows *rows = calloc(1, sizeof *rows);
    CHECK(rows != NULL && omendb_open(":memory:", NULL, &db, &err) == OMENDB_OK);
    omendb_collection *collection = make("a");
    for (uint32_t i = 0; i < 100; i++) {
        rows_make(rows, (uint64_t)i * DOCUMENTS, i);
        CHECK(omendb_collection_upsert(collection, &rows->rows, &err) == OMENDB_OK);
    }
    atomic_store_release_u32(&stop, 0);
    CHECK(thread_start(&thread, "patient", patient, collection, &err) == OMENDB_OK);
    while (atomic_load_acquire_u32(&stop) == 0) {
        omendb_interrupt(db);
        thread_yield();
    }
    thread_join(&thread);
    /* What begins afterwards isn't touched. */
    uint64_t count = 0;
    CHECK(omendb_collection_count(collection, "{\"g\":{\"$gte\":1}}", 16, &count, &err) ==
          OMENDB_OK);
    CHECK(count == 99 * DOCUMENTS);
    free(rows);
    omendb_collection_close(collection);
    CHECK(omendb_close(db, &err) == OMENDB_OK);
}

/* ---- The seed functions share one collection ---- */

static void seed_user(void *context)
{
    const uint32_t number = *(const uint32_t *)context;
    for (uint32_t i = 0; i < 100; i++) {
        char id[24];
        int ids[5];
        float distances[5];
        const float vector[2] = {(float)number, (float)i};
        const int size = snprintf(id, sizeof id, "%u-%u", number, i);
        CHECK(omendb_add(id, size, vector, 2) == 0);
        CHECK(omendb_search(vector, 5, ids, distances) >= 1);
        CHECK(distances[0] == 0.0f);
    }
}

static void seed_functions_may_be_called_by_all(void)
{
    omendb_error err;
    struct thread threads[3] = {0};
    uint32_t numbers[3] = {0, 1, 2};
    CHECK(omendb_init(2) == 0);
    for (int i = 0; i < 3; i++)
        CHECK(thread_start(&threads[i], "seed", seed_user, &numbers[i], &err) == OMENDB_OK);
    for (int i = 0; i < 3; i++) thread_join(&threads[i]);
    CHECK(omendb_count() == 300);
    CHECK(omendb_init(1) == 0);
}

int main(int argc, char **argv)
{
    static const struct test tests[] = {
        {"readers_see_whole_batches", readers_see_whole_batches},
        {"every_document_is_deleted_once", every_document_is_deleted_once},
        {"drops_and_interrupts_meet_queries_politely", drops_and_interrupts_meet_queries_politely},
        {"an_interrupt_ends_a_running_query", an_interrupt_ends_a_running_query},
        {"seed_functions_may_be_called_by_all", seed_functions_may_be_called_by_all},
        {NULL, NULL},
    };
    return test_main(tests, argc, argv);
}

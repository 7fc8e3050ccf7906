/* api_life_test.c - what handles live through: batches, reopening, fork, failing memory; and the six
 * seed functions. */
#include <math.h>
#include <sys/wait.h>

#include "api_help.h"
#include "base/alloc.h"

static void batches_are_whole_or_not_at_all(void)
{
    omendb *db = open_memory(), *other = open_memory();
    omendb_collection *a = make(db, "a", OMENDB_F32, OMENDB_L2, 1);
    omendb_collection *b = make(db, "b", OMENDB_F32, OMENDB_L2, 1);
    omendb_collection *foreign = make(other, "a", OMENDB_F32, OMENDB_L2, 1);
    omendb_batch *batch = NULL;
    float vectors[3] = {1, 2, 3};
    omendb_vectors column = OMENDB_VECTORS_INIT;
    omendb_rows rows = OMENDB_ROWS_INIT;
    uint64_t first = 0, second = 0;
    column.data = vectors;
    column.dim = 1;
    rows.count = 3;
    rows.id_numbers = (const uint64_t[]){1, 2, 3};
    rows.vectors = &column;
    rows.vectors_count = 1;
    OK(omendb_batch_create(db, &batch, &err));
    FAILS(OMENDB_ERR_ARGUMENT, omendb_batch_upsert(batch, foreign, &rows, &err));
    OK(omendb_batch_upsert(batch, a, &rows, &err));
    OK(omendb_batch_upsert(batch, b, &rows, &err));
    vectors[1] = NAN; /* A failed add leaves the batch as it was; added rows were copied. */
    rows.id_numbers = (const uint64_t[]){11, 12, 13};
    FAILS(OMENDB_ERR_VALUE, omendb_batch_upsert(batch, b, &rows, &err));
    rows.id_numbers = (const uint64_t[]){1, 2, 3};
    FAILS(
        OMENDB_ERR_VALUE,
        omendb_batch_delete(batch, a, (const omendb_id[]){{.number = 3}, {"\xff", 1, 0}}, 2, &err));
    CHECK(count_of(a) == 0);
    OK(omendb_batch_delete(batch, b, &(omendb_id){.number = 2}, 1, &err));
    OK(omendb_batch_commit(batch, OMENDB_DURABILITY_DEFAULT, &first, &err));
    CHECK(count_of(a) == 3 && count_of(b) == 2);
    OK(omendb_batch_commit(batch, OMENDB_DURABILITY_DEFAULT, &second, &err)); /* It is empty. */
    CHECK(second == first && count_of(b) == 2);
    OK(omendb_batch_delete(batch, a, (const omendb_id[]){{.number = 1}, {.number = 99}}, 2, &err));
    OK(omendb_batch_commit(batch, OMENDB_DURABILITY_NONE, &second, &err));
    CHECK(second > first && count_of(a) == 2);
    uint64_t deleted = 0;
    OK(omendb_collection_delete_where(a, "{}", 2, &deleted, &err));
    CHECK(deleted == 2 && count_of(a) == 0);
    /* A batch for a collection that is dropped meanwhile. */
    vectors[1] = 2;
    OK(omendb_batch_upsert(batch, a, &rows, &err));
    OK(omendb_batch_upsert(batch, b, &rows, &err));
    OK(omendb_collection_drop(db, "b", &err));
    FAILS(OMENDB_ERR_NOT_FOUND, omendb_batch_commit(batch, 0, NULL, &err));
    CHECK(count_of(a) == 0);
    omendb_batch_destroy(batch);
    omendb_collection_close(a);
    omendb_collection_close(b);
    omendb_collection_close(foreign);
    OK(omendb_close(db, &err));
    OK(omendb_close(other, &err));
}

/* The permanent test of architecture contract 11. */
static void a_refused_nan_does_not_spoil_the_file(void)
{
    omendb *db = NULL;
    remove_files();
    OK(omendb_open(path, NULL, &db, &err));
    omendb_collection *docs = make(db, "docs", OMENDB_F32, OMENDB_L2, 2);
    float vector[2] = {1, 2}, bad[2] = {NAN, 2};
    OK(put(docs, 1, OMENDB_F32, 2, vector, "{\"a\":{\"$binary\":\"AQI=\"}}"));
    FAILS(OMENDB_ERR_VALUE, put(docs, 2, OMENDB_F32, 2, bad, NULL));
    omendb_collection_close(docs);
    OK(omendb_close(db, &err));
    OK(omendb_open(path, NULL, &db, &err));
    OK(omendb_collection_open(db, "docs", &docs, &err));
    CHECK(count_of(docs) == 1);
    OK(put(docs, 2, OMENDB_F32, 2, vector, NULL));
    omendb_documents *documents = NULL;
    omendb_document document;
    OK(omendb_collection_get(docs, &(omendb_id){.number = 1}, 1, 3, &documents, &err));
    omendb_documents_entry(documents, 0, &document);
    CHECK(strcmp(document.json_view, "{\"a\":{\"$binary\":\"AQI=\"}}") == 0);
    CHECK(memcmp(omendb_documents_vector(documents, 0, "v", NULL, NULL), vector, 8) == 0);
    omendb_documents_destroy(documents);
    char *text = NULL;
    OK(omendb_check(db, OMENDB_CHECK_DEEP, &text, &err));
    CHECK(strstr(text, "\"ok\":true") != NULL);
    omendb_text_destroy(text);
    OK(omendb_stats(db, &text, &err));
    CHECK(text[0] == '{' && text[strlen(text) - 1] == '}');
    omendb_text_destroy(text);
    omendb_collection_close(docs);
    OK(omendb_close(db, &err));
    remove_files();
}

static void results_outlive_what_they_came_from(void)
{
    omendb *db = open_memory();
    omendb_collection *docs = make(db, "docs", OMENDB_F32, OMENDB_L2, 2);
    const float vector[2] = {1, 2};
    OK(put(docs, 1, OMENDB_F32, 2, vector, "{\"a\":1}"));
    omendb_search_params params = OMENDB_SEARCH_PARAMS_INIT;
    omendb_hits *hits = NULL;
    omendb_documents *documents = NULL;
    params.dim = 2;
    params.queries = vector;
    params.query_count = 1;
    params.flags = OMENDB_WITH_DOCUMENTS | OMENDB_WITH_VECTORS;
    OK(omendb_collection_search(docs, &params, &hits, &err));
    OK(omendb_collection_get(docs, &(omendb_id){.number = 1}, 1, 3, &documents, &err));
    OK(omendb_collection_drop(db, "docs", &err));
    omendb_collection_close(docs);
    omendb_hit hit;
    omendb_hits_entry(hits, 0, 0, &hit);
    CHECK(strcmp(hit.document.json_view, "{\"a\":1}") == 0);
    CHECK(memcmp(omendb_documents_vector(omendb_hits_documents(hits, 0), 0, NULL, NULL, NULL),
                 vector, 8) == 0);
    CHECK(memcmp(omendb_documents_vector(documents, 0, "v", NULL, NULL), vector, 8) == 0);
    omendb_hits_destroy(hits);
    omendb_documents_destroy(documents);
    OK(omendb_close(db, &err));
}

static void a_forked_child_is_told_and_harms_nothing(void)
{
    omendb *db = NULL;
    remove_files();
    OK(omendb_open(path, NULL, &db, &err));
    omendb_collection *docs = make(db, "docs", OMENDB_F32, OMENDB_L2, 2);
    const float vector[2] = {1, 2};
    OK(put(docs, 1, OMENDB_F32, 2, vector, NULL));
    const pid_t child = fork();
    if (child == 0) {
        uint64_t count = 0;
        int good = omendb_collection_count(docs, NULL, 0, &count, NULL) == OMENDB_ERR_MISUSE;
        good &= put(docs, 2, OMENDB_F32, 2, vector, NULL) == OMENDB_ERR_MISUSE;
        good &= omendb_sync(db, NULL) == OMENDB_ERR_MISUSE;
        omendb_collection_close(docs);
        good &= omendb_close(db, NULL) == OMENDB_ERR_MISUSE;
        _exit(good ? 0 : 1);
    }
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    OK(put(docs, 2, OMENDB_F32, 2, vector, NULL));
    CHECK(count_of(docs) == 2);
    omendb_collection_close(docs);
    OK(omendb_close(db, &err));
    remove_files();
}

static void the_fast_path_allocates_nothing(void)
{
    omendb *db = open_memory();
    omendb_collection *docs = make(db, "docs", OMENDB_F32, OMENDB_L2, 32);
    static float vectors[600][32];
    for (int i = 0; i < 600; i++) {
        char json[32];
        for (int j = 0; j < 32; j++) vectors[i][j] = (float)((i * 31 + j * 17) % 101);
        snprintf(json, sizeof json, "{\"a\":%d}", i % 7);
        OK(put(docs, (uint64_t)i, OMENDB_F32, 32, vectors[i], json));
    }
    omendb_search_params params = OMENDB_SEARCH_PARAMS_INIT;
    uint64_t ids[3 * 5];
    float scores[3 * 5];
    uint32_t found[3];
    params.dim = 32;
    params.queries = vectors;
    params.k = 5;
    params.filter = "{\"a\":{\"$in\":[1,2,3]}}";
    params.filter_size = strlen(params.filter);
    for (int round = 0; round < 8; round++) {
        params.query_count = round % 2 == 0 ? 1 : 3;
        if (round >= 4) alloc_fail_after(0, 0);
        OK(omendb_search_vectors(docs, &params, ids, scores, found, &err));
        alloc_fail_after(-1, 0);
        CHECK(found[0] == 5);
    }
    omendb_collection_close(docs);
    OK(omendb_close(db, &err));
}

static void every_failed_allocation_is_nomem_and_changes_nothing(void)
{
    omendb *db = open_memory();
    omendb_collection *docs = make(db, "docs", OMENDB_F32, OMENDB_L2, 2);
    const float vector[2] = {1, 2};
    OK(put(docs, 1, OMENDB_F32, 2, vector, "{\"a\":1}"));
    omendb_search_params params = OMENDB_SEARCH_PARAMS_INIT;
    params.dim = 2;
    params.queries = vector;
    params.query_count = 1;
    params.flags = 3;
    params.filter = "{\"a\":{\"$in\":[1,2]}}";
    params.filter_size = strlen(params.filter);
    omendb_find_params find = OMENDB_FIND_PARAMS_INIT;
    find.filter = params.filter;
    find.filter_size = params.filter_size;
    find.flags = 3;
    for (int which = 0; which < 7; which++) {
        omendb_status status = OMENDB_ERR_NOMEM;
        for (long n = 0; status != OMENDB_OK; n++) {
            omendb_collection *handle = NULL;
            omendb_hits *hits = NULL;
            omendb_documents *documents = NULL;
            omendb_batch *batch = NULL;
            char *text = NULL;
            uint64_t count = 0;
            const omendb_id id = {.number = 1};
            OK(omendb_collection_open(db, "docs", &handle, &err)); /* An empty pool. */
            alloc_fail_after(n, 0);
            switch (which) {
            case 0:
                status = omendb_collection_search(handle, &params, &hits, &err);
                break;
            case 1:
                status = omendb_collection_find(handle, &find, &documents, &err);
                break;
            case 2:
                status = omendb_collection_get(handle, &id, 1, 3, &documents, &err);
                break;
            case 3:
                status = omendb_collection_count(handle, find.filter, find.filter_size, &count,
                                                 &err);
                break;
            case 4:
                status = omendb_collection_list(db, &text, &err);
                break;
            case 5:
                status = omendb_batch_create(db, &batch, &err);
                break;
            default:
                status = put(handle, 1, OMENDB_F32, 2, vector, "{\"a\":1}");
                break;
            }
            alloc_fail_after(-1, 0);
            CHECK(status == OMENDB_OK || status == OMENDB_ERR_NOMEM);
            if (status != OMENDB_OK)
                CHECK(hits == NULL && documents == NULL && batch == NULL && text == NULL);
            omendb_hits_destroy(hits);
            omendb_documents_destroy(documents);
            omendb_batch_destroy(batch);
            omendb_text_destroy(text);
            omendb_collection_close(handle);
            CHECK(n < 1000);
        }
        CHECK(count_of(docs) == 1);
    }
    omendb_collection_close(docs);
    OK(omendb_close(db, &err));
}

/* Enough documents that visiting them takes far more than a millisecond. */
static void queries_end_when_their_time_is_over(void)
{
    enum { COUNT = 30000 };
    omendb *db = open_memory();
    omendb_collection *docs = make(db, "docs", OMENDB_F32, OMENDB_L2, 2);
    uint64_t *ids = calloc(COUNT, sizeof *ids);
    float(*vectors)[2] = calloc(COUNT, sizeof *vectors);
    CHECK(ids != NULL && vectors != NULL);
    for (uint64_t i = 0; i < COUNT; i++) {
        ids[i] = i;
        vectors[i][0] = (float)i;
    }
    omendb_rows rows = OMENDB_ROWS_INIT;
    omendb_vectors column = OMENDB_VECTORS_INIT;
    column.data = vectors;
    column.dim = 2;
    rows.count = COUNT;
    rows.id_numbers = ids;
    rows.vectors = &column;
    rows.vectors_count = 1;
    OK(omendb_collection_upsert(docs, &rows, &err));
    omendb_documents *documents = NULL;
    omendb_find_params find = OMENDB_FIND_PARAMS_INIT;
    find.limit = COUNT;
    find.flags = 3;
    find.timeout_ms = 1;
    find.filter =
        "{\"$nor\":[{\"a\":1},{\"b\":1},{\"c.d\":{\"$gt\":1}},{\"e\":{\"$in\":[1,2,3]}}]}";
    find.filter_size = strlen(find.filter);
    FAILS(OMENDB_ERR_TIMEOUT, omendb_collection_find(docs, &find, &documents, &err));
    find.timeout_ms = 0;
    OK(omendb_collection_find(docs, &find, &documents, &err));
    CHECK(omendb_documents_count(documents) == COUNT);
    omendb_documents_destroy(documents);
    omendb_hits *hits = NULL;
    omendb_search_params params = OMENDB_SEARCH_PARAMS_INIT;
    params.dim = 2;
    params.queries = vectors;
    params.query_count = 500;
    params.timeout_ms = 1;
    FAILS(OMENDB_ERR_TIMEOUT, omendb_collection_search(docs, &params, &hits, &err));
    params.threads = 2;
    FAILS(OMENDB_ERR_TIMEOUT, omendb_collection_search(docs, &params, &hits, &err));
    CHECK(hits == NULL);
    free(ids);
    free(vectors);
    omendb_collection_close(docs);
    OK(omendb_close(db, &err));
}

static void the_six_seed_functions_keep_their_contract(void)
{
    int ids[20];
    float distances[20];
    float vector[3] = {1, 2, 3};
    CHECK(strcmp(omendb_version(), OMENDB_VERSION_STRING) == 0);
    CHECK(omendb_count() == 0 && omendb_clear() == 0);
    CHECK(omendb_add("a", 1, vector, 3) < 0);
    CHECK(omendb_search(vector, 1, ids, distances) < 0);
    CHECK(omendb_init(0) == OMENDB_ERR_ARGUMENT && omendb_init(-1) == OMENDB_ERR_ARGUMENT);
    CHECK(omendb_init((int)OMENDB_DIM_MAX + 1) == OMENDB_ERR_ARGUMENT);
    CHECK(omendb_init(3) == 0 && omendb_count() == 0);
    CHECK(omendb_search(vector, 5, ids, distances) == 0);
    CHECK(omendb_add("a", 1, vector, 2) == OMENDB_ERR_DIMENSION);
    CHECK(omendb_add("a", 1, vector, -3) == OMENDB_ERR_DIMENSION);
    CHECK(omendb_add(NULL, 1, vector, 3) == OMENDB_ERR_ARGUMENT);
    CHECK(omendb_add("a", 0, vector, 3) == OMENDB_ERR_ARGUMENT);
    CHECK(omendb_add("a", -1, vector, 3) == OMENDB_ERR_ARGUMENT);
    CHECK(omendb_add("a", 1025, vector, 3) == OMENDB_ERR_ARGUMENT);
    CHECK(omendb_add("a", 1, NULL, 3) == OMENDB_ERR_ARGUMENT);
    CHECK(omendb_add("\xff", 1, vector, 3) == OMENDB_ERR_VALUE);
    const float nan_vector[3] = {1, NAN, 3};
    CHECK(omendb_add("a", 1, nan_vector, 3) == OMENDB_ERR_VALUE);
    CHECK(omendb_count() == 0);
    for (int i = 0; i < 10; i++) {
        const char id = (char)('a' + i);
        const float at[3] = {(float)i, 0, 0};
        CHECK(omendb_add(&id, 1, at, 3) == 0);
    }
    CHECK(omendb_count() == 10);
    const float origin[3] = {0, 0, 0};
    CHECK(omendb_search(origin, 3, ids, distances) == 3);
    CHECK(ids[0] == 0 && ids[1] == 1 && ids[2] == 2);
    CHECK(distances[0] == 0.0f && distances[1] == 1.0f && distances[2] == 4.0f);
    CHECK(omendb_search(origin, 20, ids, distances) == 10 && ids[9] == 9);
    CHECK(omendb_search(origin, 0, ids, distances) == OMENDB_ERR_ARGUMENT);
    CHECK(omendb_search(origin, -1, ids, distances) == OMENDB_ERR_ARGUMENT);
    CHECK(omendb_search(NULL, 1, ids, distances) == OMENDB_ERR_ARGUMENT);
    CHECK(omendb_search(origin, 1, NULL, distances) == OMENDB_ERR_ARGUMENT);
    CHECK(omendb_search(origin, 1, ids, NULL) == OMENDB_ERR_ARGUMENT);
    CHECK(omendb_search(nan_vector, 1, ids, distances) == OMENDB_ERR_VALUE);
    /* Again with another vector: the ordinal stays. */
    const float far[3] = {100, 0, 0};
    CHECK(omendb_add("a", 1, far, 3) == 0 && omendb_count() == 10);
    CHECK(omendb_search(far, 1, ids, distances) == 1 && ids[0] == 0 && distances[0] == 0.0f);
    CHECK(omendb_search(origin, 10, ids, distances) == 10 && ids[0] == 1 && ids[9] == 0);
    /* Ties come in the order of insertion. */
    CHECK(omendb_add("z", 1, far, 3) == 0);
    CHECK(omendb_search(far, 2, ids, distances) == 2 && ids[0] == 0 && ids[1] == 10);
    CHECK(omendb_clear() == 0 && omendb_count() == 0);
    CHECK(omendb_search(far, 2, ids, distances) == 0);
    CHECK(omendb_add("z", 1, far, 3) == 0);
    CHECK(omendb_search(far, 2, ids, distances) == 1 && ids[0] == 0);
    CHECK(omendb_init(2) == 0 && omendb_count() == 0);
    CHECK(omendb_add("z", 1, far, 3) == OMENDB_ERR_DIMENSION);
    CHECK(omendb_add("z", 1, far, 2) == 0);
    for (long n = 0;; n++) {
        alloc_fail_after(n, 0);
        const int status = omendb_add("y", 1, far, 2);
        alloc_fail_after(-1, 0);
        CHECK(status == 0 || status == OMENDB_ERR_NOMEM);
        CHECK(omendb_count() == (status == 0 ? 2 : 1));
        if (status == 0) break;
    }
    alloc_fail_after(2, 0);
    CHECK(omendb_init(5) == OMENDB_ERR_NOMEM);
    alloc_fail_after(-1, 0);
    CHECK(omendb_count() == 2); /* A failed init leaves what was there. */
    CHECK(omendb_search(far, 2, ids, distances) == 2);
    CHECK(omendb_init(1) == 0); /* Nothing large remains at exit. */
}

int main(int argc, char **argv)
{
    static const struct test tests[] = {
        {"batches_are_whole_or_not_at_all", batches_are_whole_or_not_at_all},
        {"a_refused_nan_does_not_spoil_the_file", a_refused_nan_does_not_spoil_the_file},
        {"results_outlive_what_they_came_from", results_outlive_what_they_came_from},
        {"a_forked_child_is_told_and_harms_nothing", a_forked_child_is_told_and_harms_nothing},
        {"the_fast_path_allocates_nothing", the_fast_path_allocates_nothing},
        {"every_failed_allocation_is_nomem_and_changes_nothing",
         every_failed_allocation_is_nomem_and_changes_nothing},
        {"queries_end_when_their_time_is_over", queries_end_when_their_time_is_over},
        {"the_six_seed_functions_keep_their_contract", the_six_seed_functions_keep_their_contract},
        {NULL, NULL},
    };
    make_path("api-life-test");
    return test_main(tests, argc, argv);
}

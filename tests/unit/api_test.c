/* api_test.c - every public function with good and bad input: right status, a message that names
 * the fault, and nothing changed. */
#include <math.h>
#include <stdint.h>

#include "api_help.h"

static void names_every_status(void)
{
    CHECK(strcmp(omendb_status_name(OMENDB_OK), "OK") == 0);
    CHECK(strcmp(omendb_status_name(OMENDB_ERR_CORRUPT), "CORRUPT") == 0);
    CHECK(strcmp(omendb_status_name(1), "UNKNOWN") == 0);
    CHECK(strcmp(omendb_status_name(-18), "UNKNOWN") == 0);
    for (omendb_status a = 0; a >= OMENDB_ERR_CONFLICT; a--) {
        CHECK(strcmp(omendb_status_name(a), "UNKNOWN") != 0);
        for (omendb_status b = 0; b > a; b--)
            CHECK(strcmp(omendb_status_name(a), omendb_status_name(b)) != 0);
    }
}

static void opens_with_good_options_only(void)
{
    omendb *db = NULL;
    remove_files();
    FAILS(OMENDB_ERR_ARGUMENT, omendb_open(NULL, NULL, &db, &err));
    FAILS(OMENDB_ERR_ARGUMENT, omendb_open("", NULL, &db, &err));
    FAILS(OMENDB_ERR_ARGUMENT, omendb_open(path, NULL, NULL, &err));
    CHECK(omendb_open("", NULL, &db, NULL) == OMENDB_ERR_ARGUMENT);
    omendb_options options = OMENDB_OPTIONS_INIT;
    options.struct_size = 0;
    FAILS(OMENDB_ERR_ARGUMENT, omendb_open(path, &options, &db, &err));
    options.struct_size = 1u << 20;
    FAILS(OMENDB_ERR_ARGUMENT, omendb_open(path, &options, &db, &err));
    options = (omendb_options)OMENDB_OPTIONS_INIT;
    options.flags = 1u << 20;
    FAILS(OMENDB_ERR_ARGUMENT, omendb_open(path, &options, &db, &err));
    options.flags = OMENDB_OPEN_MUST_EXIST | OMENDB_OPEN_MUST_NOT_EXIST;
    FAILS(OMENDB_ERR_ARGUMENT, omendb_open(path, &options, &db, &err));
    options.flags = OMENDB_OPEN_MUST_EXIST;
    FAILS(OMENDB_ERR_NOT_FOUND, omendb_open(path, &options, &db, &err));
    FAILS(OMENDB_ERR_NOT_FOUND, omendb_open(":memory:", &options, &db, &err));
    options.flags = OMENDB_OPEN_READ_ONLY;
    FAILS(OMENDB_ERR_NOT_FOUND, omendb_open(path, &options, &db, &err));
    options = (omendb_options)OMENDB_OPTIONS_INIT;
    options.durability = 4;
    FAILS(OMENDB_ERR_ARGUMENT, omendb_open(path, &options, &db, &err));
    options = (omendb_options)OMENDB_OPTIONS_INIT;
    options.interval_ms = 60001;
    FAILS(OMENDB_ERR_ARGUMENT, omendb_open(path, &options, &db, &err));
    options = (omendb_options)OMENDB_OPTIONS_INIT;
    options.index_threads = OMENDB_INDEX_THREADS_MAX + 1;
    FAILS(OMENDB_ERR_ARGUMENT, omendb_open(path, &options, &db, &err));
    CHECK(db == NULL);
    /* An older caller's structure: only what lies within struct_size counts. */
    options = (omendb_options)OMENDB_OPTIONS_INIT;
    options.struct_size = 8;
    options.durability = 77;
    OK(omendb_open(path, &options, &db, &err));
    OK(omendb_close(db, &err));
    options = (omendb_options)OMENDB_OPTIONS_INIT;
    options.flags = OMENDB_OPEN_MUST_NOT_EXIST;
    FAILS(OMENDB_ERR_EXISTS, omendb_open(path, &options, &db, &err));
    /* A newer caller's: unknown members must be zero. */
    struct {
        omendb_options known;
        uint64_t unknown;
    } newer = {.known = OMENDB_OPTIONS_INIT, .unknown = 0};
    newer.known.struct_size = sizeof newer;
    OK(omendb_open(path, &newer.known, &db, &err));
    OK(omendb_close(db, &err));
    newer.unknown = 1;
    FAILS(OMENDB_ERR_UNSUPPORTED, omendb_open(path, &newer.known, &db, &err));
    CHECK(omendb_open("/proc/self/no/such/directory/x", NULL, &db, &err) != OMENDB_OK);
    CHECK(omendb_close(NULL, NULL) == OMENDB_OK);
    remove_files();
}

static void second_writer_is_busy_and_readers_are_read_only(void)
{
    omendb *db = NULL, *other = NULL;
    omendb_options options = OMENDB_OPTIONS_INIT;
    float vector[2] = {1, 2};
    remove_files();
    OK(omendb_open(path, NULL, &db, &err));
    omendb_collection *docs = make(db, "docs", OMENDB_F32, OMENDB_L2, 2);
    OK(put(docs, 1, OMENDB_F32, 2, vector, "{\"a\":1}"));
    OK(omendb_sync(db, &err));
    FAILS(OMENDB_ERR_BUSY, omendb_open(path, NULL, &other, &err));
    options.flags = OMENDB_OPEN_READ_ONLY;
    OK(omendb_open(path, &options, &other, &err));
    omendb_collection *seen = NULL;
    omendb_batch *batch = NULL;
    OK(omendb_collection_open(other, "docs", &seen, &err));
    CHECK(count_of(seen) == 1);
    FAILS(OMENDB_ERR_READ_ONLY, put(seen, 2, OMENDB_F32, 2, vector, NULL));
    FAILS(OMENDB_ERR_READ_ONLY, omendb_collection_delete(seen, NULL, 0, NULL, &err));
    FAILS(OMENDB_ERR_READ_ONLY, omendb_collection_delete_where(seen, "{}", 2, NULL, &err));
    FAILS(OMENDB_ERR_READ_ONLY, omendb_batch_create(other, &batch, &err));
    FAILS(OMENDB_ERR_READ_ONLY, omendb_collection_create(other, "x", NULL, NULL, &err));
    FAILS(OMENDB_ERR_READ_ONLY, omendb_collection_drop(other, "docs", &err));
    FAILS(OMENDB_ERR_READ_ONLY, omendb_collection_rename(other, "docs", "y", &err));
    FAILS(OMENDB_ERR_READ_ONLY, omendb_sync(other, &err));
    omendb_collection_close(seen);
    OK(omendb_close(other, &err));
    omendb_collection_close(docs);
    OK(omendb_close(db, &err));
    remove_files();
}

static void collections_come_and_go(void)
{
    omendb *db = open_memory();
    omendb_collection *a = make(db, "a", OMENDB_F32, OMENDB_COSINE, 3), *again = NULL;
    char *text = NULL;
    char long_name[OMENDB_NAME_SIZE_MAX + 2];
    memset(long_name, 'n', sizeof long_name);
    long_name[OMENDB_NAME_SIZE_MAX + 1] = '\0';
    FAILS(OMENDB_ERR_EXISTS, omendb_collection_create(db, "a", NULL, NULL, &err));
    FAILS(OMENDB_ERR_ARGUMENT, omendb_collection_create(db, "", NULL, NULL, &err));
    FAILS(OMENDB_ERR_ARGUMENT, omendb_collection_create(db, "a/b", NULL, NULL, &err));
    FAILS(OMENDB_ERR_ARGUMENT, omendb_collection_create(db, "a\n", NULL, NULL, &err));
    FAILS(OMENDB_ERR_ARGUMENT, omendb_collection_create(db, "\xff", NULL, NULL, &err));
    FAILS(OMENDB_ERR_ARGUMENT, omendb_collection_create(db, long_name, NULL, NULL, &err));
    FAILS(OMENDB_ERR_ARGUMENT, omendb_collection_create(db, NULL, NULL, NULL, &err));
    FAILS(OMENDB_ERR_ARGUMENT, omendb_collection_create(NULL, "b", NULL, NULL, &err));
    long_name[OMENDB_NAME_SIZE_MAX] = '\0';
    OK(omendb_collection_create(db, long_name, NULL, NULL, &err));
    OK(omendb_collection_drop(db, long_name, &err));
    FAILS(OMENDB_ERR_NOT_FOUND, omendb_collection_open(db, "b", &again, &err));
    FAILS(OMENDB_ERR_NOT_FOUND, omendb_collection_drop(db, "b", &err));
    FAILS(OMENDB_ERR_NOT_FOUND, omendb_collection_rename(db, "b", "c", &err));
    FAILS(OMENDB_ERR_ARGUMENT, omendb_collection_rename(db, "a", "", &err));
    OK(omendb_collection_create(db, "b", NULL, NULL, &err));
    FAILS(OMENDB_ERR_EXISTS, omendb_collection_rename(db, "a", "b", &err));
    OK(omendb_collection_list(db, &text, &err));
    CHECK(strcmp(text,
                 "[{\"name\":\"a\",\"count\":0,\"vectors\":[{\"name\":\"v\",\"dim\":3,"
                 "\"type\":\"f32\",\"metric\":\"cosine\",\"index\":\"exact\"}],\"fields\":[]},"
                 "{\"name\":\"b\",\"count\":0,\"vectors\":[],\"fields\":[]}]") == 0);
    omendb_text_destroy(text);
    omendb_text_destroy(NULL);
    OK(omendb_collection_rename(db, "a", "z", &err));
    OK(omendb_collection_describe(a, &text, &err));
    CHECK(strncmp(text, "{\"name\":\"z\",\"count\":0,", 22) == 0);
    omendb_text_destroy(text);
    OK(omendb_collection_open(db, "z", &again, &err));
    float vector[3] = {1, 0, 0};
    OK(put(again, 1, OMENDB_F32, 3, vector, NULL));
    CHECK(count_of(a) == 1);
    OK(omendb_collection_drop(db, "z", &err));
    /* Handles of a dropped collection answer NOT_FOUND, whatever is asked. */
    uint64_t count = 0;
    omendb_documents *documents = NULL;
    omendb_hits *hits = NULL;
    omendb_search_params params = OMENDB_SEARCH_PARAMS_INIT;
    FAILS(OMENDB_ERR_NOT_FOUND, put(a, 1, OMENDB_F32, 3, vector, NULL));
    FAILS(OMENDB_ERR_NOT_FOUND, omendb_collection_count(a, NULL, 0, &count, &err));
    FAILS(OMENDB_ERR_NOT_FOUND, omendb_collection_find(a, NULL, &documents, &err));
    FAILS(OMENDB_ERR_NOT_FOUND, omendb_collection_search(again, &params, &hits, &err));
    FAILS(OMENDB_ERR_NOT_FOUND, omendb_collection_describe(a, &text, &err));
    FAILS(OMENDB_ERR_NOT_FOUND, omendb_collection_delete(a, NULL, 0, NULL, &err));
    omendb_collection_close(a);
    omendb_collection_close(again);
    omendb_collection_close(NULL);
    OK(omendb_close(db, &err));
}

static void refuses_null_everywhere(void)
{
    omendb *db = open_memory();
    omendb_collection *docs = make(db, "docs", OMENDB_F32, OMENDB_L2, 2);
    omendb_batch *batch = NULL;
    omendb_documents *documents = NULL;
    omendb_hits *hits = NULL;
    omendb_rows rows = OMENDB_ROWS_INIT;
    omendb_search_params params = OMENDB_SEARCH_PARAMS_INIT;
    uint64_t ids[1], count;
    float scores[1];
    uint32_t found[1];
    char *text = NULL;
    FAILS(OMENDB_ERR_ARGUMENT, omendb_sync(NULL, &err));
    FAILS(OMENDB_ERR_ARGUMENT, omendb_stats(NULL, &text, &err));
    FAILS(OMENDB_ERR_ARGUMENT, omendb_stats(db, NULL, &err));
    FAILS(OMENDB_ERR_ARGUMENT, omendb_check(db, 0, NULL, &err));
    FAILS(OMENDB_ERR_ARGUMENT, omendb_check(db, 6, &text, &err));
    FAILS(OMENDB_ERR_ARGUMENT, omendb_collection_open(db, NULL, &docs, &err));
    FAILS(OMENDB_ERR_ARGUMENT, omendb_collection_open(db, "docs", NULL, &err));
    FAILS(OMENDB_ERR_ARGUMENT, omendb_collection_drop(db, NULL, &err));
    FAILS(OMENDB_ERR_ARGUMENT, omendb_collection_rename(db, "docs", NULL, &err));
    FAILS(OMENDB_ERR_ARGUMENT, omendb_collection_list(db, NULL, &err));
    FAILS(OMENDB_ERR_ARGUMENT, omendb_collection_describe(docs, NULL, &err));
    FAILS(OMENDB_ERR_ARGUMENT, omendb_collection_upsert(NULL, &rows, &err));
    FAILS(OMENDB_ERR_ARGUMENT, omendb_collection_upsert(docs, NULL, &err));
    FAILS(OMENDB_ERR_ARGUMENT, omendb_collection_delete(docs, NULL, 1, NULL, &err));
    FAILS(OMENDB_ERR_ARGUMENT, omendb_collection_delete_where(docs, NULL, 0, NULL, &err));
    FAILS(OMENDB_ERR_ARGUMENT, omendb_batch_create(db, NULL, &err));
    OK(omendb_batch_create(db, &batch, &err));
    FAILS(OMENDB_ERR_ARGUMENT, omendb_batch_upsert(NULL, docs, &rows, &err));
    FAILS(OMENDB_ERR_ARGUMENT, omendb_batch_upsert(batch, NULL, &rows, &err));
    FAILS(OMENDB_ERR_ARGUMENT, omendb_batch_upsert(batch, docs, NULL, &err));
    FAILS(OMENDB_ERR_ARGUMENT, omendb_batch_delete(batch, docs, NULL, 2, &err));
    FAILS(OMENDB_ERR_ARGUMENT, omendb_batch_commit(NULL, 0, NULL, &err));
    FAILS(OMENDB_ERR_ARGUMENT, omendb_batch_commit(batch, 4, NULL, &err));
    OK(omendb_batch_commit(batch, 0, &count, &err));
    FAILS(OMENDB_ERR_ARGUMENT, omendb_collection_get(docs, NULL, 1, 0, &documents, &err));
    FAILS(OMENDB_ERR_ARGUMENT, omendb_collection_get(docs, NULL, 0, 0, NULL, &err));
    FAILS(OMENDB_ERR_ARGUMENT, omendb_collection_get(docs, NULL, 0, 8, &documents, &err));
    FAILS(OMENDB_ERR_ARGUMENT, omendb_collection_find(docs, NULL, NULL, &err));
    FAILS(OMENDB_ERR_ARGUMENT, omendb_collection_count(docs, NULL, 0, NULL, &err));
    FAILS(OMENDB_ERR_ARGUMENT, omendb_collection_search(docs, NULL, &hits, &err));
    FAILS(OMENDB_ERR_ARGUMENT, omendb_collection_search(docs, &params, NULL, &err));
    FAILS(OMENDB_ERR_ARGUMENT, omendb_search_vectors(docs, &params, NULL, scores, found, &err));
    FAILS(OMENDB_ERR_ARGUMENT, omendb_search_vectors(docs, &params, ids, NULL, found, &err));
    FAILS(OMENDB_ERR_ARGUMENT, omendb_search_vectors(docs, &params, ids, scores, NULL, &err));
    /* What can't fail copes with NULL. */
    omendb_document document;
    omendb_hit hit;
    omendb_interrupt(NULL);
    omendb_batch_destroy(NULL);
    omendb_documents_destroy(NULL);
    omendb_hits_destroy(NULL);
    omendb_documents_entry(NULL, 0, &document);
    CHECK(document.found == 0 && document.json_view == NULL);
    omendb_hits_entry(NULL, 0, 0, &hit);
    CHECK(isnan(hit.distance));
    CHECK(omendb_documents_count(NULL) == 0 && omendb_hits_count(NULL, 0) == 0);
    CHECK(omendb_hits_query_count(NULL) == 0 && omendb_hits_k(NULL) == 0);
    CHECK(omendb_documents_vector(NULL, 0, NULL, NULL, NULL) == NULL);
    CHECK(omendb_hits_documents(NULL, 0) == NULL && omendb_hits_explain(NULL) == NULL);
    CHECK(omendb_hits_distances(NULL) == NULL && omendb_hits_scores(NULL) == NULL);
    omendb_batch_destroy(batch);
    omendb_collection_close(docs);
    OK(omendb_close(db, &err));
}

static void bad_rows_change_nothing(void)
{
    omendb *db = open_memory();
    omendb_collection *docs = make(db, "docs", OMENDB_F32, OMENDB_COSINE, 2);
    static char long_id[OMENDB_ID_SIZE_MAX + 2];
    memset(long_id, 'i', sizeof long_id);
    float good[2 * 2] = {1, 2, 3, 4};
    const uint64_t numbers[2] = {1, 2};
    omendb_vectors column = OMENDB_VECTORS_INIT;
    omendb_rows rows = OMENDB_ROWS_INIT;
    column.data = good;
    column.dim = 2;
    rows.count = 2;
    rows.id_numbers = numbers;
    rows.vectors = &column;
    rows.vectors_count = 1;
    const omendb_vectors good_column = column;
    const omendb_rows good_rows = rows;

    /* Ids. */
    const omendb_id too_long[2] = {{.number = 1}, {long_id, OMENDB_ID_SIZE_MAX + 1, 0}};
    const omendb_id empty[2] = {{.number = 1}, {"", 0, 0}};
    const omendb_id not_utf8[2] = {{.number = 1}, {"a\xff", 2, 0}};
    rows.id_numbers = NULL;
    FAILS(OMENDB_ERR_ARGUMENT, omendb_collection_upsert(docs, &rows, &err));
    rows.ids = too_long;
    FAILS(OMENDB_ERR_ARGUMENT, omendb_collection_upsert(docs, &rows, &err));
    CHECK(strstr(err.message, "row 1") != NULL);
    rows.ids = empty;
    FAILS(OMENDB_ERR_ARGUMENT, omendb_collection_upsert(docs, &rows, &err));
    rows.ids = not_utf8;
    FAILS(OMENDB_ERR_VALUE, omendb_collection_upsert(docs, &rows, &err));
    rows.id_numbers = numbers;
    FAILS(OMENDB_ERR_ARGUMENT, omendb_collection_upsert(docs, &rows, &err));
    rows = good_rows;
    rows.id_numbers = NULL;
    rows.id_text = "ab";
    FAILS(OMENDB_ERR_ARGUMENT, omendb_collection_upsert(docs, &rows, &err));
    rows.id_offsets = (const uint64_t[]){0, 2, 1};
    FAILS(OMENDB_ERR_ARGUMENT, omendb_collection_upsert(docs, &rows, &err));
    rows.id_offsets = (const uint64_t[]){0, 2, 2};
    FAILS(OMENDB_ERR_ARGUMENT, omendb_collection_upsert(docs, &rows, &err));

    /* JSON. */
    static const struct {
        const char *json;
        omendb_status status;
    } texts[] = {
        {"{\"a\":}", OMENDB_ERR_VALUE},
        {"[1]", OMENDB_ERR_VALUE},
        {"", OMENDB_ERR_VALUE},
        {"{\"a\":\"\xff\"}", OMENDB_ERR_VALUE},
        {"{\"a\":NaN}", OMENDB_ERR_VALUE},
        {"{\"a\":1e999}", OMENDB_ERR_VALUE},
        {"{\"a\":1}x", OMENDB_ERR_VALUE},
        {"{\"a\":1,\"a\":2}", OMENDB_ERR_VALUE},
    };
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        FAILS(texts[i].status, put(docs, 1, OMENDB_F32, 2, good, texts[i].json));
        CHECK(strstr(err.message, "row 0") != NULL);
    }
    char *huge = malloc(OMENDB_DOCUMENT_SIZE_MAX + 2);
    CHECK(huge != NULL);
    memset(huge, ' ', OMENDB_DOCUMENT_SIZE_MAX + 1);
    memcpy(huge, "{}", 2);
    huge[OMENDB_DOCUMENT_SIZE_MAX + 1] = '\0';
    FAILS(OMENDB_ERR_ARGUMENT, put(docs, 1, OMENDB_F32, 2, good, huge));
    free(huge);
    rows = good_rows;
    rows.json = "{}{}";
    FAILS(OMENDB_ERR_ARGUMENT, omendb_collection_upsert(docs, &rows, &err));
    rows.json_offsets = (const uint64_t[]){0, 2, 1};
    FAILS(OMENDB_ERR_ARGUMENT, omendb_collection_upsert(docs, &rows, &err));
    rows.json = NULL;
    FAILS(OMENDB_ERR_ARGUMENT, omendb_collection_upsert(docs, &rows, &err));

    /* Vectors: shapes. */
    rows = good_rows;
    column.dim = 3;
    FAILS(OMENDB_ERR_DIMENSION, omendb_collection_upsert(docs, &rows, &err));
    CHECK(strstr(err.message, "\"v\"") != NULL && strstr(err.message, "3") != NULL);
    column = good_column;
    column.type = 7;
    FAILS(OMENDB_ERR_ARGUMENT, omendb_collection_upsert(docs, &rows, &err));
    column.type = OMENDB_BIT;
    FAILS(OMENDB_ERR_ARGUMENT, omendb_collection_upsert(docs, &rows, &err));
    column = good_column;
    column.field = "w";
    FAILS(OMENDB_ERR_NOT_FOUND, omendb_collection_upsert(docs, &rows, &err));
    column = good_column;
    column.data = NULL;
    FAILS(OMENDB_ERR_ARGUMENT, omendb_collection_upsert(docs, &rows, &err));
    column = good_column;
    column.row_stride = 7;
    FAILS(OMENDB_ERR_ARGUMENT, omendb_collection_upsert(docs, &rows, &err));
    column = good_column;
    column.struct_size = 0;
    FAILS(OMENDB_ERR_ARGUMENT, omendb_collection_upsert(docs, &rows, &err));
    column = good_column;
    column.reserved = 1;
    FAILS(OMENDB_ERR_ARGUMENT, omendb_collection_upsert(docs, &rows, &err));
    column = good_column;
    const omendb_vectors twice[2] = {good_column, good_column};
    rows.vectors = twice;
    rows.vectors_count = 2;
    FAILS(OMENDB_ERR_ARGUMENT, omendb_collection_upsert(docs, &rows, &err));
    rows.vectors = NULL;
    FAILS(OMENDB_ERR_ARGUMENT, omendb_collection_upsert(docs, &rows, &err));
    rows = good_rows;
    rows.struct_size = 0;
    FAILS(OMENDB_ERR_ARGUMENT, omendb_collection_upsert(docs, &rows, &err));

    /* Vectors: values, in the second row, so that the first must be undone. */
    const float bad[] = {NAN, INFINITY, -INFINITY};
    rows = good_rows;
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        good[3] = bad[i];
        FAILS(OMENDB_ERR_VALUE, omendb_collection_upsert(docs, &rows, &err));
        CHECK(strstr(err.message, "row 1") != NULL && strstr(err.message, "component 1") != NULL);
    }
    good[2] = 0.0f;
    good[3] = -0.0f;
    FAILS(OMENDB_ERR_VALUE, omendb_collection_upsert(docs, &rows, &err));
    CHECK(strstr(err.message, "cosine") != NULL);
    const double too_large[2] = {1.0, 1e300};
    FAILS(OMENDB_ERR_VALUE, put(docs, 1, OMENDB_F64, 2, too_large, NULL));
    CHECK(count_of(docs) == 0);

    /* And after all that it works. */
    good[2] = 5;
    OK(omendb_collection_upsert(docs, &rows, &err));
    CHECK(count_of(docs) == 2);
    /* The same id twice: the later row wins. */
    rows.id_numbers = (const uint64_t[]){9, 9};
    rows.json = "{\"a\":1}{\"a\":2}";
    rows.json_offsets = (const uint64_t[]){0, 7, 14};
    OK(omendb_collection_upsert(docs, &rows, &err));
    CHECK(count_of(docs) == 3);
    omendb_documents *documents = NULL;
    omendb_document document;
    const omendb_id nine = {.number = 9};
    OK(omendb_collection_get(docs, &nine, 1, 3, &documents, &err));
    omendb_documents_entry(documents, 0, &document);
    CHECK(strcmp(document.json_view, "{\"a\":2}") == 0);
    const float *stored = omendb_documents_vector(documents, 0, NULL, NULL, NULL);
    CHECK(stored != NULL && stored[0] == 5.0f);
    CHECK(omendb_documents_vector(documents, 0, "w", NULL, NULL) == NULL);
    CHECK(omendb_documents_vector(documents, 1, NULL, NULL, NULL) == NULL);
    omendb_documents_destroy(documents);
    /* No rows: nothing happens. */
    rows.count = 0;
    OK(omendb_collection_upsert(docs, &rows, &err));
    omendb_collection_close(docs);
    OK(omendb_close(db, &err));
}

static void ids_may_be_anything_that_is_utf8(void)
{
    omendb *db = open_memory();
    omendb_collection *docs = NULL;
    OK(omendb_collection_create(db, "docs", NULL, &docs, &err));
    static char longest[OMENDB_ID_SIZE_MAX];
    memset(longest, 'x', sizeof longest);
    const omendb_id ids[] = {{.number = 7},
                             {"7", 1, 0},
                             {"a\0b", 3, 0},
                             {"\xf0\x9f\x98\x80", 4, 0},
                             {longest, sizeof longest, 0},
                             {.number = UINT64_MAX},
                             {.number = 0}};
    omendb_rows rows = OMENDB_ROWS_INIT;
    rows.count = COUNT_OF(ids);
    rows.ids = ids;
    OK(omendb_collection_upsert(docs, &rows, &err));
    CHECK(count_of(docs) == COUNT_OF(ids));
    omendb_documents *documents = NULL;
    OK(omendb_collection_find(docs, NULL, &documents, &err));
    const size_t order[] = {6, 0, 5, 1, 2, 4, 3}; /* Numbers, then strings bytewise. */
    for (size_t i = 0; i < COUNT_OF(ids); i++) {
        omendb_document document;
        omendb_documents_entry(documents, i, &document);
        const omendb_id *wanted = &ids[order[i]];
        CHECK(document.id.size == wanted->size && document.id.number == wanted->number);
        CHECK((document.id.text_view == NULL) == (wanted->text_view == NULL));
        if (wanted->size != 0)
            CHECK(memcmp(document.id.text_view, wanted->text_view, wanted->size) == 0);
    }
    omendb_documents_destroy(documents);
    uint64_t deleted = 0;
    const omendb_id gone[] = {{"7", 1, 0}, {"7", 1, 0}, {"none", 4, 0}};
    OK(omendb_collection_delete(docs, gone, 3, &deleted, &err));
    CHECK(deleted == 1 && count_of(docs) == COUNT_OF(ids) - 1);
    FAILS(OMENDB_ERR_ARGUMENT,
          omendb_collection_delete(docs, &(omendb_id){"", 0, 0}, 1, NULL, &err));
    FAILS(OMENDB_ERR_VALUE,
          omendb_collection_get(docs, &(omendb_id){"\xc0\x80", 2, 0}, 1, 0, &documents, &err));
    omendb_collection_close(docs);
    OK(omendb_close(db, &err));
}

static void vectors_convert_where_every_value_does(void)
{
    static const uint16_t half[2] = {0x3c00, 0xc000}; /* 1, -2 */
    static const uint16_t brain[2] = {0x3f80, 0xc000};
    static const int8_t small[2] = {1, -2};
    static const float single[2] = {1, -2};
    static const double twice[2] = {1, -2};
    static const void *const inputs[7] = {single, half, brain, small, NULL, NULL, twice};
    omendb *db = open_memory();
    for (omendb_type stored = OMENDB_F32; stored <= OMENDB_I8; stored++) {
        omendb_collection *docs = make(db, "docs", stored, OMENDB_L2, 2);
        for (omendb_type type = OMENDB_F32; type <= OMENDB_F64; type++) {
            omendb_documents *documents = NULL;
            const omendb_id id = {.number = type};
            if (inputs[type] == NULL) continue;
            OK(put(docs, type, type, 2, inputs[type], NULL));
            OK(omendb_collection_get(docs, &id, 1, OMENDB_WITH_VECTORS, &documents, &err));
            const void *vector = omendb_documents_vector(documents, 0, NULL, NULL, NULL);
            CHECK(memcmp(vector, inputs[stored],
                         stored == OMENDB_F32  ? 8
                         : stored == OMENDB_I8 ? 2
                                               : 4) == 0);
            omendb_documents_destroy(documents);
            /* The same as a query: distance 0. */
            omendb_search_params params = OMENDB_SEARCH_PARAMS_INIT;
            omendb_hits *hits = NULL;
            params.type = type;
            params.dim = 2;
            params.queries = inputs[type];
            params.query_count = 1;
            OK(omendb_collection_search(docs, &params, &hits, &err));
            CHECK(omendb_hits_distances(hits)[0] == 0.0f && omendb_hits_scores(hits)[0] == 1.0f);
            omendb_hits_destroy(hits);
        }
        omendb_collection_close(docs);
        OK(omendb_collection_drop(db, "docs", &err));
    }
    const float large[2] = {1.0f, 65520.0f}, fraction[2] = {1.5f, 0.0f}, negative[2] = {-1, 0};
    const float too_large[2] = {128, 0};
    omendb_collection *f16 = make(db, "f16", OMENDB_F16, OMENDB_L2, 2);
    omendb_collection *i8 = make(db, "i8", OMENDB_I8, OMENDB_L2, 2);
    omendb_collection *u8 = make(db, "u8", OMENDB_U8, OMENDB_L2, 2);
    FAILS(OMENDB_ERR_VALUE, put(f16, 1, OMENDB_F32, 2, large, NULL));
    CHECK(strstr(err.message, "component 1") != NULL);
    FAILS(OMENDB_ERR_VALUE, put(i8, 1, OMENDB_F32, 2, fraction, NULL));
    FAILS(OMENDB_ERR_VALUE, put(i8, 1, OMENDB_F32, 2, too_large, NULL));
    FAILS(OMENDB_ERR_VALUE, put(u8, 1, OMENDB_F32, 2, negative, NULL));
    FAILS(OMENDB_ERR_VALUE, put(u8, 1, OMENDB_I8, 2, small, NULL));
    static const uint16_t bad_half[2] = {0x7c00, 0}, bad_brain[2] = {0, 0x7fc0};
    FAILS(OMENDB_ERR_VALUE, put(f16, 1, OMENDB_F16, 2, bad_half, NULL));
    FAILS(OMENDB_ERR_VALUE, put(f16, 1, OMENDB_BF16, 2, bad_brain, NULL));
    /* Bits: what lies past dim must be zero. */
    omendb_collection *bits = make(db, "bits", OMENDB_BIT, OMENDB_HAMMING, 10);
    static const uint8_t good_bits[2] = {0xff, 0x03}, bad_bits[2] = {0xff, 0x07};
    OK(put(bits, 1, OMENDB_BIT, 10, good_bits, NULL));
    FAILS(OMENDB_ERR_VALUE, put(bits, 1, OMENDB_BIT, 10, bad_bits, NULL));
    FAILS(OMENDB_ERR_DIMENSION, put(bits, 1, OMENDB_BIT, 16, good_bits, NULL));
    FAILS(OMENDB_ERR_ARGUMENT, put(bits, 1, OMENDB_F32, 10, single, NULL));
    /* Rows at odd addresses. */
    omendb_collection *f32 = make(db, "f32", OMENDB_F32, OMENDB_L2, 2);
    uint8_t odd[1 + sizeof single];
    memcpy(odd + 1, single, sizeof single);
    OK(put(f32, 1, OMENDB_F32, 2, odd + 1, NULL));
    OK(put(i8, 1, OMENDB_F32, 2, odd + 1, NULL));
    omendb_collection_close(f16);
    omendb_collection_close(i8);
    omendb_collection_close(u8);
    omendb_collection_close(bits);
    omendb_collection_close(f32);
    OK(omendb_close(db, &err));
}

static void declared_fields_are_held_to_their_type(void)
{
    omendb *db = open_memory();
    omendb_field fields[2] = {{sizeof fields[0], OMENDB_FIELD_INT, "year"},
                              {sizeof fields[0], OMENDB_FIELD_STRING, "name"}};
    omendb_schema schema = OMENDB_SCHEMA_INIT;
    omendb_collection *docs = NULL;
    schema.fields = fields;
    schema.fields_count = 2;
    OK(omendb_collection_create(db, "docs", &schema, &docs, &err));
    OK(put(docs, 1, 0, 0, NULL, "{\"year\":1999,\"name\":\"x\",\"free\":[1]}"));
    OK(put(docs, 2, 0, 0, NULL, "{\"year\":null}"));
    FAILS(OMENDB_ERR_VALUE, put(docs, 3, 0, 0, NULL, "{\"year\":\"1999\"}"));
    CHECK(strstr(err.message, "year") != NULL && strstr(err.message, "row 0") != NULL);
    FAILS(OMENDB_ERR_VALUE, put(docs, 3, 0, 0, NULL, "{\"name\":5}"));
    CHECK(count_of(docs) == 2);
    omendb_collection_close(docs);
    OK(omendb_close(db, &err));
}

static void searches_with_good_parameters_only(void)
{
    omendb *db = open_memory();
    omendb_collection *docs = make(db, "docs", OMENDB_F32, OMENDB_COSINE, 2);
    float vectors[15][2];
    for (int i = 0; i < 15; i++) {
        vectors[i][0] = 1.0f;
        vectors[i][1] = (float)i;
        OK(put(docs, (uint64_t)i, OMENDB_F32, 2, vectors[i], "{\"a\":1}"));
    }
    omendb_search_params good = OMENDB_SEARCH_PARAMS_INIT;
    good.dim = 2;
    good.queries = vectors[3];
    good.query_count = 1;
    omendb_search_params params = good;
    omendb_hits *hits = NULL;
    OK(omendb_collection_search(docs, &params, &hits, &err));
    CHECK(omendb_hits_count(hits, 0) == 10 && omendb_hits_k(hits) == 10); /* k = 0 is 10. */
    omendb_hit hit;
    omendb_hits_entry(hits, 0, 0, &hit);
    CHECK(hit.document.id.number == 3 && hit.distance == 0.0f && hit.score == 1.0f);
    omendb_hits_entry(hits, 0, 10, &hit);
    CHECK(isnan(hit.distance) && hit.document.found == 0);
    omendb_hits_entry(hits, 1, 0, &hit);
    CHECK(isnan(hit.distance));
    CHECK(omendb_hits_documents(hits, 1) == NULL && omendb_hits_count(hits, 1) == 0);
    CHECK(strstr(omendb_hits_explain(hits), "\"recall_expected\":1.0") != NULL);
    omendb_hits_destroy(hits);
    hits = NULL;
    params.k = 10001;
    FAILS(OMENDB_ERR_ARGUMENT, omendb_collection_search(docs, &params, &hits, &err));
    params.k = 10000;
    params.offset = 1;
    FAILS(OMENDB_ERR_ARGUMENT, omendb_collection_search(docs, &params, &hits, &err));
    params.k = 1;
    params.offset = UINT32_MAX;
    FAILS(OMENDB_ERR_ARGUMENT, omendb_collection_search(docs, &params, &hits, &err));
    params = good;
    params.struct_size = 0;
    FAILS(OMENDB_ERR_ARGUMENT, omendb_collection_search(docs, &params, &hits, &err));
    params = good;
    params.flags = 1u << 9;
    FAILS(OMENDB_ERR_ARGUMENT, omendb_collection_search(docs, &params, &hits, &err));
    params = good;
    params.field = "w";
    FAILS(OMENDB_ERR_NOT_FOUND, omendb_collection_search(docs, &params, &hits, &err));
    params = good;
    params.type = 9;
    FAILS(OMENDB_ERR_ARGUMENT, omendb_collection_search(docs, &params, &hits, &err));
    params.type = OMENDB_BIT;
    FAILS(OMENDB_ERR_ARGUMENT, omendb_collection_search(docs, &params, &hits, &err));
    params = good;
    params.dim = 3;
    FAILS(OMENDB_ERR_DIMENSION, omendb_collection_search(docs, &params, &hits, &err));
    params = good;
    params.query_count = 0;
    FAILS(OMENDB_ERR_ARGUMENT, omendb_collection_search(docs, &params, &hits, &err));
    params = good;
    params.queries = NULL;
    FAILS(OMENDB_ERR_ARGUMENT, omendb_collection_search(docs, &params, &hits, &err));
    params = good;
    params.row_stride = 4;
    FAILS(OMENDB_ERR_ARGUMENT, omendb_collection_search(docs, &params, &hits, &err));
    const float recalls[] = {-0.1f, 1.1f, NAN, INFINITY};
    for (size_t i = 0; i < COUNT_OF(recalls); i++) {
        params = good;
        params.recall = recalls[i];
        FAILS(OMENDB_ERR_ARGUMENT, omendb_collection_search(docs, &params, &hits, &err));
    }
    params = good;
    params.filter = "{\"a\":{\"$foo\":1}}";
    params.filter_size = strlen(params.filter);
    FAILS(OMENDB_ERR_ARGUMENT, omendb_collection_search(docs, &params, &hits, &err));
    CHECK(strstr(err.message, "$foo") != NULL);
    params.filter_size = 5;
    FAILS(OMENDB_ERR_ARGUMENT, omendb_collection_search(docs, &params, &hits, &err));
    const float bad[][2] = {{NAN, 1}, {1, INFINITY}, {0, 0}, {-0.0f, 0}};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        params = good;
        params.queries = bad[i];
        FAILS(OMENDB_ERR_VALUE, omendb_collection_search(docs, &params, &hits, &err));
        CHECK(strstr(err.message, "query 0") != NULL);
    }
    CHECK(hits == NULL);
    /* More wanted than there are. */
    params = good;
    params.k = 10000;
    OK(omendb_collection_search(docs, &params, &hits, &err));
    CHECK(omendb_hits_count(hits, 0) == 15);
    omendb_hits_destroy(hits);
    params.offset = 0;
    params.k = 5;
    params.offset = 12;
    OK(omendb_collection_search(docs, &params, &hits, &err));
    CHECK(omendb_hits_count(hits, 0) == 3);
    omendb_hits_destroy(hits);
    params.offset = 100;
    OK(omendb_collection_search(docs, &params, &hits, &err));
    CHECK(omendb_hits_count(hits, 0) == 0);
    omendb_hits_destroy(hits);
    /* An empty collection; a field nobody has filled. */
    omendb_collection *empty = make(db, "empty", OMENDB_F32, OMENDB_COSINE, 2);
    OK(omendb_collection_search(empty, &good, &hits, &err));
    CHECK(omendb_hits_count(hits, 0) == 0);
    omendb_hits_destroy(hits);
    OK(put(empty, 1, 0, 0, NULL, NULL));
    OK(omendb_collection_search(empty, &good, &hits, &err));
    CHECK(omendb_hits_count(hits, 0) == 0);
    omendb_hits_destroy(hits);
    /* Find: parameters. */
    omendb_documents *documents = NULL;
    omendb_find_params find = OMENDB_FIND_PARAMS_INIT;
    find.flags = OMENDB_EXACT;
    FAILS(OMENDB_ERR_ARGUMENT, omendb_collection_find(docs, &find, &documents, &err));
    find = (omendb_find_params)OMENDB_FIND_PARAMS_INIT;
    find.reserved = 1;
    FAILS(OMENDB_ERR_ARGUMENT, omendb_collection_find(docs, &find, &documents, &err));
    find = (omendb_find_params)OMENDB_FIND_PARAMS_INIT;
    find.filter = "[";
    find.filter_size = 1;
    FAILS(OMENDB_ERR_ARGUMENT, omendb_collection_find(docs, &find, &documents, &err));
    find = (omendb_find_params)OMENDB_FIND_PARAMS_INIT;
    find.struct_size = 2;
    FAILS(OMENDB_ERR_ARGUMENT, omendb_collection_find(docs, &find, &documents, &err));
    find = (omendb_find_params)OMENDB_FIND_PARAMS_INIT;
    find.limit = SIZE_MAX;
    find.timeout_ms = 60000;
    OK(omendb_collection_find(docs, &find, &documents, &err));
    CHECK(omendb_documents_count(documents) == 15);
    omendb_documents_destroy(documents);
    uint64_t count = 0;
    FAILS(OMENDB_ERR_ARGUMENT, omendb_collection_count(docs, "{", 1, &count, &err));
    FAILS(OMENDB_ERR_ARGUMENT, omendb_collection_delete_where(docs, "{", 1, &count, &err));
    CHECK(count_of(docs) == 15);
    omendb_collection_close(docs);
    omendb_collection_close(empty);
    OK(omendb_close(db, &err));
}

int main(int argc, char **argv)
{
    static const struct test tests[] = {
        {"names_every_status", names_every_status},
        {"opens_with_good_options_only", opens_with_good_options_only},
        {"second_writer_is_busy_and_readers_are_read_only",
         second_writer_is_busy_and_readers_are_read_only},
        {"collections_come_and_go", collections_come_and_go},
        {"refuses_null_everywhere", refuses_null_everywhere},
        {"bad_rows_change_nothing", bad_rows_change_nothing},
        {"ids_may_be_anything_that_is_utf8", ids_may_be_anything_that_is_utf8},
        {"vectors_convert_where_every_value_does", vectors_convert_where_every_value_does},
        {"declared_fields_are_held_to_their_type", declared_fields_are_held_to_their_type},
        {"searches_with_good_parameters_only", searches_with_good_parameters_only},
        {NULL, NULL},
    };
    make_path("api-test");
    return test_main(tests, argc, argv);
}

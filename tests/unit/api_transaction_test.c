/* api_transaction_test.c - transactions and conditions through the public API: what they answer, where
 * their limits are, and that a call that fails leaves everything as it was. The model that they are
 * compared with is tests/model/transaction_test.c. */
#include <stdint.h>
#include <sys/wait.h>

#include "api/handles.h"
#include "api_help.h"
#include "base/alloc.h"

enum { DIM = 4 };

static omendb_collection *within(omendb_transaction *transaction, omendb_collection *docs)
{
    omendb_collection *seen = NULL;
    OK(omendb_transaction_collection(transaction, docs, &seen, &err));
    return seen;
}

static omendb_transaction *begin(omendb *db)
{
    omendb_transaction *transaction = NULL;
    OK(omendb_transaction_begin(db, &transaction, &err));
    return transaction;
}

static omendb_status put_if(omendb_collection *docs, uint64_t id, const char *json, uint32_t flags,
                            const uint64_t *version)
{
    omendb_rows rows = OMENDB_ROWS_INIT;
    const uint64_t offsets[2] = {0, strlen(json)};
    rows.count = 1;
    rows.id_numbers = &id;
    rows.json = json;
    rows.json_offsets = offsets;
    rows.flags = flags;
    rows.if_versions = version;
    return omendb_collection_upsert(docs, &rows, &err);
}

/* The document's JSON in `out` ("" when there is none); returns its version. */
static uint64_t get(omendb_collection *docs, uint64_t number, char out[64])
{
    omendb_documents *documents = NULL;
    omendb_document document;
    const omendb_id id = {.number = number};
    OK(omendb_collection_get(docs, &id, 1, OMENDB_WITH_DOCUMENTS, &documents, &err));
    omendb_documents_entry(documents, 0, &document);
    snprintf(out, 64, "%s", document.found ? document.json_view : "");
    const uint64_t version = omendb_documents_version(documents, 0);
    omendb_documents_destroy(documents);
    return version;
}

static void conditions_hold_or_nothing_happens(void)
{
    omendb *db = open_memory();
    omendb_collection *docs = make(db, "docs", OMENDB_F32, OMENDB_L2, DIM);
    char json[64];
    uint64_t version, old;
    OK(put_if(docs, 1, "{\"a\":1}", OMENDB_ROWS_IF_ABSENT, NULL));
    FAILS(OMENDB_ERR_EXISTS, put_if(docs, 1, "{\"a\":2}", OMENDB_ROWS_IF_ABSENT, NULL));
    old = get(docs, 1, json);
    CHECK(strcmp(json, "{\"a\":1}") == 0 && old != 0);
    OK(put_if(docs, 1, "{\"a\":3}", 0, &old));
    FAILS(OMENDB_ERR_CONFLICT, put_if(docs, 1, "{\"a\":4}", 0, &old));
    CHECK(strstr(err.message, "document 1 has version") != NULL);
    version = get(docs, 1, json);
    CHECK(strcmp(json, "{\"a\":3}") == 0 && version > old);
    const uint64_t missing = 0, any = OMENDB_VERSION_ANY;
    FAILS(OMENDB_ERR_EXISTS, put_if(docs, 1, "{}", 0, &missing));
    OK(put_if(docs, 2, "{}", 0, &missing));
    OK(put_if(docs, 2, "{}", 0, &any));
    FAILS(OMENDB_ERR_CONFLICT, put_if(docs, 3, "{}", 0, &old));
    FAILS(OMENDB_ERR_ARGUMENT, put_if(docs, 3, "{}", OMENDB_ROWS_IF_ABSENT, &old));
    FAILS(OMENDB_ERR_ARGUMENT, put_if(docs, 3, "{}", 2, NULL));
    const omendb_id ids[2] = {{.number = 1}, {.number = 2}};
    uint64_t versions[2] = {version, old};
    FAILS(OMENDB_ERR_CONFLICT, omendb_collection_delete_if_version(docs, ids, versions, 2, &err));
    FAILS(OMENDB_ERR_ARGUMENT, omendb_collection_delete_if_version(docs, ids, NULL, 2, &err));
    CHECK(count_of(docs) == 2);
    versions[1] = get(docs, 2, json);
    OK(omendb_collection_delete_if_version(docs, ids, versions, 2, &err));
    FAILS(OMENDB_ERR_CONFLICT, omendb_collection_delete_if_version(docs, ids, versions, 2, &err));
    OK(omendb_collection_delete_if_version(docs, NULL, NULL, 0, &err));
    CHECK(count_of(docs) == 0);
    /* Rows of one batch see one another. */
    omendb_rows rows = OMENDB_ROWS_INIT;
    const uint64_t twice[2] = {7, 7};
    rows.count = 2;
    rows.id_numbers = twice;
    rows.flags = OMENDB_ROWS_IF_ABSENT;
    FAILS(OMENDB_ERR_EXISTS, omendb_collection_upsert(docs, &rows, &err));
    CHECK(count_of(docs) == 0 && get(docs, 7, json) == 0);
    omendb_batch *batch = NULL;
    OK(put_if(docs, 1, "{}", 0, NULL));
    OK(omendb_batch_create(db, &batch, &err));
    rows.count = 1;
    OK(omendb_batch_upsert(batch, docs, &rows, &err));
    OK(omendb_batch_upsert(batch, docs, &rows, &err));
    FAILS(OMENDB_ERR_EXISTS, omendb_batch_commit(batch, OMENDB_DURABILITY_DEFAULT, NULL, &err));
    CHECK(count_of(docs) == 1);
    omendb_batch_destroy(batch);
    omendb_collection_close(docs);
    OK(omendb_close(db, &err));
}

/* A caller compiled before the conditions were there. */
static void older_rows_have_no_conditions(void)
{
    omendb *db = open_memory();
    omendb_collection *docs = make(db, "docs", OMENDB_F32, OMENDB_L2, DIM);
    omendb_rows rows = OMENDB_ROWS_INIT;
    const uint64_t id = 1;
    rows.struct_size = (uint32_t)offsetof(omendb_rows, if_versions);
    rows.count = 1;
    rows.id_numbers = &id;
    rows.if_versions = &id;
    rows.flags = UINT32_MAX;
    OK(omendb_collection_upsert(docs, &rows, &err));
    OK(omendb_collection_upsert(docs, &rows, &err));
    omendb_collection_close(docs);
    OK(omendb_close(db, &err));
}

static void the_first_to_commit_wins(void)
{
    omendb *db = open_memory();
    omendb_collection *docs = make(db, "docs", OMENDB_F32, OMENDB_L2, DIM);
    char json[64];
    uint64_t sequence = 0;
    OK(put_if(docs, 1, "{\"a\":0}", 0, NULL));
    omendb_transaction *one = begin(db), *two = begin(db), *reader = begin(db);
    omendb_collection *in_one = within(one, docs), *in_two = within(two, docs);
    omendb_collection *in_reader = within(reader, docs);
    OK(put_if(in_one, 1, "{\"a\":1}", 0, NULL));
    OK(put_if(in_two, 1, "{\"a\":2}", 0, NULL));
    CHECK(get(in_one, 1, json) == OMENDB_VERSION_OWN && strcmp(json, "{\"a\":1}") == 0);
    CHECK(get(in_two, 1, json) == OMENDB_VERSION_OWN && strcmp(json, "{\"a\":2}") == 0);
    CHECK(get(docs, 1, json) != 0 && strcmp(json, "{\"a\":0}") == 0);
    const uint64_t own = OMENDB_VERSION_OWN;
    OK(put_if(in_one, 1, "{\"a\":3}", 0, &own));
    OK(omendb_transaction_commit(one, OMENDB_DURABILITY_DEFAULT, &sequence, &err));
    FAILS(OMENDB_ERR_CONFLICT,
          omendb_transaction_commit(two, OMENDB_DURABILITY_DEFAULT, NULL, &err));
    CHECK(get(docs, 1, json) == sequence && strcmp(json, "{\"a\":3}") == 0);
    CHECK(get(in_reader, 1, json) < sequence && strcmp(json, "{\"a\":0}") == 0);
    /* It is open still, and sees what it saw. */
    CHECK(get(in_two, 1, json) == OMENDB_VERSION_OWN && strcmp(json, "{\"a\":2}") == 0);
    FAILS(OMENDB_ERR_CONFLICT,
          omendb_transaction_commit(two, OMENDB_DURABILITY_DEFAULT, NULL, &err));
    omendb_transaction_rollback(two);
    uint64_t count = 0;
    FAILS(OMENDB_ERR_MISUSE, omendb_collection_count(in_two, NULL, 0, &count, &err));
    FAILS(OMENDB_ERR_MISUSE, put_if(in_two, 1, "{}", 0, NULL));
    FAILS(OMENDB_ERR_MISUSE, omendb_collection_delete_where(in_two, "{}", 2, NULL, &err));
    FAILS(OMENDB_ERR_MISUSE, put_if(in_one, 1, "{}", 0, NULL));
    omendb_transaction_rollback(two);
    OK(omendb_transaction_commit(reader, OMENDB_DURABILITY_DEFAULT, &sequence, &err));
    CHECK(sequence == omendb_transaction_sequence(reader));
    /* Also a document that wasn't there, and one that was deleted and came again. */
    omendb_transaction *three = begin(db);
    omendb_collection *in_three = within(three, docs);
    const omendb_id id = {.number = 5};
    OK(omendb_collection_delete(in_three, &id, 1, NULL, &err));
    OK(put_if(docs, 5, "{}", 0, NULL));
    FAILS(OMENDB_ERR_CONFLICT,
          omendb_transaction_commit(three, OMENDB_DURABILITY_DEFAULT, NULL, &err));
    OK(omendb_collection_drop(db, "docs", &err));
    FAILS(OMENDB_ERR_NOT_FOUND,
          omendb_transaction_commit(three, OMENDB_DURABILITY_DEFAULT, NULL, &err));
    omendb_collection_close(in_one);
    omendb_collection_close(in_two);
    omendb_collection_close(in_reader);
    omendb_collection_close(in_three);
    omendb_transaction_destroy(one);
    omendb_transaction_destroy(two);
    omendb_transaction_destroy(three);
    omendb_transaction_destroy(reader);
    omendb_collection_close(docs);
    OK(omendb_close(db, &err));
}

static void refuses_what_it_cannot_do(void)
{
    omendb *db = open_memory(), *other = open_memory(), *reader = NULL;
    omendb_collection *docs = make(db, "docs", OMENDB_F32, OMENDB_L2, DIM), *none = NULL;
    omendb_collection *foreign = make(other, "docs", OMENDB_F32, OMENDB_L2, DIM);
    omendb_transaction *transaction = NULL;
    omendb_batch *batch = NULL;
    omendb_options options = OMENDB_OPTIONS_INIT;
    FAILS(OMENDB_ERR_ARGUMENT, omendb_transaction_begin(NULL, &transaction, &err));
    FAILS(OMENDB_ERR_ARGUMENT, omendb_transaction_begin(db, NULL, &err));
    transaction = begin(db);
    FAILS(OMENDB_ERR_ARGUMENT, omendb_transaction_collection(NULL, docs, &none, &err));
    FAILS(OMENDB_ERR_ARGUMENT, omendb_transaction_collection(transaction, NULL, &none, &err));
    FAILS(OMENDB_ERR_ARGUMENT, omendb_transaction_collection(transaction, docs, NULL, &err));
    FAILS(OMENDB_ERR_ARGUMENT, omendb_transaction_collection(transaction, foreign, &none, &err));
    FAILS(OMENDB_ERR_ARGUMENT, omendb_transaction_commit(NULL, 0, NULL, &err));
    FAILS(OMENDB_ERR_ARGUMENT, omendb_transaction_commit(transaction, 4, NULL, &err));
    omendb_collection *seen = within(transaction, docs);
    OK(omendb_batch_create(db, &batch, &err));
    FAILS(OMENDB_ERR_ARGUMENT, omendb_batch_delete(batch, seen, NULL, 0, &err));
    omendb_batch_destroy(batch);
    const float nan[DIM] = {0.0f / 0.0f};
    FAILS(OMENDB_ERR_VALUE, put(seen, 1, OMENDB_F32, DIM, nan, NULL));
    FAILS(OMENDB_ERR_DIMENSION, put(seen, 1, OMENDB_F32, DIM - 1, nan, NULL));
    CHECK(count_of(seen) == 0);
    /* Handles in either order. */
    omendb_transaction_destroy(transaction);
    FAILS(OMENDB_ERR_MISUSE, put_if(seen, 1, "{}", 0, NULL));
    omendb_collection_close(seen);
    omendb_transaction_destroy(NULL);
    omendb_transaction_rollback(NULL);
    CHECK(omendb_transaction_sequence(NULL) == 0);
    omendb_collection_close(docs);
    omendb_collection_close(foreign);
    OK(omendb_close(db, &err));
    OK(omendb_close(other, &err));
    remove_files();
    OK(omendb_open(path, NULL, &db, &err));
    OK(omendb_close(db, &err));
    options.flags = OMENDB_OPEN_READ_ONLY;
    OK(omendb_open(path, &options, &reader, &err));
    FAILS(OMENDB_ERR_READ_ONLY, omendb_transaction_begin(reader, &transaction, &err));
    OK(omendb_close(reader, &err));
    remove_files();
}

/* 16 MiB a document: the seventeenth doesn't go in any more, and those before it stay. */
static void is_full_at_its_limit(void)
{
    enum { SIZE = 16000000 };
    omendb *db = open_memory();
    omendb_collection *docs = make(db, "docs", OMENDB_F32, OMENDB_L2, DIM);
    omendb_transaction *transaction = begin(db);
    omendb_collection *seen = within(transaction, docs);
    char *json = malloc(SIZE + 1);
    CHECK(json != NULL);
    memset(json, 'x', SIZE);
    memcpy(json, "{\"a\":\"", 6);
    memcpy(json + SIZE - 2, "\"}", 3);
    for (uint64_t i = 0; i < 16; i++) OK(put_if(seen, i % 3, json, 0, NULL));
    FAILS(OMENDB_ERR_FULL, put_if(seen, 9, json, 0, NULL));
    CHECK(count_of(seen) == 3);
    OK(put_if(seen, 9, "{}", 0, NULL));
    CHECK(count_of(seen) == 4 && count_of(docs) == 0);
    omendb_transaction_rollback(transaction);
    CHECK(count_of(docs) == 0);
    free(json);
    omendb_collection_close(seen);
    omendb_transaction_destroy(transaction);
    omendb_collection_close(docs);
    OK(omendb_close(db, &err));
}

/* ---- Searches over a graph ---- */

enum { MANY = 6000, K = 10 };
static float vectors[MANY][DIM];
static uint64_t numbers[MANY];

static void upsert_many(omendb_collection *docs, uint64_t first, size_t count, float shift)
{
    omendb_rows rows = OMENDB_ROWS_INIT;
    omendb_vectors column = OMENDB_VECTORS_INIT;
    for (size_t i = 0; i < count; i++) {
        numbers[i] = first + i;
        for (uint32_t j = 0; j < DIM; j++)
            vectors[i][j] = shift +
                            (float)((first + i + 1) * (2654435761u + j * 97) % 65521) / 4096.0f;
    }
    column.data = vectors;
    column.dim = DIM;
    rows.count = count;
    rows.id_numbers = numbers;
    rows.vectors = &column;
    rows.vectors_count = 1;
    OK(omendb_collection_upsert(docs, &rows, &err));
}

/* Of both, the same documents in the same order. */
static void check_same_hits(omendb_collection *seen, omendb_collection *docs, const float *query,
                            uint32_t threads)
{
    omendb_search_params search = OMENDB_SEARCH_PARAMS_INIT;
    omendb_hits *a = NULL, *b = NULL;
    search.queries = query;
    search.query_count = 20;
    search.dim = DIM;
    search.k = K;
    search.threads = threads;
    search.flags = OMENDB_EXACT;
    OK(omendb_collection_search(seen, &search, &a, &err));
    OK(omendb_collection_search(docs, &search, &b, &err));
    for (size_t q = 0; q < 20; q++) {
        CHECK(omendb_hits_count(a, q) == K && omendb_hits_count(b, q) == K);
        for (size_t i = 0; i < K; i++) {
            omendb_hit left, right;
            omendb_hits_entry(a, q, i, &left);
            omendb_hits_entry(b, q, i, &right);
            CHECK(left.document.id.number == right.document.id.number);
            CHECK(memcmp(&left.distance, &right.distance, sizeof left.distance) == 0);
        }
    }
    omendb_hits_destroy(a);
    omendb_hits_destroy(b);
}

static bool goes_by_graph(omendb_collection *docs, const float *query)
{
    omendb_search_params search = OMENDB_SEARCH_PARAMS_INIT;
    omendb_hits *hits = NULL;
    search.queries = query;
    search.query_count = 1;
    search.dim = DIM;
    search.k = K;
    search.ef = 64;
    OK(omendb_collection_search(docs, &search, &hits, &err));
    CHECK(omendb_hits_count(hits, 0) == K);
    const bool graph = strstr(omendb_hits_explain(hits), "\"plan\":\"graph\"") != NULL;
    omendb_hits_destroy(hits);
    return graph;
}

/* Few hidden documents leave the walk, many don't; either way the hits are those of the same writes
 * committed. */
static void searches_see_own_writes_over_a_graph(void)
{
    const size_t written[2] = {100, 1500};
    for (int many = 0; many < 2; many++) {
        omendb *db = open_memory(), *same = open_memory();
        omendb_collection *docs = make(db, "docs", OMENDB_F32, OMENDB_L2, DIM);
        omendb_collection *other = make(same, "docs", OMENDB_F32, OMENDB_L2, DIM);
        upsert_many(docs, 0, MANY, 0.0f);
        upsert_many(other, 0, MANY, 0.0f);
        OK(omendb_collection_wait_indexed(docs, 0, NULL, NULL, &err));
        static float queries[20][DIM];
        memcpy(queries, vectors, sizeof queries);
        omendb_transaction *transaction = begin(db);
        omendb_collection *seen = within(transaction, docs);
        CHECK(goes_by_graph(seen, queries[3]));
        upsert_many(seen, 10, written[many], 0.001f);
        upsert_many(other, 10, written[many], 0.001f);
        upsert_many(seen, MANY, 50, 0.002f);
        upsert_many(other, MANY, 50, 0.002f);
        omendb_id gone[30];
        for (size_t i = 0; i < 30; i++) gone[i] = (omendb_id){.number = 2000 + i};
        uint64_t deleted = 0;
        OK(omendb_collection_delete(seen, gone, 30, &deleted, &err));
        OK(omendb_collection_delete(other, gone, 30, NULL, &err));
        CHECK(deleted == 30 && count_of(seen) == MANY + 20 && count_of(docs) == MANY);
        check_same_hits(seen, other, queries[0], 1);
        check_same_hits(seen, other, queries[0], 4);
        CHECK(goes_by_graph(seen, queries[3]) == (many == 0));
        OK(omendb_transaction_commit(transaction, OMENDB_DURABILITY_DEFAULT, NULL, &err));
        check_same_hits(docs, other, queries[0], 1);
        omendb_collection_close(seen);
        omendb_transaction_destroy(transaction);
        omendb_collection_close(docs);
        omendb_collection_close(other);
        OK(omendb_close(db, &err));
        OK(omendb_close(same, &err));
    }
}

/* Documents [first, last) in one call, of any type; their bytes follow from id and salt, few enough
 * values that distances tie and vectors repeat. */
static void upsert_typed(omendb_collection *docs, omendb_type type, uint32_t dim, uint64_t first,
                         uint64_t last, uint32_t salt)
{
    enum { TYPED_DIM = 32, TYPED_ROWS = 200 };
    static float floats[TYPED_ROWS][TYPED_DIM];
    static uint8_t bytes[TYPED_ROWS][TYPED_DIM];
    static char json[TYPED_ROWS * 16];
    uint64_t offsets[TYPED_ROWS + 1] = {0};
    omendb_rows rows = OMENDB_ROWS_INIT;
    omendb_vectors column = OMENDB_VECTORS_INIT;
    CHECK(dim <= TYPED_DIM && last - first <= TYPED_ROWS);
    const bool is_float = type == OMENDB_F32 || type == OMENDB_F16;
    for (uint64_t i = 0; i < last - first; i++) {
        const uint64_t id = first + i;
        for (uint32_t j = 0; j < dim; j++) {
            const uint32_t value = (uint32_t)(id % 37 * 2654435761u + j * 40503u + salt) >> 7;
            floats[i][j] = (float)(value % 5) - 1.5f;
            bytes[i][j] = (uint8_t)(value % 100);
        }
        offsets[i + 1] = offsets[i] + (uint64_t)snprintf(json + offsets[i], 16, "{\"n\":%u}",
                                                         (unsigned)(id % 3));
        numbers[i] = id;
    }
    column.data = is_float ? (const void *)floats : bytes;
    column.type = is_float ? OMENDB_F32 : type;
    column.dim = dim;
    column.row_stride = is_float ? sizeof floats[0] : sizeof bytes[0];
    rows.count = (size_t)(last - first);
    rows.id_numbers = numbers;
    rows.vectors = &column;
    rows.vectors_count = 1;
    rows.json = json;
    rows.json_offsets = offsets;
    OK(omendb_collection_upsert(docs, &rows, &err));
}

/* Bit by bit the hits of the same documents when they are committed. */
static void every_metric_ranks_own_writes_alike(void)
{
    static const struct {
        omendb_type type;
        omendb_metric metric;
        uint32_t dim;
    } fields[] = {{OMENDB_F32, OMENDB_L2, 7}, {OMENDB_F32, OMENDB_COSINE, 5},
                  {OMENDB_F16, OMENDB_IP, 6}, {OMENDB_F16, OMENDB_COSINE, 8},
                  {OMENDB_I8, OMENDB_L2, 9},  {OMENDB_U8, OMENDB_COSINE, 4},
                  {OMENDB_I8, OMENDB_IP, 3},  {OMENDB_BIT, OMENDB_HAMMING, 24}};
    enum { QUERIES = 9, TYPED_K = 25 };
    for (size_t f = 0; f < COUNT_OF(fields); f++) {
        omendb *db = open_memory();
        omendb_collection *docs = make(db, "docs", fields[f].type, fields[f].metric, fields[f].dim);
        upsert_typed(docs, fields[f].type, fields[f].dim, 0, 150, 1);
        omendb_transaction *transaction = begin(db);
        omendb_collection *seen = within(transaction, docs);
        upsert_typed(seen, fields[f].type, fields[f].dim, 100, 200, 2);
        upsert_typed(seen, fields[f].type, fields[f].dim, 140, 170, 1);
        omendb_hits *hits[2][2] = {{NULL}};
        for (int committed = 0; committed < 2; committed++) {
            for (int filtered = 0; filtered < 2; filtered++) {
                float floats[QUERIES][24];
                uint8_t bytes[QUERIES][24];
                omendb_search_params search = OMENDB_SEARCH_PARAMS_INIT;
                const bool is_float = fields[f].type == OMENDB_F32 || fields[f].type == OMENDB_F16;
                for (uint32_t q = 0; q < QUERIES; q++) {
                    for (uint32_t j = 0; j < 24; j++) {
                        floats[q][j] = (float)((q * 7 + j * 3) % 5) - 1.5f;
                        bytes[q][j] = (uint8_t)((q * 31 + j * 17) % 90 + 1);
                    }
                }
                search.queries = is_float ? (const void *)floats : bytes;
                search.row_stride = is_float ? sizeof floats[0] : sizeof bytes[0];
                search.type = is_float ? OMENDB_F32 : fields[f].type;
                search.dim = fields[f].dim;
                search.query_count = QUERIES;
                search.k = TYPED_K;
                search.offset = 2;
                search.threads = 1 + (uint32_t)filtered;
                if (filtered) {
                    search.filter = "{\"n\":{\"$ne\":1}}";
                    search.filter_size = strlen(search.filter);
                }
                OK(omendb_collection_search(committed ? docs : seen, &search,
                                            &hits[committed][filtered], &err));
            }
            if (!committed)
                OK(omendb_transaction_commit(transaction, OMENDB_DURABILITY_DEFAULT, NULL, &err));
        }
        for (int filtered = 0; filtered < 2; filtered++) {
            for (size_t q = 0; q < QUERIES; q++) {
                CHECK(omendb_hits_count(hits[0][filtered], q) == TYPED_K);
                CHECK(omendb_hits_count(hits[1][filtered], q) == TYPED_K);
                for (size_t i = 0; i < TYPED_K; i++) {
                    omendb_hit own, stored;
                    omendb_hits_entry(hits[0][filtered], q, i, &own);
                    omendb_hits_entry(hits[1][filtered], q, i, &stored);
                    CHECK(own.document.id.number == stored.document.id.number);
                    CHECK(memcmp(&own.distance, &stored.distance, sizeof own.distance) == 0);
                    CHECK(memcmp(&own.score, &stored.score, sizeof own.score) == 0);
                }
            }
            omendb_hits_destroy(hits[0][filtered]);
            omendb_hits_destroy(hits[1][filtered]);
        }
        omendb_collection_close(seen);
        omendb_transaction_destroy(transaction);
        omendb_collection_close(docs);
        OK(omendb_close(db, &err));
    }
}

static void the_fast_path_sees_own_writes(void)
{
    omendb *db = open_memory();
    omendb_collection *docs = make(db, "docs", OMENDB_F32, OMENDB_L2, DIM);
    omendb_transaction *transaction = begin(db);
    omendb_collection *seen = within(transaction, docs);
    const float a[DIM] = {1}, b[DIM] = {2};
    uint64_t ids[4] = {0};
    float scores[4];
    uint32_t found = 0;
    omendb_search_params search = OMENDB_SEARCH_PARAMS_INIT;
    OK(put(docs, 1, OMENDB_F32, DIM, a, NULL));
    OK(put(seen, 2, OMENDB_F32, DIM, b, NULL));
    search.queries = a;
    search.query_count = 1;
    search.dim = DIM;
    search.k = 4;
    OK(omendb_search_vectors(seen, &search, ids, scores, &found, &err));
    CHECK(found == 1 && ids[0] == 2); /* 1 came after the beginning. */
    omendb_rows rows = OMENDB_ROWS_INIT;
    omendb_vectors column = OMENDB_VECTORS_INIT;
    const omendb_id text = {.text_view = "x", .size = 1};
    column.data = a;
    column.dim = DIM;
    rows.count = 1;
    rows.ids = &text;
    rows.vectors = &column;
    rows.vectors_count = 1;
    OK(omendb_collection_upsert(seen, &rows, &err));
    FAILS(OMENDB_ERR_ARGUMENT, omendb_search_vectors(seen, &search, ids, scores, &found, &err));
    omendb_transaction_destroy(transaction);
    omendb_collection_close(seen);
    omendb_collection_close(docs);
    OK(omendb_close(db, &err));
}

static void a_forked_child_changes_nothing(void)
{
    omendb *db = open_memory();
    omendb_collection *docs = make(db, "docs", OMENDB_F32, OMENDB_L2, DIM);
    omendb_transaction *transaction = begin(db), *none = NULL;
    omendb_collection *seen = within(transaction, docs);
    omendb_snapshot *snapshot = NULL;
    OK(omendb_snapshot_create(db, &snapshot, &err));
    OK(put_if(seen, 1, "{}", 0, NULL));
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        FAILS(OMENDB_ERR_MISUSE, omendb_transaction_begin(db, &none, &err));
        FAILS(OMENDB_ERR_MISUSE, omendb_transaction_commit(transaction, 0, NULL, &err));
        FAILS(OMENDB_ERR_MISUSE, put_if(seen, 1, "{}", 0, NULL));
        FAILS(OMENDB_ERR_MISUSE, omendb_snapshot_create(db, &snapshot, &err));
        omendb_transaction_rollback(transaction);
        omendb_transaction_destroy(transaction);
        omendb_snapshot_destroy(snapshot);
        _exit(0);
    }
    int status = -1;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    OK(omendb_transaction_commit(transaction, OMENDB_DURABILITY_DEFAULT, NULL, &err));
    CHECK(count_of(docs) == 1);
    omendb_snapshot_destroy(snapshot);
    omendb_collection_close(seen);
    omendb_transaction_destroy(transaction);
    omendb_collection_close(docs);
    OK(omendb_close(db, &err));
}

/* ---- No memory ---- */

/* A transaction's life; what fails for want of memory is tried again, and has changed nothing. */
static omendb_status live_once(omendb *db, omendb_collection *docs, uint64_t count_before)
{
    omendb_transaction *transaction = NULL;
    omendb_collection *seen = NULL;
    omendb_hits *hits = NULL;
    omendb_documents *documents = NULL;
    omendb_search_params search = OMENDB_SEARCH_PARAMS_INIT;
    const float a[DIM] = {1};
    uint64_t count = 0, deleted = 0;
    search.queries = a;
    search.query_count = 1;
    search.dim = DIM;
    omendb_status status = omendb_transaction_begin(db, &transaction, &err);
    if (status == OMENDB_OK) status = omendb_transaction_collection(transaction, docs, &seen, &err);
    for (uint64_t i = 0; status == OMENDB_OK && i < 20; i++) {
        status = put(seen, i, OMENDB_F32, DIM, a, "{\"a\":1}");
        if (status != OMENDB_OK) break;
        status = omendb_collection_count(seen, NULL, 0, &count, &err);
        CHECK(status != OMENDB_OK || count == (i < count_before ? count_before : i + 1));
    }
    if (status == OMENDB_OK) status = omendb_collection_search(seen, &search, &hits, &err);
    if (status == OMENDB_OK) status = omendb_collection_find(seen, NULL, &documents, &err);
    if (status == OMENDB_OK)
        status = omendb_collection_delete_where(seen, "{\"a\":1}", 7, &deleted, &err);
    if (status == OMENDB_OK) {
        CHECK(omendb_hits_count(hits, 0) == 10 && omendb_documents_count(documents) == 20);
        CHECK(deleted == 20);
        status = omendb_transaction_commit(transaction, OMENDB_DURABILITY_DEFAULT, NULL, &err);
    }
    omendb_hits_destroy(hits);
    omendb_documents_destroy(documents);
    omendb_collection_close(seen);
    omendb_transaction_destroy(transaction);
    return status;
}

static void survives_the_failure_of_every_allocation(void)
{
    omendb *db = open_memory();
    omendb_collection *docs = make(db, "docs", OMENDB_F32, OMENDB_L2, DIM);
    const float b[DIM] = {2};
    long failed = 0;
    for (uint64_t i = 0; i < 5; i++) OK(put(docs, i, OMENDB_F32, DIM, b, "{\"a\":1}"));
    for (long n = 0;; n++) {
        (void)alloc_fail_after(n, 1);
        const omendb_status status = live_once(db, docs, 5);
        const bool was_to_fail = alloc_fail_after(-1, 0) < 0;
        if (status == OMENDB_OK && !was_to_fail) break;
        if (status == OMENDB_OK) { /* It could do without. Everything is deleted now. */
            CHECK(count_of(docs) == 0);
            for (uint64_t i = 0; i < 5; i++) OK(put(docs, i, OMENDB_F32, DIM, b, "{\"a\":1}"));
            continue;
        }
        CHECK(status == OMENDB_ERR_NOMEM);
        CHECK(count_of(docs) == 5);
        failed++;
    }
    CHECK(failed > 10 && count_of(docs) == 0);
    omendb_collection_close(docs);
    OK(omendb_close(db, &err));
}

int main(int argc, char **argv)
{
    static const struct test tests[] = {
        {"conditions_hold_or_nothing_happens", conditions_hold_or_nothing_happens},
        {"older_rows_have_no_conditions", older_rows_have_no_conditions},
        {"the_first_to_commit_wins", the_first_to_commit_wins},
        {"refuses_what_it_cannot_do", refuses_what_it_cannot_do},
        {"is_full_at_its_limit", is_full_at_its_limit},
        {"searches_see_own_writes_over_a_graph", searches_see_own_writes_over_a_graph},
        {"every_metric_ranks_own_writes_alike", every_metric_ranks_own_writes_alike},
        {"the_fast_path_sees_own_writes", the_fast_path_sees_own_writes},
        {"a_forked_child_changes_nothing", a_forked_child_changes_nothing},
        {"survives_the_failure_of_every_allocation", survives_the_failure_of_every_allocation},
        {NULL, NULL},
    };
    make_path("transaction");
    return test_main(tests, argc, argv);
}

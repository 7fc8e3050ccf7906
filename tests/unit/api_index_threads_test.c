/* api_index_threads_test.c - searches, writes, statistics and waits while profiles are switched and
 * the graph is built. Meant to be run under ThreadSanitizer too. */
#include "api_help.h"
#include "base/atomics.h"
#include "os/thread.h"

enum { DIM = 36, COUNT = 4500, SWITCHES = 6, WORKERS = 4 };

static omendb *db;
static omendb_collection *docs;
static float vectors[COUNT * DIM];
static atomic_u32 stop;
static atomic_u64 searches;

static void load(void)
{
    static uint64_t ids[COUNT];
    omendb_rows rows = OMENDB_ROWS_INIT;
    omendb_vectors column = OMENDB_VECTORS_INIT;
    uint32_t state = 7;
    for (uint32_t i = 0; i < COUNT * DIM; i++) {
        state = state * 1664525u + 1013904223u;
        vectors[i] = (float)(state >> 8) * 0x1p-24f - 0.5f;
    }
    for (uint32_t i = 0; i < COUNT; i++) ids[i] = i;
    column.dim = DIM;
    column.data = vectors;
    rows.count = COUNT;
    rows.id_numbers = ids;
    rows.vectors = &column;
    rows.vectors_count = 1;
    OK(omendb_collection_upsert(docs, &rows, &err));
}

/* The document with just the query's bytes comes first, however it is searched. */
static void search_some(uint32_t row)
{
    omendb_search_params params = OMENDB_SEARCH_PARAMS_INIT;
    omendb_error error;
    uint64_t ids[5];
    float scores[5];
    uint32_t found = 0;
    params.queries = vectors + (size_t)row * DIM;
    params.query_count = 1;
    params.dim = DIM;
    params.k = 5;
    params.ef = row % 2 != 0 ? 40 : 0;
    CHECK(omendb_search_vectors(docs, &params, ids, scores, &found, &error) == OMENDB_OK);
    CHECK(found == 5 && ids[0] == row);
    (void)atomic_add_u64(&searches, 1);
}

static void write_and_delete(uint32_t round)
{
    const uint64_t id = COUNT + round % 50;
    const omendb_id gone = {NULL, 0, COUNT + (round + 25) % 50};
    const float far[DIM] = {(float)(100 + round), 0, 0, 0, 0, 0, 0, 1};
    omendb_error error;
    omendb_rows rows = OMENDB_ROWS_INIT;
    omendb_vectors column = OMENDB_VECTORS_INIT;
    column.dim = DIM;
    column.data = far;
    rows.count = 1;
    rows.id_numbers = &id;
    rows.vectors = &column;
    rows.vectors_count = 1;
    CHECK(omendb_collection_upsert(docs, &rows, &error) == OMENDB_OK);
    CHECK(omendb_collection_delete(docs, &gone, 1, NULL, &error) == OMENDB_OK);
}

static void look(void)
{
    omendb_error error;
    char *text = NULL;
    CHECK(omendb_stats(db, &text, &error) == OMENDB_OK);
    omendb_text_destroy(text);
    CHECK(omendb_collection_describe(docs, &text, &error) == OMENDB_OK);
    omendb_text_destroy(text);
    const omendb_status status = omendb_collection_wait_indexed(docs, 20, NULL, NULL, &error);
    CHECK(status == OMENDB_OK || status == OMENDB_ERR_TIMEOUT);
}

static void switch_profiles(void)
{
    for (uint32_t i = 0; i < SWITCHES; i++) {
        const uint64_t before = atomic_load_relaxed_u64(&searches);
        OK(omendb_collection_set_index(docs, NULL, OMENDB_INDEX_FAST + i % 3, &err));
        while (atomic_load_relaxed_u64(&searches) < before + 200) thread_yield();
    }
    OK(omendb_collection_set_index(docs, NULL, OMENDB_INDEX_FAST, &err));
    atomic_store_release_u32(&stop, 1); /* with work() */
}

static void work(void *context, uint32_t worker)
{
    (void)context;
    if (worker == 0) switch_profiles();
    for (uint32_t round = 0; atomic_load_acquire_u32(&stop) == 0; round++) {
        if (worker == 1) look();
        else if (worker == 2) write_and_delete(round);
        else search_some((round * 37u) % COUNT);
    }
}

static void answers_stay_right_while_everything_moves(void)
{
    omendb_options options = OMENDB_OPTIONS_INIT;
    remove_files();
    options.durability = OMENDB_DURABILITY_NONE;
    options.index_threads = 2;
    OK(omendb_open(path, &options, &db, &err));
    docs = make(db, "docs", OMENDB_F32, OMENDB_L2, DIM);
    load();
    thread_parallel(WORKERS, WORKERS, work, NULL);
    OK(omendb_collection_wait_indexed(docs, 0, NULL, NULL, &err));
    for (uint32_t i = 0; i < 100; i++) search_some(i);
    omendb_collection_close(docs);
    OK(omendb_close(db, &err));
    OK(omendb_open(path, &options, &db, &err));
    char *report = NULL;
    OK(omendb_check(db, OMENDB_CHECK_DEEP, &report, &err));
    if (strstr(report, "\"ok\":true") == NULL) fprintf(stderr, "%s\n", report);
    CHECK(strstr(report, "\"ok\":true") != NULL);
    omendb_text_destroy(report);
    OK(omendb_close(db, &err));
    remove_files();
}

int main(int argc, char **argv)
{
    static const struct test tests[] = {
        {"answers_stay_right_while_everything_moves", answers_stay_right_while_everything_moves},
        {NULL, NULL},
    };
    make_path("index-threads");
    return test_main(tests, argc, argv);
}

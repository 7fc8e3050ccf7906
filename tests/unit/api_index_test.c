/* api_index_test.c - how vector fields are indexed, as a caller sees it: profiles in schemas and
 * online, waiting with progress, what a search and the statistics say about it. */
#include <math.h>
#include <stdint.h>

#include "api_help.h"

enum { DIM = 40, COUNT = 6000 };

static float vectors[COUNT * DIM];

static void make_vectors(void)
{
    uint64_t state = 42;
    for (size_t i = 0; i < (size_t)COUNT * DIM; i++) {
        float sum = 0;
        for (int j = 0; j < 4; j++) {
            state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
            sum += (float)(state >> 40) * 0x1p-24f - 0.5f;
        }
        vectors[i] = sum;
    }
}

/* Documents first .. first + count, each with the vector of its number. */
static void load(omendb_collection *collection, uint64_t first, size_t count)
{
    static uint64_t ids[COUNT];
    omendb_rows rows = OMENDB_ROWS_INIT;
    omendb_vectors column = OMENDB_VECTORS_INIT;
    for (size_t i = 0; i < count; i++) ids[i] = first + i;
    column.dim = DIM;
    column.data = vectors + first * DIM;
    rows.count = count;
    rows.id_numbers = ids;
    rows.vectors = &column;
    rows.vectors_count = 1;
    OK(omendb_collection_upsert(collection, &rows, &err));
}

static omendb_status create_with(omendb *db, omendb_type type, uint32_t dim, omendb_index index,
                                 omendb_collection **out)
{
    omendb_vector_field field = OMENDB_VECTOR_FIELD_INIT;
    omendb_schema schema = OMENDB_SCHEMA_INIT;
    field.name = "v";
    field.type = type;
    field.metric = type == OMENDB_BIT ? OMENDB_HAMMING : OMENDB_L2;
    field.dim = dim;
    field.index = index;
    schema.vectors = &field;
    schema.vectors_count = 1;
    return omendb_collection_create(db, "docs", &schema, out, &err);
}

static void check_described(omendb_collection *collection, const char *index)
{
    char *text = NULL, wanted[64];
    OK(omendb_collection_describe(collection, &text, &err));
    (void)snprintf(wanted, sizeof wanted, "\"index\":\"%s\"", index);
    CHECK(strstr(text, wanted) != NULL);
    omendb_text_destroy(text);
}

static bool stats_say(omendb *db, const char *part)
{
    char *text = NULL;
    OK(omendb_stats(db, &text, &err));
    const bool said = strstr(text, part) != NULL;
    omendb_text_destroy(text);
    return said;
}

static omendb_hits *search_near(omendb_collection *collection, size_t row, uint32_t k, uint32_t ef,
                                float recall, uint32_t flags)
{
    omendb_search_params params = OMENDB_SEARCH_PARAMS_INIT;
    omendb_hits *hits = NULL;
    params.queries = vectors + row * DIM;
    params.query_count = 1;
    params.dim = DIM;
    params.k = k;
    params.ef = ef;
    params.recall = recall;
    params.flags = flags;
    OK(omendb_collection_search(collection, &params, &hits, &err));
    CHECK(omendb_hits_count(hits, 0) == k);
    return hits;
}

static void explains(omendb_collection *collection, uint32_t ef, float recall, uint32_t flags,
                     const char *part)
{
    omendb_hits *hits = search_near(collection, 7, 5, ef, recall, flags);
    if (strstr(omendb_hits_explain(hits), part) == NULL)
        fprintf(stderr, "%s\n", omendb_hits_explain(hits));
    CHECK(strstr(omendb_hits_explain(hits), part) != NULL);
    omendb_hits_destroy(hits);
}

/* ---- Schemas ---- */

static void a_field_gets_the_index_that_it_was_made_with(void)
{
    const struct {
        omendb_type type;
        uint32_t dim;
        omendb_index index;
        const char *described; /* NULL: refused. */
    } rows[] = {
        {OMENDB_F32, 4, OMENDB_INDEX_DEFAULT, "fast"},
        {OMENDB_F32, 3, OMENDB_INDEX_DEFAULT, "exact"},
        {OMENDB_F16, 4, OMENDB_INDEX_FAST, "fast"},
        {OMENDB_BF16, 16, OMENDB_INDEX_COMPACT, "compact"},
        {OMENDB_F32, 16, OMENDB_INDEX_EXACT, "exact"},
        {OMENDB_BIT, 16, OMENDB_INDEX_DEFAULT, "exact"},
        {OMENDB_I8, 16, OMENDB_INDEX_EXACT, "exact"},
        {OMENDB_BIT, 16, OMENDB_INDEX_FAST, NULL},
        {OMENDB_U8, 16, OMENDB_INDEX_COMPACT, NULL},
        {OMENDB_F32, 3, OMENDB_INDEX_FAST, NULL},
        {OMENDB_F32, 16, 4, NULL},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        omendb *db = open_memory();
        omendb_collection *docs = NULL;
        if (rows[i].described == NULL) {
            FAILS(OMENDB_ERR_ARGUMENT,
                  create_with(db, rows[i].type, rows[i].dim, rows[i].index, &docs));
            FAILS(OMENDB_ERR_NOT_FOUND, omendb_collection_open(db, "docs", &docs, &err));
        } else {
            OK(create_with(db, rows[i].type, rows[i].dim, rows[i].index, &docs));
            check_described(docs, rows[i].described);
            omendb_collection_close(docs);
        }
        OK(omendb_close(db, &err));
    }
}

/* What omendb_vector_field was before it had an index, and what it may become. */
struct older_field {
    uint32_t struct_size, dim;
    const char *name;
    omendb_type type;
    omendb_metric metric;
};
struct newer_field {
    omendb_vector_field known;
    uint64_t unknown;
};

static void fields_of_older_and_newer_callers_are_read(void)
{
    const struct older_field older[2] = {
        {sizeof *older, 8, "a", OMENDB_F32, OMENDB_L2},
        {sizeof *older, 9, "b", OMENDB_F16, OMENDB_COSINE},
    };
    struct newer_field newer[2] = {{.known = OMENDB_VECTOR_FIELD_INIT},
                                   {.known = OMENDB_VECTOR_FIELD_INIT}};
    omendb *db = open_memory();
    omendb_collection *docs = NULL;
    omendb_schema schema = OMENDB_SCHEMA_INIT;
    schema.vectors_count = 2;
    schema.vectors = (const void *)older;
    OK(omendb_collection_create(db, "older", &schema, &docs, &err));
    check_described(docs, "fast");
    omendb_collection_close(docs);
    for (uint32_t i = 0; i < 2; i++) {
        newer[i].known.struct_size = sizeof *newer;
        newer[i].known.name = i == 0 ? "a" : "b";
        newer[i].known.dim = 8;
    }
    newer[1].known.index = OMENDB_INDEX_COMPACT;
    schema.vectors = &newer[0].known;
    OK(omendb_collection_create(db, "newer", &schema, &docs, &err));
    check_described(docs, "compact");
    omendb_collection_close(docs);
    newer[1].unknown = 1;
    FAILS(OMENDB_ERR_UNSUPPORTED, omendb_collection_create(db, "x", &schema, NULL, &err));
    newer[1].unknown = 0;
    newer[1].known.struct_size = sizeof newer[1].known; /* Not that of the first. */
    FAILS(OMENDB_ERR_ARGUMENT, omendb_collection_create(db, "x", &schema, NULL, &err));
    newer[1].known.struct_size = sizeof *newer;
    newer[0].known.reserved = 1;
    FAILS(OMENDB_ERR_ARGUMENT, omendb_collection_create(db, "x", &schema, NULL, &err));
    OK(omendb_close(db, &err));
}

/* ---- Online ---- */

static void an_index_is_switched_online_and_remembered(void)
{
    omendb *db = NULL;
    omendb_collection *docs = NULL;
    omendb_options options = OMENDB_OPTIONS_INIT;
    remove_files();
    OK(omendb_open(path, NULL, &db, &err));
    OK(create_with(db, OMENDB_F32, DIM, OMENDB_INDEX_COMPACT, &docs));
    omendb_collection_close(docs);
    OK(omendb_close(db, &err));
    OK(omendb_open(path, NULL, &db, &err));
    OK(omendb_collection_open(db, "docs", &docs, &err));
    check_described(docs, "compact");
    FAILS(OMENDB_ERR_ARGUMENT, omendb_collection_set_index(docs, "v", 4, &err));
    FAILS(OMENDB_ERR_NOT_FOUND, omendb_collection_set_index(docs, "w", OMENDB_INDEX_FAST, &err));
    FAILS(OMENDB_ERR_ARGUMENT, omendb_collection_set_index(NULL, "v", OMENDB_INDEX_FAST, &err));
    check_described(docs, "compact");
    OK(omendb_collection_set_index(docs, "v", OMENDB_INDEX_EXACT, &err));
    check_described(docs, "exact");
    OK(omendb_collection_set_index(docs, NULL, OMENDB_INDEX_EXACT, &err));
    omendb_collection_close(docs);
    OK(omendb_close(db, &err));
    options.flags = OMENDB_OPEN_READ_ONLY;
    OK(omendb_open(path, &options, &db, &err));
    OK(omendb_collection_open(db, "docs", &docs, &err));
    check_described(docs, "exact");
    FAILS(OMENDB_ERR_READ_ONLY, omendb_collection_set_index(docs, "v", OMENDB_INDEX_FAST, &err));
    FAILS(OMENDB_ERR_READ_ONLY, omendb_collection_wait_indexed(docs, 0, NULL, NULL, &err));
    omendb_collection_close(docs);
    OK(omendb_close(db, &err));
    OK(omendb_open(path, NULL, &db, &err));
    OK(omendb_collection_open(db, "docs", &docs, &err));
    OK(omendb_collection_set_index(docs, "v", OMENDB_INDEX_DEFAULT, &err));
    check_described(docs, "fast");
    OK(omendb_collection_drop(db, "docs", &err));
    FAILS(OMENDB_ERR_NOT_FOUND, omendb_collection_set_index(docs, "v", OMENDB_INDEX_FAST, &err));
    FAILS(OMENDB_ERR_NOT_FOUND, omendb_collection_wait_indexed(docs, 0, NULL, NULL, &err));
    omendb_collection_close(docs);
    OK(create_with(db, OMENDB_U8, DIM, OMENDB_INDEX_DEFAULT, &docs));
    FAILS(OMENDB_ERR_ARGUMENT, omendb_collection_set_index(docs, "v", OMENDB_INDEX_FAST, &err));
    OK(omendb_collection_set_index(docs, "v", OMENDB_INDEX_EXACT, &err));
    omendb_collection_close(docs);
    OK(omendb_close(db, &err));
    remove_files();
}

static void searches_go_on_while_the_index_changes(void)
{
    static const omendb_index turns[] = {OMENDB_INDEX_COMPACT, OMENDB_INDEX_EXACT,
                                         OMENDB_INDEX_FAST};
    static const char *const walks[] = {"\"walk\":\"codes\"", "\"why_exact\":\"the field's index",
                                        "\"walk\":\"edges\""};
    omendb *db = open_memory();
    omendb_collection *docs = NULL;
    OK(create_with(db, OMENDB_F32, DIM, OMENDB_INDEX_DEFAULT, &docs));
    load(docs, 0, COUNT);
    OK(omendb_collection_wait_indexed(docs, 0, NULL, NULL, &err));
    explains(docs, 64, 0, 0, "\"walk\":\"edges\"");
    for (size_t i = 0; i < COUNT_OF(turns); i++) {
        OK(omendb_collection_set_index(docs, "v", turns[i], &err));
        omendb_hits_destroy(search_near(docs, i, 10, 0, 0, 0));
        OK(omendb_collection_wait_indexed(docs, 0, NULL, NULL, &err));
        explains(docs, 64, 0, 0, walks[i]);
    }
    omendb_collection_close(docs);
    OK(omendb_close(db, &err));
}

/* ---- Waiting ---- */

struct report {
    uint32_t calls, stop_at;
    uint64_t indexed, total;
    omendb *interrupted;
};

static int note(void *context, uint64_t indexed, uint64_t total)
{
    struct report *report = context;
    CHECK(indexed <= total);
    report->indexed = indexed;
    report->total = total;
    if (report->interrupted != NULL) omendb_interrupt(report->interrupted);
    return ++report->calls == report->stop_at;
}

static void waiting_reports_and_ends_when_all_is_indexed(void)
{
    omendb *db = open_memory();
    omendb_collection *docs = NULL;
    struct report report = {0};
    OK(create_with(db, OMENDB_F32, DIM, OMENDB_INDEX_DEFAULT, &docs));
    load(docs, 0, 100);
    OK(omendb_collection_wait_indexed(docs, 0, note, &report, &err));
    CHECK(report.calls >= 2 && report.total == 0); /* Too few for a graph. */
    CHECK(stats_say(db, "\"state\":\"none\"") && stats_say(db, "\"unindexed\":100"));
    load(docs, 100, COUNT - 100);
    OK(omendb_collection_wait_indexed(docs, 0, note, &report, &err));
    CHECK(report.indexed == COUNT && report.total == COUNT);
    CHECK(
        stats_say(db, "\"profile\":\"fast\",\"state\":\"ready\",\"indexed\":6000,\"unindexed\":0"));
    CHECK(stats_say(db, "\"calibration\":{\"vectors\":") && stats_say(db, "{\"recall\":0.95,"));
    CHECK(stats_say(db, "],\"unindexed\":0,"));                    /* Of the whole database. */
    OK(omendb_collection_wait_indexed(docs, 1, NULL, NULL, &err)); /* Nothing to wait for. */
    omendb_collection_close(docs);
    OK(omendb_close(db, &err));
}

static void waiting_can_be_ended(void)
{
    omendb *db = open_memory();
    omendb_collection *docs = NULL;
    struct report stopping = {.stop_at = 1}, interrupting = {.interrupted = db};
    uint32_t timeouts = 0;
    OK(create_with(db, OMENDB_F32, DIM, OMENDB_INDEX_DEFAULT, &docs));
    load(docs, 0, COUNT);
    FAILS(OMENDB_ERR_INTERRUPTED, omendb_collection_wait_indexed(docs, 0, note, &stopping, &err));
    CHECK(stopping.calls == 1);
    /* On a machine that stops us for a while all may be done before we look. */
    for (uint32_t i = 0; i < 20 && timeouts == 0; i++) {
        OK(omendb_collection_delete_where(docs, "{}", 2, NULL, &err));
        load(docs, 0, COUNT);
        const omendb_status status = omendb_collection_wait_indexed(docs, 1, NULL, NULL, &err);
        CHECK(status == OMENDB_OK || status == OMENDB_ERR_TIMEOUT);
        timeouts += status == OMENDB_ERR_TIMEOUT;
    }
    CHECK(timeouts == 1);
    omendb_status status = OMENDB_OK;
    for (uint32_t i = 0; i < 20 && status == OMENDB_OK; i++) {
        OK(omendb_collection_delete_where(docs, "{}", 2, NULL, &err));
        load(docs, 0, COUNT);
        status = omendb_collection_wait_indexed(docs, 0, note, &interrupting, &err);
    }
    CHECK(status == OMENDB_ERR_INTERRUPTED);
    omendb_collection_close(docs);
    OK(omendb_close(db, &err));
}

static void what_is_not_indexed_at_close_is_indexed_after_the_next_open(void)
{
    omendb *db = NULL;
    omendb_collection *docs = NULL;
    omendb_options options = OMENDB_OPTIONS_INIT;
    struct report report = {0};
    remove_files();
    options.index_threads = OMENDB_INDEX_THREADS_MAX + 1;
    FAILS(OMENDB_ERR_ARGUMENT, omendb_open(path, &options, &db, &err));
    options.index_threads = 2;
    OK(omendb_open(path, &options, &db, &err));
    OK(create_with(db, OMENDB_F32, DIM, OMENDB_INDEX_DEFAULT, &docs));
    load(docs, 0, COUNT);
    omendb_collection_close(docs);
    OK(omendb_close(db, &err));
    OK(omendb_open(path, &options, &db, &err));
    OK(omendb_collection_open(db, "docs", &docs, &err));
    omendb_hits_destroy(search_near(docs, 0, 10, 0, 0, 0)); /* Complete at any time. */
    OK(omendb_collection_wait_indexed(docs, 0, note, &report, &err));
    CHECK(report.indexed == COUNT && report.total == COUNT);
    explains(docs, 64, 0, 0, "\"plan\":\"graph\"");
    omendb_collection_close(docs);
    OK(omendb_close(db, &err));
    /* A reader uses what is there, and says so. */
    options.flags = OMENDB_OPEN_READ_ONLY;
    OK(omendb_open(path, &options, &db, &err));
    OK(omendb_collection_open(db, "docs", &docs, &err));
    explains(docs, 64, 0, 0, "\"plan\":\"graph\"");
    omendb_collection_close(docs);
    OK(omendb_close(db, &err));
    remove_files();
}

/* ---- Searching ---- */

static void a_search_says_how_it_was_run(void)
{
    omendb *db = open_memory();
    omendb_collection *docs = NULL;
    OK(create_with(db, OMENDB_F32, DIM, OMENDB_INDEX_DEFAULT, &docs));
    load(docs, 0, 100);
    explains(docs, 0, 0, 0, "\"plan\":\"exact\",\"why_exact\":\"there is no graph yet\"");
    load(docs, 100, COUNT - 100);
    OK(omendb_collection_wait_indexed(docs, 0, NULL, NULL, &err));
    explains(docs, 33, 0, 0, "\"ef\":33");
    explains(docs, 33, 0, 0, "\"recall_expected\":0.");
    explains(docs, 33, 0, 0, "\"hops\":");
    explains(docs, 0, 0, OMENDB_EXACT, "\"why_exact\":\"exact answers were asked for\"");
    explains(docs, 0, 1, 0, "\"why_exact\":\"exact answers were asked for\"");
    omendb_search_params params = OMENDB_SEARCH_PARAMS_INIT;
    omendb_hits *hits = NULL;
    params.queries = vectors;
    params.query_count = 1;
    params.dim = DIM;
    params.filter = "{\"x\":{\"$exists\":false}}";
    params.filter_size = strlen(params.filter);
    OK(omendb_collection_search(docs, &params, &hits, &err));
    CHECK(strstr(omendb_hits_explain(hits), "\"why_exact\":\"there is a filter\"") != NULL);
    omendb_hits_destroy(hits);
    omendb_collection_close(docs);
    OK(omendb_close(db, &err));
}

static void effort_that_makes_no_sense_is_refused(void)
{
    static const struct {
        uint32_t k, offset, ef;
        float recall;
    } rows[] = {
        {10, 0, 9, 0},          {10, 5, 14, 0},       {10, 0, OMENDB_EF_MAX + 1, 0},
        {0, 0, 9, 0},           {10, 0, 0, -0.5f},    {10, 0, 0, 1.0001f},
        {10, 0, 0, (float)NAN}, {10, 0, 0, INFINITY}, {OMENDB_K_MAX + 1, 0, 0, 0},
    };
    omendb *db = open_memory();
    omendb_collection *docs = NULL;
    omendb_hits *hits = NULL;
    OK(create_with(db, OMENDB_F32, DIM, OMENDB_INDEX_DEFAULT, &docs));
    load(docs, 0, 100);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        omendb_search_params params = OMENDB_SEARCH_PARAMS_INIT;
        params.queries = vectors;
        params.query_count = 1;
        params.dim = DIM;
        params.k = rows[i].k;
        params.offset = rows[i].offset;
        params.ef = rows[i].ef;
        params.recall = rows[i].recall;
        FAILS(OMENDB_ERR_ARGUMENT, omendb_collection_search(docs, &params, &hits, &err));
        CHECK(hits == NULL);
    }
    omendb_collection_close(docs);
    OK(omendb_close(db, &err));
}

int main(int argc, char **argv)
{
    static const struct test tests[] = {
        {"a_field_gets_the_index_that_it_was_made_with",
         a_field_gets_the_index_that_it_was_made_with},
        {"fields_of_older_and_newer_callers_are_read", fields_of_older_and_newer_callers_are_read},
        {"an_index_is_switched_online_and_remembered", an_index_is_switched_online_and_remembered},
        {"searches_go_on_while_the_index_changes", searches_go_on_while_the_index_changes},
        {"waiting_reports_and_ends_when_all_is_indexed",
         waiting_reports_and_ends_when_all_is_indexed},
        {"waiting_can_be_ended", waiting_can_be_ended},
        {"what_is_not_indexed_at_close_is_indexed_after_the_next_open",
         what_is_not_indexed_at_close_is_indexed_after_the_next_open},
        {"a_search_says_how_it_was_run", a_search_says_how_it_was_run},
        {"effort_that_makes_no_sense_is_refused", effort_that_makes_no_sense_is_refused},
        {NULL, NULL},
    };
    make_path("index");
    make_vectors();
    return test_main(tests, argc, argv);
}

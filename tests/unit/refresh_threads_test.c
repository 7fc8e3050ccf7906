/* refresh_threads_test.c - a writer, threads that refresh one read-only handle, and threads that read,
 * list, take snapshots and interrupt through it. Meant to be run under ThreadSanitizer too. */
#include "api_help.h"
#include "base/atomics.h"
#include "os/thread.h"

enum { DIM = 16, BODY = 8, BATCHES = 1500, PADDING = 2000, READERS = 3, REFRESHERS = 2 };

static omendb *writer, *reader;
static omendb_collection *read_docs; /* One handle that all threads share. */
static atomic_u64 written;           /* The newest batch that was acknowledged. */
static atomic_u32 stop;

/* Batch n writes n into all documents. */
static void write_number(omendb_collection *docs, uint32_t n)
{
    static char json[BODY * (PADDING + 32)];
    omendb_error error;
    uint64_t ids[BODY], offsets[BODY + 1] = {0};
    static float vectors[BODY][DIM];
    omendb_rows rows = OMENDB_ROWS_INIT;
    omendb_vectors column = OMENDB_VECTORS_INIT;
    for (uint32_t i = 0; i < BODY; i++) {
        ids[i] = i + 1;
        vectors[i][0] = (float)n;
        vectors[i][1] = (float)i;
        offsets[i + 1] = offsets[i] + (uint64_t)snprintf(json + offsets[i], PADDING + 32,
                                                         "{\"n\":\"%0*u\"}", (int)(n % PADDING), n);
    }
    column.dim = DIM;
    column.data = vectors;
    rows.count = BODY;
    rows.id_numbers = ids;
    rows.vectors = &column;
    rows.vectors_count = 1;
    rows.json = json;
    rows.json_offsets = offsets;
    CHECK(omendb_collection_upsert(docs, &rows, &error) == OMENDB_OK);
}

static void writer_main(void *context)
{
    omendb_collection *docs = context;
    omendb_error error;
    for (uint32_t n = 2; n <= BATCHES; n++) {
        write_number(docs, n);
        atomic_store_release_u64(&written, n); /* with refresher_main() */
        if (n % 100 == 0) {                    /* Something of the catalog too. */
            omendb_collection_close(make(writer, "other", OMENDB_F32, OMENDB_L2, DIM));
            CHECK(omendb_collection_rename(writer, "other", "else", &error) == OMENDB_OK);
            CHECK(omendb_collection_drop(writer, "else", &error) == OMENDB_OK);
        }
    }
    atomic_store_release_u32(&stop, 1);
}

/* The batch that all documents are of; several calls may straddle a refresh, one call doesn't. */
static uint64_t number_seen(omendb_collection *docs)
{
    omendb_error error;
    omendb_id ids[BODY];
    omendb_documents *documents = NULL;
    for (uint64_t i = 0; i < BODY; i++) ids[i] = (omendb_id){.number = i + 1};
    omendb_status status = OMENDB_ERR_INTERRUPTED;
    while (status == OMENDB_ERR_INTERRUPTED) /* By a thread that does nothing else. */
        status = omendb_collection_get(docs, ids, BODY, OMENDB_WITH_VECTORS | OMENDB_WITH_DOCUMENTS,
                                       &documents, &error);
    if (status != OMENDB_OK) fprintf(stderr, "%s: %s\n", omendb_status_name(status), error.message);
    CHECK(status == OMENDB_OK);
    const float *first = omendb_documents_vector(documents, 0, NULL, NULL, NULL);
    const float number = first[0];
    for (size_t i = 1; i < BODY; i++) {
        const float *vector = omendb_documents_vector(documents, i, NULL, NULL, NULL);
        CHECK(vector != NULL && vector[0] == number);
    }
    omendb_documents_destroy(documents);
    return (uint64_t)number;
}

static void refresher_main(void *context)
{
    uint64_t last = 0;
    (void)context;
    while (atomic_load_acquire_u32(&stop) == 0) {
        omendb_error error;
        const uint64_t before = atomic_load_acquire_u64(&written);
        const omendb_status status = omendb_refresh(reader, &error);
        CHECK(status == OMENDB_OK || status == OMENDB_ERR_BUSY);
        const uint64_t seen = number_seen(read_docs);
        CHECK(seen >= last && (status != OMENDB_OK || seen >= before));
        last = seen;
        thread_yield();
    }
}

static void searches(omendb_collection *docs)
{
    omendb_search_params params = OMENDB_SEARCH_PARAMS_INIT;
    omendb_error error;
    const float query[DIM] = {0};
    float scores[BODY + 1];
    uint64_t ids[BODY + 1];
    uint32_t found = 0;
    params.queries = query;
    params.query_count = 1;
    params.dim = DIM;
    params.k = BODY + 1;
    const omendb_status status = omendb_search_vectors(docs, &params, ids, scores, &found, &error);
    CHECK(status == OMENDB_OK || status == OMENDB_ERR_INTERRUPTED);
    if (status != OMENDB_OK) return;
    CHECK(found == BODY);
    for (uint32_t i = 0; i < BODY; i++) CHECK(ids[i] == i + 1);
}

static void reader_main(void *context)
{
    const uint32_t kind = *(const uint32_t *)context;
    uint64_t last = 0;
    while (atomic_load_acquire_u32(&stop) == 0) {
        omendb_error error;
        char *text = NULL;
        searches(read_docs);
        if (kind == 0) {
            omendb_snapshot *snapshot = NULL;
            omendb_collection *seen = NULL;
            CHECK(omendb_snapshot_create(reader, &snapshot, &error) == OMENDB_OK);
            CHECK(omendb_snapshot_collection(snapshot, read_docs, &seen, &error) == OMENDB_OK);
            const uint64_t kept = number_seen(seen);
            CHECK(kept >= last);
            last = kept;
            for (int i = 0; i < 5; i++) {
                searches(seen);
                CHECK(number_seen(seen) == kept);
                thread_yield();
            }
            omendb_snapshot_destroy(snapshot);
            omendb_collection_close(seen);
        } else if (kind == 1) {
            omendb_collection *docs = NULL;
            CHECK(omendb_collection_open(reader, "docs", &docs, &error) == OMENDB_OK);
            CHECK(omendb_collection_list(reader, &text, &error) == OMENDB_OK);
            omendb_text_destroy(text);
            const uint64_t seen = number_seen(docs);
            CHECK(seen >= last);
            last = seen;
            omendb_collection_close(docs);
        } else {
            CHECK(omendb_stats(reader, &text, &error) == OMENDB_OK);
            omendb_text_destroy(text);
            CHECK(omendb_collection_describe(read_docs, &text, &error) == OMENDB_OK);
            omendb_text_destroy(text);
            omendb_interrupt(reader);
        }
    }
}

static void a_refresh_disturbs_nobody(void)
{
    omendb_options options = OMENDB_OPTIONS_INIT;
    struct thread threads[1 + REFRESHERS + READERS] = {0};
    uint32_t kinds[READERS];
    uint32_t count = 0;
    remove_files();
    options.durability = OMENDB_DURABILITY_INTERVAL;
    options.wal_size_max = 1 << 20; /* Many checkpoints. */
    OK(omendb_open(path, &options, &writer, &err));
    omendb_collection *docs = make(writer, "docs", OMENDB_F32, OMENDB_L2, DIM);
    write_number(docs, 1);
    atomic_store_release_u64(&written, 1);
    options.flags = OMENDB_OPEN_READ_ONLY;
    OK(omendb_open(path, &options, &reader, &err));
    OK(omendb_collection_open(reader, "docs", &read_docs, &err));
    OK(thread_start(&threads[count++], "writer", writer_main, docs, &err));
    for (uint32_t i = 0; i < REFRESHERS; i++)
        OK(thread_start(&threads[count++], "refresher", refresher_main, NULL, &err));
    for (uint32_t i = 0; i < READERS; i++) {
        kinds[i] = i;
        OK(thread_start(&threads[count++], "reader", reader_main, &kinds[i], &err));
    }
    while (count > 0) thread_join(&threads[--count]);
    OK(omendb_refresh(reader, &err));
    CHECK(number_seen(read_docs) == BATCHES);
    omendb_collection_close(read_docs);
    omendb_collection_close(docs);
    OK(omendb_close(reader, &err));
    OK(omendb_close(writer, &err));
    remove_files();
}

int main(int argc, char **argv)
{
    static const struct test tests[] = {
        {"a_refresh_disturbs_nobody", a_refresh_disturbs_nobody},
        {0},
    };
    make_path("refresh-threads");
    return test_main(tests, argc, argv);
}

/* api_transaction_threads_test.c - 64 threads commit at once, behind one log: no update is lost, and
 * every snapshot shows whole transactions. Meant to be run under ThreadSanitizer too. */
#include "api_help.h"
#include "base/atomics.h"
#include "os/thread.h"

enum {
    WRITERS = 64,
    READERS = 2,
    ROUNDS = 12, /* Of each writer: an increment, a transfer. */
    COUNTERS = 8,
    ACCOUNTS = 24,
    START = 1000
};

static omendb *db;
static omendb_collection *counters, *left, *right;
static atomic_u64 conflicts, snapshots_seen;
static atomic_u32 stop;

/* {"n": value} of a document, and its version; 0 when there is none. */
static uint64_t read_value(omendb_collection *docs, uint64_t number, int64_t *value)
{
    omendb_error error;
    omendb_documents *documents = NULL;
    omendb_document document;
    const omendb_id id = {.number = number};
    CHECK(omendb_collection_get(docs, &id, 1, OMENDB_WITH_DOCUMENTS, &documents, &error) ==
          OMENDB_OK);
    omendb_documents_entry(documents, 0, &document);
    const uint64_t version = omendb_documents_version(documents, 0);
    CHECK((document.found != 0) == (version != 0));
    if (document.found != 0) *value = strtoll(document.json_view + strlen("{\"n\":"), NULL, 10);
    omendb_documents_destroy(documents);
    return version;
}

static omendb_status write_value(omendb_collection *docs, uint64_t id, int64_t value,
                                 const uint64_t *version)
{
    omendb_error error;
    char json[40];
    omendb_rows rows = OMENDB_ROWS_INIT;
    const uint64_t size = (uint64_t)snprintf(json, sizeof json, "{\"n\":%lld}", (long long)value);
    const uint64_t offsets[2] = {0, size};
    rows.count = 1;
    rows.id_numbers = &id;
    rows.json = json;
    rows.json_offsets = offsets;
    rows.if_versions = version;
    return omendb_collection_upsert(docs, &rows, &error);
}

/* By compare-and-set; the first to come inserts. */
static void increment(uint64_t id)
{
    for (uint64_t refused = UINT64_MAX;;) {
        int64_t value = 0;
        const uint64_t version = read_value(counters, id, &value);
        CHECK(version != refused); /* What was in the way is visible. */
        refused = version;
        const omendb_status status = write_value(counters, id, value + 1, &version);
        if (status == OMENDB_OK) return;
        CHECK(status == OMENDB_ERR_CONFLICT || (status == OMENDB_ERR_EXISTS && version == 0));
        (void)atomic_add_u64(&conflicts, 1);
    }
}

/* One from an account of one collection to an account of the other. */
static void transfer(uint64_t from, uint64_t to)
{
    for (;;) {
        omendb_error error;
        omendb_transaction *transaction = NULL;
        omendb_collection *source = NULL, *target = NULL;
        int64_t there = 0, here = 0;
        CHECK(omendb_transaction_begin(db, &transaction, &error) == OMENDB_OK);
        CHECK(omendb_transaction_collection(transaction, left, &source, &error) == OMENDB_OK);
        CHECK(omendb_transaction_collection(transaction, right, &target, &error) == OMENDB_OK);
        CHECK(read_value(source, from, &there) != 0 && read_value(target, to, &here) != 0);
        CHECK(write_value(source, from, there - 1, NULL) == OMENDB_OK);
        CHECK(write_value(target, to, here + 1, NULL) == OMENDB_OK);
        const omendb_status status = omendb_transaction_commit(
            transaction, OMENDB_DURABILITY_DEFAULT, NULL, &error);
        CHECK(status == OMENDB_OK || status == OMENDB_ERR_CONFLICT);
        omendb_collection_close(source);
        omendb_collection_close(target);
        omendb_transaction_destroy(transaction);
        if (status == OMENDB_OK) return;
        (void)atomic_add_u64(&conflicts, 1);
    }
}

static void writer_main(void *context)
{
    const uint64_t number = *(const uint64_t *)context;
    for (uint64_t i = 0; i < ROUNDS; i++) {
        increment((number + i) % COUNTERS);
        transfer((number * 7 + i) % ACCOUNTS, (number * 5 + i * 3) % ACCOUNTS);
    }
}

static int64_t sum_of(omendb_collection *docs, uint64_t count)
{
    int64_t sum = 0;
    for (uint64_t id = 0; id < count; id++) {
        int64_t value = 0;
        CHECK(read_value(docs, id, &value) != 0);
        sum += value;
    }
    return sum;
}

static void reader_main(void *context)
{
    (void)context;
    while (atomic_load_acquire_u32(&stop) == 0) {
        omendb_error error;
        omendb_snapshot *snapshot = NULL;
        omendb_collection *source = NULL, *target = NULL;
        CHECK(omendb_snapshot_create(db, &snapshot, &error) == OMENDB_OK);
        CHECK(omendb_snapshot_collection(snapshot, left, &source, &error) == OMENDB_OK);
        CHECK(omendb_snapshot_collection(snapshot, right, &target, &error) == OMENDB_OK);
        const int64_t sum = sum_of(source, ACCOUNTS);
        thread_yield();
        CHECK(sum + sum_of(target, ACCOUNTS) == 2 * ACCOUNTS * START);
        CHECK(sum == sum_of(source, ACCOUNTS));
        omendb_snapshot_destroy(snapshot);
        omendb_collection_close(source);
        omendb_collection_close(target);
        (void)atomic_add_u64(&snapshots_seen, 1);
    }
}

static void no_update_is_lost(void)
{
    struct thread writers[WRITERS] = {0}, readers[READERS] = {0};
    uint64_t numbers[WRITERS];
    omendb_options options = OMENDB_OPTIONS_INIT;
    options.durability = OMENDB_DURABILITY_FULL; /* The queue is long while a group is synced. */
    options.wal_size_max = 256 << 10;            /* Checkpoints while they commit. */
    remove_files();
    OK(omendb_open(path, &options, &db, &err));
    OK(omendb_collection_create(db, "counters", NULL, &counters, &err));
    OK(omendb_collection_create(db, "left", NULL, &left, &err));
    OK(omendb_collection_create(db, "right", NULL, &right, &err));
    for (uint64_t i = 0; i < ACCOUNTS; i++) {
        OK(write_value(left, i, START, NULL));
        OK(write_value(right, i, START, NULL));
    }
    for (uint64_t i = 0; i < READERS; i++)
        OK(thread_start(&readers[i], "reader", reader_main, NULL, &err));
    for (uint64_t i = 0; i < WRITERS; i++) {
        numbers[i] = i;
        OK(thread_start(&writers[i], "writer", writer_main, &numbers[i], &err));
    }
    for (uint64_t i = 0; i < WRITERS; i++) thread_join(&writers[i]);
    atomic_store_release_u32(&stop, 1);
    for (uint64_t i = 0; i < READERS; i++) thread_join(&readers[i]);
    CHECK(sum_of(counters, COUNTERS) == WRITERS * ROUNDS);
    CHECK(sum_of(left, ACCOUNTS) == ACCOUNTS * START - WRITERS * ROUNDS);
    CHECK(sum_of(right, ACCOUNTS) == ACCOUNTS * START + WRITERS * ROUNDS);
    CHECK(atomic_load_relaxed_u64(&conflicts) > 0);
    omendb_collection_close(counters);
    omendb_collection_close(left);
    omendb_collection_close(right);
    OK(omendb_close(db, &err));
    OK(omendb_open(path, NULL, &db, &err));
    OK(omendb_collection_open(db, "counters", &counters, &err));
    CHECK(sum_of(counters, COUNTERS) == WRITERS * ROUNDS);
    omendb_collection_close(counters);
    OK(omendb_close(db, &err));
    remove_files();
}

/* ---- A snapshot that is destroyed while others read through it ---- */

static void shared_reader(void *context)
{
    omendb_collection *seen = context;
    for (;;) {
        omendb_error error;
        omendb_documents *documents = NULL;
        const omendb_status status = omendb_collection_find(seen, NULL, &documents, &error);
        if (status != OMENDB_OK) {
            CHECK(status == OMENDB_ERR_MISUSE);
            return;
        }
        CHECK(omendb_documents_count(documents) == ACCOUNTS);
        for (size_t i = 1; i < ACCOUNTS; i++)
            CHECK(omendb_documents_version(documents, i) == omendb_documents_version(documents, 0));
        omendb_documents_destroy(documents);
    }
}

static void put_all(omendb_collection *docs)
{
    uint64_t ids[ACCOUNTS];
    omendb_rows rows = OMENDB_ROWS_INIT;
    for (uint64_t i = 0; i < ACCOUNTS; i++) ids[i] = i;
    rows.count = ACCOUNTS;
    rows.id_numbers = ids;
    OK(omendb_collection_upsert(docs, &rows, &err));
}

static void a_snapshot_ends_politely(void)
{
    db = open_memory();
    OK(omendb_collection_create(db, "left", NULL, &left, &err));
    put_all(left);
    for (int round = 0; round < 20; round++) {
        struct thread readers[3] = {0};
        omendb_snapshot *snapshot = NULL;
        omendb_collection *seen = NULL;
        OK(omendb_snapshot_create(db, &snapshot, &err));
        OK(omendb_snapshot_collection(snapshot, left, &seen, &err));
        for (int i = 0; i < 3; i++)
            OK(thread_start(&readers[i], "reader", shared_reader, seen, &err));
        for (int i = 0; i < 60; i++) put_all(left); /* In memory commits reclaim. */
        omendb_snapshot_destroy(snapshot);
        for (int i = 0; i < 60; i++) put_all(left);
        for (int i = 0; i < 3; i++) thread_join(&readers[i]);
        omendb_collection_close(seen);
    }
    omendb_collection_close(left);
    OK(omendb_close(db, &err));
}

int main(int argc, char **argv)
{
    static const struct test tests[] = {
        {"no_update_is_lost", no_update_is_lost},
        {"a_snapshot_ends_politely", a_snapshot_ends_politely},
        {NULL, NULL},
    };
    make_path("transaction-threads");
    return test_main(tests, argc, argv);
}

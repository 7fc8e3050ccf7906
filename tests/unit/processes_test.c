/* processes_test.c - one file in several real processes: readers beside a writer, kills, a second
 * writer, fork, and files that may not be written.
 *
 * The writer's batch n puts the number n into every document of a fixed body, adds the document
 * WINDOW_BASE + n and deletes the one that is WINDOW batches older. So whoever reads can tell which
 * batch is the newest, that it is there as a whole, and that nothing else is. What was acknowledged
 * stands in memory that all processes share. Kills wait for a number of batches, never for a time. */
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "api_help.h"
#include "base/atomics.h"

enum {
    DIM = 64,
    BODY = 16,
    WINDOW = 24,
    WINDOW_BASE = 1000,
    PADDING = 3000, /* Bytes of JSON, so that the file grows and has something to shrink by. */
    READERS = 3,    /* The last one opens once and follows. */
    FOLLOWER = READERS - 1,
    LIVES = 10,        /* Of the writer, */
    LIVES_LONG = 100,  /* and with OMENDB_TEST_LONG. */
    LIFE_BATCHES = 500 /* Acknowledged at least, before it is killed. */
};

struct shared {
    atomic_u64 acknowledged;    /* The newest batch that the writer was told of. */
    atomic_u64 looks[READERS];  /* States that a reader has verified. */
    atomic_u64 ready, released; /* Of the tests that take turns. */
};

static struct shared *shared;

static void pause_shortly(void)
{
    (void)usleep(500);
}

static pid_t start(void (*run)(uint32_t), uint32_t argument)
{
    (void)fflush(stdout); /* The child must not print it again. */
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        CHECK(prctl(PR_SET_PDEATHSIG, SIGKILL) == 0); /* A failed test leaves nobody running. */
        run(argument);
        _exit(0);
    }
    return child;
}

static void kill_hard(pid_t child)
{
    int outcome = 0;
    CHECK(kill(child, SIGKILL) == 0 && waitpid(child, &outcome, 0) == child);
    /* A CHECK that failed in it before would have been an abort. */
    CHECK(WIFSIGNALED(outcome) && WTERMSIG(outcome) == SIGKILL);
}

static void ends_well(pid_t child)
{
    int outcome = 0;
    CHECK(waitpid(child, &outcome, 0) == child);
    CHECK(WIFEXITED(outcome) && WEXITSTATUS(outcome) == 0);
}

/* Waits for *counter, and no longer than `child` lives. */
static void wait_for(const atomic_u64 *counter, uint64_t at_least, pid_t child)
{
    while (atomic_load_acquire_u64(counter) < at_least) {
        CHECK(child == 0 || waitpid(child, NULL, WNOHANG) == 0);
        pause_shortly();
    }
}

static omendb *open_as(uint32_t flags)
{
    omendb_options options = OMENDB_OPTIONS_INIT;
    omendb *db = NULL;
    options.flags = flags;
    options.wal_size_max = 512 << 10; /* Many checkpoints. */
    omendb_status status = omendb_open(path, &options, &db, &err);
    /* A reader that comes while the writer makes one image after the other is told so. */
    for (int i = 0; i < 1000 && status == OMENDB_ERR_BUSY && flags == OMENDB_OPEN_READ_ONLY; i++) {
        pause_shortly();
        status = omendb_open(path, &options, &db, &err);
    }
    OK(status);
    return db;
}

static omendb_collection *docs_of(omendb *db)
{
    omendb_collection *docs = NULL;
    OK(omendb_collection_open(db, "docs", &docs, &err));
    return docs;
}

/* ---- What is written, and what must be seen ---- */

static void add_row(omendb_batch *batch, omendb_collection *docs, uint64_t id, uint64_t n,
                    const char *json)
{
    omendb_rows rows = OMENDB_ROWS_INIT;
    omendb_vectors column = OMENDB_VECTORS_INIT;
    float vector[DIM];
    const uint64_t offsets[2] = {0, strlen(json)};
    for (int i = 0; i < DIM; i++) vector[i] = (float)n;
    column.dim = DIM;
    column.data = vector;
    rows.count = 1;
    rows.id_numbers = &id;
    rows.vectors = &column;
    rows.vectors_count = 1;
    rows.json = json;
    rows.json_offsets = offsets;
    OK(omendb_batch_upsert(batch, docs, &rows, &err));
}

static void write_batch(omendb *db, omendb_collection *docs, uint64_t n)
{
    static char json[PADDING + 64];
    omendb_batch *batch = NULL;
    snprintf(json, sizeof json, "{\"n\":%llu,\"padding\":\"%0*llu\"}", (unsigned long long)n,
             PADDING, (unsigned long long)n);
    OK(omendb_batch_create(db, &batch, &err));
    for (uint64_t id = 1; id <= BODY; id++) add_row(batch, docs, id, n, "{}");
    add_row(batch, docs, WINDOW_BASE + n, n, json);
    if (n > WINDOW)
        OK(omendb_batch_delete(batch, docs, &(omendb_id){.number = WINDOW_BASE + n - WINDOW}, 1,
                               &err));
    /* INTERVAL survives a kill of the process as well; FULL now and then moves the durable end. */
    OK(omendb_batch_commit(batch, n % 16 == 0 ? OMENDB_DURABILITY_FULL : OMENDB_DURABILITY_INTERVAL,
                           NULL, &err));
    omendb_batch_destroy(batch);
}

static uint64_t number_of(const omendb_documents *documents, size_t entry)
{
    const float *vector = omendb_documents_vector(documents, entry, NULL, NULL, NULL);
    CHECK(vector != NULL);
    for (int i = 1; i < DIM; i++) CHECK(vector[i] == vector[0]);
    return (uint64_t)vector[0];
}

/* The batch that the collection shows, whole and alone; 0: none yet. */
static uint64_t verify_state(omendb_collection *docs)
{
    omendb_id ids[BODY + WINDOW];
    omendb_documents *documents = NULL;
    if (count_of(docs) == 0) return 0;
    for (uint64_t i = 0; i < BODY; i++) ids[i] = (omendb_id){.number = i + 1};
    OK(omendb_collection_get(docs, ids, BODY, OMENDB_WITH_VECTORS, &documents, &err));
    const uint64_t n = number_of(documents, 0);
    for (size_t i = 1; i < BODY; i++) CHECK(number_of(documents, i) == n);
    omendb_documents_destroy(documents);
    const uint64_t held = n < WINDOW ? n : WINDOW;
    CHECK(count_of(docs) == BODY + held);
    for (uint64_t i = 0; i < held; i++) ids[i] = (omendb_id){.number = WINDOW_BASE + n - i};
    OK(omendb_collection_get(docs, ids, held, OMENDB_WITH_VECTORS | OMENDB_WITH_DOCUMENTS,
                             &documents, &err));
    for (size_t i = 0; i < held; i++) CHECK(number_of(documents, i) == n - i);
    omendb_documents_destroy(documents);
    return n;
}

static void search_finds(omendb_collection *docs, uint64_t n)
{
    omendb_search_params params = OMENDB_SEARCH_PARAMS_INIT;
    float query[DIM], scores[BODY + 1];
    uint64_t ids[BODY + 1];
    uint32_t found = 0;
    for (int i = 0; i < DIM; i++) query[i] = (float)n;
    params.queries = query;
    params.query_count = 1;
    params.dim = DIM;
    params.k = BODY + 1;
    OK(omendb_search_vectors(docs, &params, ids, scores, &found, &err));
    CHECK(found == BODY + 1 && ids[0] == 1 && ids[BODY - 1] == BODY &&
          ids[BODY] == WINDOW_BASE + n);
}

/* ---- The processes ---- */

static void writer_main(uint32_t life)
{
    omendb *db = open_as(0);
    if (life == 0) omendb_collection_close(make(db, "docs", OMENDB_F32, OMENDB_L2, DIM));
    omendb_collection *docs = docs_of(db);
    uint64_t n = verify_state(docs);
    const uint64_t acknowledged = atomic_load_acquire_u64(&shared->acknowledged);
    CHECK(n == acknowledged || n == acknowledged + 1); /* The last may have got no answer. */
    for (;;) {
        n++;
        write_batch(db, docs, n);
        atomic_store_release_u64(&shared->acknowledged, n); /* with those who wait and verify */
    }
}

static void reader_main(uint32_t number)
{
    uint64_t last = 0;
    for (;;) {
        const uint64_t acknowledged = atomic_load_acquire_u64(&shared->acknowledged);
        omendb *db = open_as(OMENDB_OPEN_READ_ONLY);
        omendb_collection *docs = docs_of(db);
        const uint64_t n = verify_state(docs);
        CHECK(n >= acknowledged && n >= last);
        last = n;
        /* The writer goes on, and the state stays as it was at opening. */
        for (int i = 0; n != 0 && i < 4; i++) {
            search_finds(docs, n);
            CHECK(verify_state(docs) == n);
            pause_shortly();
        }
        omendb_collection_close(docs);
        OK(omendb_close(db, &err));
        (void)atomic_add_u64(&shared->looks[number], 1);
    }
}

/* Opens once. Each refresh shows what was acknowledged before it, a whole batch, and never less than the
 * one before; the snapshot that it keeps for a while stays what it was. */
static void follower_main(uint32_t number)
{
    uint64_t last = 0, kept = 0;
    omendb *db = open_as(OMENDB_OPEN_READ_ONLY);
    omendb_collection *docs = docs_of(db), *seen = NULL;
    omendb_snapshot *snapshot = NULL;
    for (uint64_t round = 0;; round++) {
        const uint64_t acknowledged = atomic_load_acquire_u64(&shared->acknowledged);
        omendb_status status = omendb_refresh(db, &err);
        for (int i = 0; i < 1000 && status == OMENDB_ERR_BUSY; i++) {
            CHECK(verify_state(docs) == last); /* It shows what it showed. */
            pause_shortly();
            status = omendb_refresh(db, &err);
        }
        OK(status);
        const uint64_t n = verify_state(docs);
        CHECK(n >= acknowledged && n >= last);
        last = n;
        if (n != 0) search_finds(docs, n);
        if (round % 8 == 0 && n != 0) {
            OK(omendb_snapshot_create(db, &snapshot, &err));
            OK(omendb_snapshot_collection(snapshot, docs, &seen, &err));
            kept = n;
        }
        if (snapshot != NULL) CHECK(verify_state(seen) == kept);
        if (snapshot != NULL && round % 8 == 6) {
            omendb_collection_close(seen);
            omendb_snapshot_destroy(snapshot);
            snapshot = NULL;
        }
        (void)atomic_add_u64(&shared->looks[number], 1);
    }
}

static pid_t reader_start(uint32_t number)
{
    return start(number == FOLLOWER ? follower_main : reader_main, number);
}

/* Without a writer a reader recovers in its own memory. */
static void reads_on(const pid_t readers[READERS])
{
    for (uint32_t i = 0; i < READERS; i++)
        if (readers[i] != 0)
            wait_for(&shared->looks[i], atomic_load_acquire_u64(&shared->looks[i]) + 1, readers[i]);
}

static void readers_see_whole_batches_and_kills_lose_nothing(void)
{
    const char *text = getenv("OMENDB_TEST_LONG");
    const uint32_t lives = text != NULL && strcmp(text, "1") == 0 ? LIVES_LONG : LIVES;
    pid_t readers[READERS] = {0};
    remove_files();
    memset(shared, 0, sizeof *shared);
    for (uint32_t life = 0; life < lives; life++) {
        const uint64_t before = atomic_load_acquire_u64(&shared->acknowledged);
        const pid_t writer = start(writer_main, life);
        wait_for(&shared->acknowledged, before + 1, writer);
        for (uint32_t i = 0; i < READERS; i++)
            if (readers[i] == 0) readers[i] = reader_start(i);
        wait_for(&shared->acknowledged, before + LIFE_BATCHES + 7 * life, writer);
        for (uint32_t i = 0; i < READERS; i++)
            wait_for(&shared->looks[i], 2 * (life + 1), readers[i]);
        /* Now the writer alone, now a reader before it, while the rest goes on. */
        if (life % 2 == 1) {
            kill_hard(readers[life % READERS]);
            readers[life % READERS] = 0;
        }
        kill_hard(writer);
        reads_on(readers);
    }
    for (uint32_t i = 0; i < READERS; i++)
        if (readers[i] != 0) kill_hard(readers[i]);
    omendb *db = open_as(0);
    omendb_collection *docs = docs_of(db);
    char *report = NULL;
    CHECK(verify_state(docs) >= atomic_load_acquire_u64(&shared->acknowledged));
    OK(omendb_check(db, OMENDB_CHECK_DEEP, &report, &err));
    CHECK(strstr(report, "\"ok\":true") != NULL);
    omendb_text_destroy(report);
    omendb_collection_close(docs);
    OK(omendb_close(db, &err));
    remove_files();
}

/* ---- One at a time ---- */

static void holder_main(uint32_t flags)
{
    omendb *db = open_as(flags);
    omendb_collection *docs = docs_of(db);
    const uint64_t n = verify_state(docs);
    CHECK(n == 400);
    (void)atomic_add_u64(&shared->ready, 1);
    while (atomic_load_acquire_u64(&shared->released) == 0) pause_shortly();
    search_finds(docs, n);
    CHECK(verify_state(docs) == n);
    (void)atomic_add_u64(&shared->ready, 1);
    for (;;) pause_shortly();
}

static void fill(void)
{
    remove_files();
    memset(shared, 0, sizeof *shared);
    omendb *db = open_as(0);
    omendb_collection *docs = make(db, "docs", OMENDB_F32, OMENDB_L2, DIM);
    for (uint64_t n = 1; n <= 400; n++) write_batch(db, docs, n);
    omendb_collection_close(docs);
    OK(omendb_close(db, &err));
}

static void a_second_writing_process_is_busy_until_the_first_is_gone(void)
{
    omendb *db = NULL;
    fill();
    const pid_t writer = start(holder_main, 0);
    wait_for(&shared->ready, 1, writer);
    FAILS(OMENDB_ERR_BUSY, omendb_open(path, NULL, &db, &err));
    CHECK(strstr(err.message, path) != NULL && strstr(err.message, "read-only") != NULL);
    db = open_as(OMENDB_OPEN_READ_ONLY);
    OK(omendb_close(db, &err));
    kill_hard(writer);
    db = open_as(0);
    OK(omendb_close(db, &err));
    remove_files();
}

static off_t file_length(void)
{
    struct stat about;
    CHECK(stat(path, &about) == 0);
    return about.st_size;
}

/* Some writing of every kind that takes, frees and would cut off blocks, and a clean close. */
static void churn(void)
{
    omendb *db = open_as(0);
    omendb_collection *other = NULL;
    omendb_collection_close(make(db, "other", OMENDB_F32, OMENDB_L2, DIM));
    OK(omendb_collection_open(db, "other", &other, &err));
    for (uint64_t n = 1; n <= 400; n++) write_batch(db, other, n);
    omendb_collection_close(other);
    OK(omendb_collection_drop(db, "other", &err));
    omendb_collection *docs = docs_of(db);
    OK(omendb_collection_delete_where(docs, "{}", 2, NULL, &err));
    omendb_collection_close(docs);
    OK(omendb_close(db, &err));
}

static void a_reader_keeps_its_blocks_until_it_is_killed(void)
{
    fill();
    const pid_t reader = start(holder_main, OMENDB_OPEN_READ_ONLY);
    wait_for(&shared->ready, 1, reader);
    churn();
    churn();
    const off_t pinned = file_length();
    atomic_store_release_u64(&shared->released, 1); /* with holder_main() */
    wait_for(&shared->ready, 2, reader);            /* It saw what it saw before. */
    kill_hard(reader);
    churn(); /* Nobody pins: what it held is free, and the file shrinks. */
    CHECK(file_length() < pinned);
    remove_files();
}

static void every_handle_of_a_forked_child_is_misuse(void)
{
    fill();
    omendb *db = open_as(0), *reader = open_as(OMENDB_OPEN_READ_ONLY);
    omendb_collection *docs = docs_of(db), *read = docs_of(reader), *seen = NULL, *own = NULL;
    omendb_batch *batch = NULL;
    omendb_snapshot *snapshot = NULL;
    omendb_transaction *transaction = NULL;
    uint64_t count = 0;
    OK(omendb_batch_create(db, &batch, &err));
    add_row(batch, docs, 1, 7, "{}");
    OK(omendb_snapshot_create(db, &snapshot, &err));
    OK(omendb_snapshot_collection(snapshot, docs, &seen, &err));
    OK(omendb_transaction_begin(db, &transaction, &err));
    OK(omendb_transaction_collection(transaction, docs, &own, &err));
    (void)fflush(stdout);
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        omendb_collection *const collections[] = {docs, read, seen, own};
        omendb_snapshot *another = NULL;
        char *text = NULL;
        for (size_t i = 0; i < 4; i++) {
            FAILS(OMENDB_ERR_MISUSE,
                  omendb_collection_count(collections[i], NULL, 0, &count, &err));
            omendb_collection_close(collections[i]);
        }
        FAILS(OMENDB_ERR_MISUSE, omendb_stats(reader, &text, &err));
        FAILS(OMENDB_ERR_MISUSE, omendb_refresh(reader, &err));
        FAILS(OMENDB_ERR_MISUSE, omendb_snapshot_create(db, &another, &err));
        FAILS(OMENDB_ERR_MISUSE, omendb_batch_commit(batch, 0, NULL, &err));
        FAILS(OMENDB_ERR_MISUSE, omendb_transaction_commit(transaction, 0, NULL, &err));
        omendb_snapshot_destroy(snapshot);
        omendb_transaction_destroy(transaction);
        FAILS(OMENDB_ERR_MISUSE, omendb_close(reader, &err));
        FAILS(OMENDB_ERR_MISUSE, omendb_close(db, &err));
        /* Its own opening is a second writer's while the parent lives. */
        omendb *mine = NULL;
        FAILS(OMENDB_ERR_BUSY, omendb_open(path, NULL, &mine, &err));
        _exit(0);
    }
    ends_well(child);
    CHECK(count_of(seen) == BODY + WINDOW && count_of(own) == BODY + WINDOW);
    omendb_collection_close(seen);
    omendb_collection_close(own);
    omendb_snapshot_destroy(snapshot);
    omendb_transaction_destroy(transaction);
    OK(omendb_batch_commit(batch, 0, NULL, &err));
    omendb_batch_destroy(batch);
    write_batch(db, docs, 401);
    CHECK(verify_state(docs) == 401 && verify_state(read) == 400);
    omendb_collection_close(docs);
    omendb_collection_close(read);
    OK(omendb_close(reader, &err));
    OK(omendb_close(db, &err));
    remove_files();
}

/* ---- Without permission to write ---- */

static void unprivileged_main(uint32_t unused)
{
    omendb *db = NULL;
    (void)unused;
    CHECK(geteuid() != 0 || setuid(65534) == 0);
    FAILS(OMENDB_ERR_READ_ONLY, omendb_open(path, NULL, &db, &err));
    db = open_as(OMENDB_OPEN_READ_ONLY);
    omendb_collection *docs = docs_of(db);
    CHECK(verify_state(docs) == 400);
    search_finds(docs, 400);
    omendb_collection_close(docs);
    OK(omendb_close(db, &err));
}

static void what_may_not_be_written_can_be_read(void)
{
    char outside[256], folder[200];
    memcpy(outside, path, sizeof outside);
    snprintf(folder, sizeof folder, "%.180s.d", outside);
    CHECK(mkdir(folder, 0755) == 0);
    snprintf(path, sizeof path, "%s/one.omen", folder);
    fill();
    CHECK(chmod(path, 0444) == 0 && chmod(folder, 0555) == 0);
    ends_well(start(unprivileged_main, 0));
    CHECK(chmod(folder, 0755) == 0);
    remove_files();
    CHECK(rmdir(folder) == 0);
    memcpy(path, outside, sizeof path);
}

int main(int argc, char **argv)
{
    static const struct test tests[] = {
        {"readers_see_whole_batches_and_kills_lose_nothing",
         readers_see_whole_batches_and_kills_lose_nothing},
        {"a_second_writing_process_is_busy_until_the_first_is_gone",
         a_second_writing_process_is_busy_until_the_first_is_gone},
        {"a_reader_keeps_its_blocks_until_it_is_killed",
         a_reader_keeps_its_blocks_until_it_is_killed},
        {"every_handle_of_a_forked_child_is_misuse", every_handle_of_a_forked_child_is_misuse},
        {"what_may_not_be_written_can_be_read", what_may_not_be_written_can_be_read},
        {0},
    };
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(shared != MAP_FAILED);
    make_path("processes");
    return test_main(tests, argc, argv);
}

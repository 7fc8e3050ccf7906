/* store_bench.c - what storage costs: load, commit, open, size, and readers during a checkpoint.
 *
 *     store_bench load   [rows] [dim]      durable load in batches of 1,000            (A5)
 *     store_bench commit [seconds]         full commits, 1 and 64 threads, against a bare loop (A6)
 *     store_bench open   [rows] [dim]      clean reopen with a graph, first exact answer and first one
 *                                          by the graph; reopen after SIGKILL           (A7)
 *     store_bench size   [rows] [dim]      bytes at rest and in memory over raw payload, closed right
 *                                          after the load and with the whole graph      (A10)
 *     store_bench upkeep [rows] [dim]      p99 of a reader alone and beside a load      (B7, reported)
 *     store_bench exact BASE QUERIES DIM METRIC K   one round of exact searches for each line on
 *                                          stdin: microseconds a query      (A9, see exact_faiss.py)
 *
 * One JSON object a line on stdout. Files lie in $OMENDB_BENCH_DIR (default: the current folder) so
 * that a real disk is measured. Vectors are Gaussian from a fixed seed; documents are small JSON.
 */
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "omendb.h"

enum { BATCH = 1000, JSON_SIZE = 128, PATH_SIZE = 512 };

static char path[PATH_SIZE];

#define DIE_UNLESS(call)                                                                           \
    do {                                                                                           \
        if ((call) != OMENDB_OK) {                                                                 \
            (void)fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, failure.message);             \
            exit(3);                                                                               \
        }                                                                                          \
    } while (0)

static omendb_error failure;

static double now_s(void)
{
    struct timespec at;
    (void)clock_gettime(CLOCK_MONOTONIC, &at);
    return (double)at.tv_sec + (double)at.tv_nsec * 1e-9;
}

static double cpu_s(void)
{
    struct timespec at;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &at);
    return (double)at.tv_sec + (double)at.tv_nsec * 1e-9;
}

/* Of this thread alone: an index thread may work beside it. */
static double thread_cpu_s(void)
{
    struct timespec at;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &at);
    return (double)at.tv_sec + (double)at.tv_nsec * 1e-9;
}

static uint64_t random_state = 1;

static uint64_t random_u64(void)
{
    uint64_t z = (random_state += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

static void gaussian(float *to, size_t count)
{
    for (size_t i = 0; i + 1 < count + 1; i += 2) {
        const double u = ((double)(random_u64() >> 11) + 1) * 0x1p-53;
        const double v = (double)(random_u64() >> 11) * 0x1p-53;
        const double r = sqrt(-2 * log(u)), a = 6.283185307179586 * v;
        to[i] = (float)(r * cos(a));
        if (i + 1 < count) to[i + 1] = (float)(r * sin(a));
    }
}

static uint64_t resident_bytes(void)
{
    unsigned long long size = 0, resident = 0;
    FILE *statm = fopen("/proc/self/statm", "r");
    if (statm == NULL || fscanf(statm, "%llu %llu", &size, &resident) != 2) exit(3);
    (void)fclose(statm);
    return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t file_bytes(const char *name)
{
    struct stat info;
    return stat(name, &info) == 0 ? (uint64_t)info.st_size : 0;
}

static void remove_all(void)
{
    char name[PATH_SIZE + 32];
    (void)unlink(path);
    for (int i = 0; i < 2000; i++) {
        (void)snprintf(name, sizeof name, "%s-wal-%d", path, i);
        (void)unlink(name);
    }
}

/* Rows of one batch; JSON texts and vectors are made once and used again with new ids. */
struct batch {
    uint32_t dim;
    uint64_t ids[BATCH];
    uint64_t offsets[BATCH + 1];
    char json[BATCH * JSON_SIZE];
    float *vectors;
};

static void batch_fill(struct batch *batch, uint64_t first, uint32_t count)
{
    uint64_t at = 0;
    for (uint32_t i = 0; i < count; i++) {
        batch->ids[i] = first + i;
        batch->offsets[i] = at;
        const int size = snprintf(
            batch->json + at, JSON_SIZE, "{\"title\":\"document %llu\",\"year\":%u,\"tag\":\"%c\"}",
            (unsigned long long)(first + i), 1990 + i % 35, 'a' + (int)(i % 26));
        at += (uint64_t)size;
    }
    batch->offsets[count] = at;
}

static void batch_put(omendb_collection *collection, struct batch *batch, uint32_t count)
{
    omendb_vectors vectors = OMENDB_VECTORS_INIT;
    omendb_rows rows = OMENDB_ROWS_INIT;
    vectors.data = batch->vectors;
    vectors.dim = batch->dim;
    rows.count = count;
    rows.id_numbers = batch->ids;
    rows.vectors = &vectors;
    rows.vectors_count = 1;
    rows.json = batch->json;
    rows.json_offsets = batch->offsets;
    DIE_UNLESS(omendb_collection_upsert(collection, &rows, &failure));
}

static omendb *database(uint32_t flags, omendb_durability durability)
{
    omendb_options options = OMENDB_OPTIONS_INIT;
    omendb *db = NULL;
    options.flags = flags;
    options.durability = durability;
    DIE_UNLESS(omendb_open(path, &options, &db, &failure));
    return db;
}

static omendb_collection *made(omendb *db, uint32_t dim)
{
    omendb_vector_field field = OMENDB_VECTOR_FIELD_INIT;
    omendb_schema schema = OMENDB_SCHEMA_INIT;
    omendb_collection *collection = NULL;
    field.name = "v";
    field.dim = dim;
    schema.vectors = &field;
    schema.vectors_count = dim != 0;
    DIE_UNLESS(omendb_collection_create(db, "docs", &schema, &collection, &failure));
    return collection;
}

/* Distinct vectors for every batch, made outside the measured time. */
static double load(omendb_collection *collection, uint64_t rows, uint32_t dim, double *cpu,
                   double *writer_cpu, uint64_t *json_bytes)
{
    struct batch batch = {.dim = dim, .vectors = malloc((size_t)BATCH * dim * sizeof(float) + 64)};
    double wall = 0;
    *cpu = *writer_cpu = 0;
    for (uint64_t first = 0; first < rows; first += BATCH) {
        const uint32_t count = rows - first < BATCH ? (uint32_t)(rows - first) : BATCH;
        gaussian(batch.vectors, (size_t)count * dim);
        batch_fill(&batch, first, count);
        *json_bytes += batch.offsets[count];
        const double begin = now_s(), begin_cpu = cpu_s(), begin_writer = thread_cpu_s();
        batch_put(collection, &batch, count);
        wall += now_s() - begin;
        *cpu += cpu_s() - begin_cpu;
        *writer_cpu += thread_cpu_s() - begin_writer;
    }
    free(batch.vectors);
    return wall;
}

static void first_answer(omendb *db, uint32_t dim, uint32_t flags, uint64_t expected)
{
    omendb_collection *collection = NULL;
    omendb_search_params params = OMENDB_SEARCH_PARAMS_INIT;
    float *query = malloc(dim * sizeof *query);
    uint64_t ids[10];
    float scores[10];
    uint32_t found = 0;
    random_state = 1;
    gaussian(query, dim); /* The first vector that was loaded. */
    params.queries = query;
    params.query_count = 1;
    params.dim = dim;
    params.k = 10;
    params.flags = flags;
    DIE_UNLESS(omendb_collection_open(db, "docs", &collection, &failure));
    DIE_UNLESS(omendb_search_vectors(collection, &params, ids, scores, &found, &failure));
    if (found != 10 || ids[0] != expected) {
        (void)fprintf(stderr, "wrong answer: found %u, first %llu\n", found,
                      (unsigned long long)ids[0]);
        exit(3);
    }
    omendb_collection_close(collection);
    free(query);
}

static void bench_load(uint64_t rows, uint32_t dim)
{
    uint64_t json = 0;
    double cpu = 0, writer_cpu = 0;
    remove_all();
    random_state = 1;
    omendb *db = database(0, OMENDB_DURABILITY_FULL);
    omendb_collection *collection = made(db, dim);
    const double wall = load(collection, rows, dim, &cpu, &writer_cpu, &json);
    omendb_collection_close(collection);
    first_answer(db, dim, 0, 0);
    const double closing = now_s();
    DIE_UNLESS(omendb_close(db, &failure));
    (void)printf(
        "{\"bench\":\"load\",\"row\":\"A5\",\"rows\":%llu,\"dim\":%u,\"wall_s\":%.3f,"
        "\"rows_per_s\":%.0f,\"cpu_s\":%.3f,\"writer_cpu_s\":%.3f,\"rows_per_writer_cpu_s\":%.0f,"
        "\"close_s\":%.3f}\n",
        (unsigned long long)rows, dim, wall, (double)rows / wall, cpu, writer_cpu,
        (double)rows / writer_cpu, now_s() - closing);
}

/* ---- Commits ---- */

struct committer {
    omendb_collection *collection;
    uint64_t first, done;
    double until;
};

static void *commit_loop(void *context)
{
    struct committer *committer = context;
    static const char json[] = "{\"title\":\"one small document\",\"year\":2026}";
    const uint64_t offsets[2] = {0, sizeof json - 1};
    omendb_error error = {0};
    while (now_s() < committer->until) {
        uint64_t id = committer->first + committer->done;
        omendb_rows rows = OMENDB_ROWS_INIT;
        rows.count = 1;
        rows.id_numbers = &id;
        rows.json = json;
        rows.json_offsets = offsets;
        if (omendb_collection_upsert(committer->collection, &rows, &error) != OMENDB_OK) {
            (void)fprintf(stderr, "%s\n", error.message);
            exit(3);
        }
        committer->done++;
    }
    return NULL;
}

static double commits_per_s(uint32_t threads, double seconds)
{
    struct committer committers[64] = {0};
    pthread_t handles[64];
    uint64_t total = 0;
    remove_all();
    omendb *db = database(0, OMENDB_DURABILITY_FULL);
    omendb_collection *collection = made(db, 0);
    const double begin = now_s();
    for (uint32_t i = 0; i < threads; i++) {
        committers[i] = (struct committer){
            .collection = collection, .first = (uint64_t)i << 32, .until = begin + seconds};
        if (pthread_create(&handles[i], NULL, commit_loop, &committers[i]) != 0) exit(3);
    }
    for (uint32_t i = 0; i < threads; i++) {
        (void)pthread_join(handles[i], NULL);
        total += committers[i].done;
    }
    const double wall = now_s() - begin;
    omendb_collection_close(collection);
    DIE_UNLESS(omendb_close(db, &failure));
    return (double)total / wall;
}

/* What a program without a database would do: append a record, fdatasync. */
static double bare_per_s(double seconds)
{
    char record[128] = {1};
    uint64_t done = 0;
    remove_all();
    const int file = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0644);
    const double begin = now_s();
    while (now_s() < begin + seconds) {
        if (write(file, record, sizeof record) != (ssize_t)sizeof record || fdatasync(file) != 0)
            exit(3);
        done++;
    }
    const double wall = now_s() - begin;
    (void)close(file);
    return (double)done / wall;
}

static int double_compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void bench_commit(double seconds)
{
    enum { ROUNDS = 9 };
    double one[ROUNDS], many[ROUNDS], ratio_bare[ROUNDS], ratio_threads[ROUNDS], bare[ROUNDS];
    for (int round = 0; round < ROUNDS; round++) { /* Interleaved. */
        bare[round] = bare_per_s(seconds);
        one[round] = commits_per_s(1, seconds);
        many[round] = commits_per_s(64, seconds);
        ratio_bare[round] = one[round] / bare[round];
        ratio_threads[round] = many[round] / one[round];
    }
    qsort(one, ROUNDS, sizeof *one, double_compare);
    qsort(many, ROUNDS, sizeof *many, double_compare);
    qsort(bare, ROUNDS, sizeof *bare, double_compare);
    qsort(ratio_bare, ROUNDS, sizeof *one, double_compare);
    qsort(ratio_threads, ROUNDS, sizeof *one, double_compare);
    (void)printf("{\"bench\":\"commit\",\"row\":\"A6\",\"rounds\":%d,\"bare_per_s\":%.0f,"
                 "\"one_thread_per_s\":%.0f,\"threads_64_per_s\":%.0f,\"one_over_bare\":%.2f,"
                 "\"one_over_bare_min\":%.2f,\"threads_over_one\":%.1f,"
                 "\"threads_over_one_min\":%.1f}\n",
                 ROUNDS, bare[ROUNDS / 2], one[ROUNDS / 2], many[ROUNDS / 2],
                 ratio_bare[ROUNDS / 2], ratio_bare[0], ratio_threads[ROUNDS / 2],
                 ratio_threads[0]);
}

/* ---- Opening ---- */

static double open_and_ask(uint32_t dim, uint32_t flags, double *opened)
{
    const double begin = now_s();
    omendb *db = database(OMENDB_OPEN_MUST_EXIST, OMENDB_DURABILITY_FULL);
    *opened = (now_s() - begin) * 1e3;
    first_answer(db, dim, flags, 0);
    const double answered = (now_s() - begin) * 1e3;
    DIE_UNLESS(omendb_close(db, &failure));
    return answered;
}

static void drop_page_cache(void)
{
    const int file = open(path, O_RDONLY);
    if (file < 0 || fsync(file) != 0 || posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED) != 0)
        exit(3);
    (void)close(file);
}

static void bench_open(uint64_t rows, uint32_t dim)
{
    enum { ROUNDS = 9 };
    uint64_t json = 0;
    double cpu = 0, writer_cpu = 0, opened[ROUNDS], answered[ROUNDS], exact[ROUNDS];
    remove_all();
    random_state = 1;
    omendb *db = database(0, OMENDB_DURABILITY_NONE);
    omendb_collection *collection = made(db, dim);
    (void)load(collection, rows, dim, &cpu, &writer_cpu, &json);
    DIE_UNLESS(omendb_collection_wait_indexed(collection, 0, NULL, NULL, &failure));
    omendb_collection_close(collection);
    DIE_UNLESS(omendb_close(db, &failure));
    for (int round = 0; round < ROUNDS; round++) {
        exact[round] = open_and_ask(dim, OMENDB_EXACT, &opened[round]);
        answered[round] = open_and_ask(dim, 0, &opened[round]);
    }
    qsort(exact, ROUNDS, sizeof *exact, double_compare);
    qsort(opened, ROUNDS, sizeof *opened, double_compare);
    qsort(answered, ROUNDS, sizeof *answered, double_compare);
    double cold_opened = 0;
    drop_page_cache();
    const double cold = open_and_ask(dim, 0, &cold_opened);

    /* A child writes until its log is as large as it gets without a checkpoint, and is killed. */
    int pipes[2];
    char ready = 0;
    if (pipe(pipes) != 0) exit(3);
    const pid_t child = fork();
    if (child == 0) {
        omendb_options options = OMENDB_OPTIONS_INIT;
        omendb *writer = NULL;
        uint64_t more = 0;
        DIE_UNLESS(omendb_open(path, &options, &writer, &failure));
        DIE_UNLESS(omendb_collection_open(writer, "docs", &collection, &failure));
        struct batch batch = {.dim = dim, .vectors = malloc((size_t)BATCH * dim * sizeof(float))};
        const uint64_t wanted = (uint64_t)60 << 20; /* Just below the default limit of 64 MiB. */
        for (uint64_t bytes = 0; bytes < wanted; more += BATCH) {
            gaussian(batch.vectors, (size_t)BATCH * dim);
            batch_fill(&batch, rows + more, BATCH);
            batch_put(collection, &batch, BATCH);
            bytes += BATCH * (dim * sizeof(float) + 120);
        }
        if (write(pipes[1], "x", 1) != 1) _exit(3);
        for (;;) (void)pause();
    }
    if (child < 0 || read(pipes[0], &ready, 1) != 1) exit(3);
    (void)kill(child, SIGKILL);
    (void)waitpid(child, NULL, 0);
    uint64_t wal_bytes = 0;
    for (int i = 0; i < 2000; i++) {
        char name[PATH_SIZE + 32];
        (void)snprintf(name, sizeof name, "%s-wal-%d", path, i);
        wal_bytes += file_bytes(name);
    }
    double killed_opened = 0;
    const double killed = open_and_ask(dim, 0, &killed_opened);
    (void)printf("{\"bench\":\"open\",\"row\":\"A7\",\"rows\":%llu,\"dim\":%u,\"open_ms\":%.2f,"
                 "\"open_and_exact_ms\":%.2f,\"open_and_answer_ms\":%.2f,\"max_ms\":%.2f,\"cold_"
                 "open_and_answer_ms\":%.1f,"
                 "\"killed_wal_mib\":%.0f,\"killed_open_ms\":%.0f,\"killed_open_and_answer_ms\":"
                 "%.0f}\n",
                 (unsigned long long)rows, dim, opened[ROUNDS / 2], exact[ROUNDS / 2],
                 answered[ROUNDS / 2], answered[ROUNDS - 1], cold, (double)wal_bytes / 1048576,
                 killed_opened, killed);
}

/* ---- Size ---- */

/* The first number behind "name": in the statistics. */
static uint64_t stat_number(const char *stats, const char *name)
{
    const char *found = strstr(stats, name);
    if (found == NULL) exit(3);
    return strtoull(strchr(found, ':') + 1, NULL, 10);
}

/* In a process of its own, since memory is measured. */
static void size_measure(uint64_t rows, uint32_t dim, bool indexed, uint64_t empty)
{
    uint64_t json = 0;
    double cpu = 0, writer_cpu = 0;
    random_state = 1;
    omendb *db = database(0, OMENDB_DURABILITY_FULL);
    omendb_collection *collection = made(db, dim);
    (void)load(collection, rows, dim, &cpu, &writer_cpu, &json);
    if (indexed) DIE_UNLESS(omendb_collection_wait_indexed(collection, 0, NULL, NULL, &failure));
    omendb_collection_close(collection);
    DIE_UNLESS(omendb_close(db, &failure));
    const uint64_t before = resident_bytes(), at_rest = file_bytes(path);
    db = database(0, OMENDB_DURABILITY_FULL);
    for (int i = 0; i < 3; i++) first_answer(db, dim, 0, 0);
    const uint64_t raw = rows * (dim * sizeof(float) + 8) + json;
    char *stats = NULL;
    DIE_UNLESS(omendb_stats(db, &stats, &failure));
    const uint64_t derived = stat_number(stats, "\"stored_bytes_derived\":");
    const uint64_t stored = stat_number(stats, "\"stored_bytes\":");
    const uint64_t resident = resident_bytes();
    (void)printf("{\"bench\":\"size\",\"row\":\"A10\",\"rows\":%llu,\"dim\":%u,\"indexed\":%s,"
                 "\"raw_bytes\":%llu,\"file_bytes\":%llu,\"file_over_raw\":%.3f,"
                 "\"derived_bytes\":%llu,\"authoritative_over_raw\":%.3f,"
                 "\"neither_bytes\":%llu,\"empty_bytes\":%llu,"
                 "\"rss_growth_bytes\":%llu,\"rss_over_raw\":%.3f}\n",
                 (unsigned long long)rows, dim, indexed ? "true" : "false", (unsigned long long)raw,
                 (unsigned long long)at_rest, (double)at_rest / (double)raw,
                 (unsigned long long)derived, (double)(at_rest - derived) / (double)raw,
                 (unsigned long long)(at_rest - derived - stored), (unsigned long long)empty,
                 (unsigned long long)(resident - before),
                 (double)(resident - before) / (double)raw);
    (void)fflush(stdout);
    omendb_text_destroy(stats);
    DIE_UNLESS(omendb_close(db, &failure));
}

/* Once closed right after the load, when little of the graph is there, once with all of it. */
static void bench_size(uint64_t rows, uint32_t dim)
{
    for (int indexed = 0; indexed < 2; indexed++) {
        remove_all();
        omendb *db = database(0, OMENDB_DURABILITY_FULL);
        DIE_UNLESS(omendb_close(db, &failure));
        const uint64_t empty = file_bytes(path);
        const pid_t child = fork();
        if (child == 0) {
            size_measure(rows, dim, indexed != 0, empty);
            _exit(0);
        }
        (void)waitpid(child, NULL, 0);
    }
}

/* ---- Readers beside a load ---- */

struct reader {
    omendb_collection *collection;
    uint32_t dim;
    volatile bool stop;
    double latencies[200000];
    size_t count;
};

static void *read_loop(void *context)
{
    struct reader *reader = context;
    float *query = malloc(reader->dim * sizeof *query);
    omendb_error error = {0};
    uint64_t id = 0;
    while (!reader->stop && reader->count < 200000) {
        omendb_documents *documents = NULL;
        omendb_id key = {NULL, 0, id++ % 10000};
        const double begin = now_s();
        if (omendb_collection_get(reader->collection, &key, 1, OMENDB_WITH_DOCUMENTS, &documents,
                                  &error) != OMENDB_OK)
            exit(3);
        omendb_documents_destroy(documents);
        reader->latencies[reader->count++] = now_s() - begin;
        (void)usleep(100);
    }
    free(query);
    return NULL;
}

static double p99_of(struct reader *reader)
{
    qsort(reader->latencies, reader->count, sizeof(double), double_compare);
    return reader->latencies[reader->count * 99 / 100] * 1e6;
}

static void bench_upkeep(uint64_t rows, uint32_t dim)
{
    static struct reader alone, beside;
    pthread_t handle;
    uint64_t json = 0;
    double cpu = 0, writer_cpu = 0;
    remove_all();
    random_state = 1;
    omendb *db = database(0, OMENDB_DURABILITY_FULL);
    omendb_collection *collection = made(db, dim);
    (void)load(collection, 10000, dim, &cpu, &writer_cpu, &json);
    alone.collection = beside.collection = collection;
    alone.dim = beside.dim = dim;
    if (pthread_create(&handle, NULL, read_loop, &alone) != 0) exit(3);
    (void)sleep(2);
    alone.stop = true;
    (void)pthread_join(handle, NULL);
    if (pthread_create(&handle, NULL, read_loop, &beside) != 0) exit(3);
    const double wall = load(collection, rows, dim, &cpu, &writer_cpu, &json);
    beside.stop = true;
    (void)pthread_join(handle, NULL);
    const double p99_alone = p99_of(&alone), p99_beside = p99_of(&beside);
    (void)printf("{\"bench\":\"upkeep\",\"rows\":%llu,\"dim\":%u,\"load_rows_per_s\":%.0f,"
                 "\"get_p99_alone_us\":%.1f,\"get_p99_beside_load_us\":%.1f,\"ratio\":%.2f,"
                 "\"max_beside_us\":%.0f}\n",
                 (unsigned long long)rows, dim, (double)rows / wall, p99_alone, p99_beside,
                 p99_beside / p99_alone, beside.latencies[beside.count - 1] * 1e6);
    omendb_collection_close(collection);
    DIE_UNLESS(omendb_close(db, &failure));
}

/* ---- Exact search, driven by exact_faiss.py ---- */

static float *floats_read(const char *name, size_t *count)
{
    struct stat info;
    FILE *file = fopen(name, "rb");
    if (file == NULL || fstat(fileno(file), &info) != 0) exit(3);
    *count = (size_t)info.st_size / sizeof(float);
    float *values = malloc(*count * sizeof *values);
    if (values == NULL || fread(values, sizeof *values, *count, file) != *count) exit(3);
    (void)fclose(file);
    return values;
}

static void exact_round(omendb_collection *collection, const float *queries, size_t query_count,
                        uint32_t dim, uint32_t k)
{
    static uint64_t ids[10000], sum;
    static float scores[10000];
    uint32_t found = 0;
    const double begin = now_s();
    for (size_t i = 0; i < query_count; i++) {
        omendb_search_params params = OMENDB_SEARCH_PARAMS_INIT;
        params.flags = OMENDB_EXACT;
        params.queries = queries + i * dim;
        params.query_count = 1;
        params.dim = dim;
        params.k = k;
        DIE_UNLESS(omendb_search_vectors(collection, &params, ids, scores, &found, &failure));
        sum += ids[0];
    }
    (void)printf("%.3f\n", (now_s() - begin) / (double)query_count * 1e6);
    (void)fflush(stdout);
}

static void bench_exact(char **args)
{
    size_t base_count = 0, query_count = 0;
    float *base = floats_read(args[0], &base_count), *queries = floats_read(args[1], &query_count);
    const uint32_t dim = (uint32_t)atoi(args[2]), k = (uint32_t)atoi(args[4]);
    omendb_vector_field field = OMENDB_VECTOR_FIELD_INIT;
    omendb_schema schema = OMENDB_SCHEMA_INIT;
    omendb_collection *collection = NULL;
    omendb *db = NULL;
    char line[16];
    field.name = "v";
    field.dim = dim;
    field.metric = strcmp(args[3], "cosine") == 0 ? OMENDB_COSINE
                   : strcmp(args[3], "ip") == 0   ? OMENDB_IP
                                                  : OMENDB_L2;
    schema.vectors = &field;
    schema.vectors_count = 1;
    DIE_UNLESS(omendb_open(":memory:", NULL, &db, &failure));
    DIE_UNLESS(omendb_collection_create(db, "docs", &schema, &collection, &failure));
    struct batch batch = {.dim = dim};
    const size_t rows = base_count / dim;
    for (size_t first = 0; first < rows; first += BATCH) {
        const uint32_t count = rows - first < BATCH ? (uint32_t)(rows - first) : BATCH;
        batch.vectors = base + first * dim;
        batch_fill(&batch, first, count);
        batch_put(collection, &batch, count);
    }
    free(base);
    while (fgets(line, sizeof line, stdin) != NULL)
        exact_round(collection, queries, query_count / dim, dim, k);
    omendb_collection_close(collection);
    DIE_UNLESS(omendb_close(db, &failure));
    free(queries);
}

int main(int argc, char **argv)
{
    const char *folder = getenv("OMENDB_BENCH_DIR");
    const char *what = argc > 1 ? argv[1] : "";
    const double first = argc > 2 ? atof(argv[2]) : 0;
    const uint32_t dim = argc > 3 ? (uint32_t)atoi(argv[3]) : 128;
    (void)snprintf(path, sizeof path, "%s/store_bench.omen", folder != NULL ? folder : ".");
    if (strcmp(what, "exact") == 0 && argc == 7) {
        bench_exact(argv + 2);
        return 0;
    }
    if (strcmp(what, "load") == 0) bench_load(first > 0 ? (uint64_t)first : 200000, dim);
    else if (strcmp(what, "commit") == 0) bench_commit(first > 0 ? first : 1);
    else if (strcmp(what, "open") == 0) bench_open(first > 0 ? (uint64_t)first : 10000, dim);
    else if (strcmp(what, "size") == 0) bench_size(first > 0 ? (uint64_t)first : 10000, dim);
    else if (strcmp(what, "upkeep") == 0) bench_upkeep(first > 0 ? (uint64_t)first : 200000, dim);
    else {
        (void)fprintf(stderr, "usage: store_bench load|commit|open|size|upkeep [n] [dim]\n"
                              "       store_bench exact BASE QUERIES DIM METRIC K\n");
        return 2;
    }
    remove_all();
    return 0;
}

/* flat_bench - exact search through an in-memory store: one query, one thread.
 *
 *     flat_bench BASE.f32 QUERIES.f32 DIM METRIC(l2|cosine|ip) K [THREADS]
 *
 * Files are packed little-endian f32. Prints microseconds a query (the best of five rounds) with
 * codes and by brute force, after it has checked that both give the same hits.
 * bench/flat_faiss.py makes the files and runs faiss Flat beside it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "index/vector/flat.h"
#include "query/indexes.h"
#include "store/store.h"

enum { THREADS_MAX = 16, ROUNDS = 5, BATCH_ROWS = 500 };

static struct flat_workspace workspaces[THREADS_MAX];

static double seconds(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void must(omendb_status status, const omendb_error *err)
{
    if (status == OMENDB_OK) return;
    (void)fprintf(stderr, "status %d: %s\n", (int)status, err->message);
    exit(1);
}

static float *load(const char *path, uint32_t dim, size_t *count)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL || fseek(file, 0, SEEK_END) != 0) {
        perror(path);
        exit(1);
    }
    const size_t size = (size_t)ftell(file);
    float *data = malloc(size);
    rewind(file);
    if (data == NULL || fread(data, 1, size, file) != size) {
        perror(path);
        exit(1);
    }
    (void)fclose(file);
    *count = size / sizeof *data / dim;
    return data;
}

static void insert(struct store *store, struct collection *collection, const float *base,
                   size_t count, uint32_t dim)
{
    static const uint8_t empty[3] = {0x20, 3, 0};
    struct batch batch = {0};
    omendb_error err = {0};
    for (size_t i = 0; i < count; i++) {
        void *vector;
        must(batch_add(&batch, OPERATION_UPSERT, collection->id, NULL, 0, i, empty, sizeof empty,
                       &err),
             &err);
        must(batch_add_vector(&batch, 0, dim * 4, &vector, &err), &err);
        memcpy(vector, base + i * dim, (size_t)dim * 4);
        if (i % BATCH_ROWS == BATCH_ROWS - 1 || i == count - 1) {
            must(store_commit(store, &batch, OMENDB_DURABILITY_DEFAULT, NULL, &err), &err);
            batch_clear(&batch);
        }
    }
    batch_deinit(&batch);
}

int main(int argc, char **argv)
{
    if (argc < 6) {
        (void)fprintf(stderr, "usage: %s BASE.f32 QUERIES.f32 DIM l2|cosine|ip K [THREADS]\n",
                      argv[0]);
        return 2;
    }
    const uint32_t dim = (uint32_t)strtoul(argv[3], NULL, 10);
    const uint32_t k = (uint32_t)strtoul(argv[5], NULL, 10);
    const uint32_t threads = argc > 6 ? (uint32_t)strtoul(argv[6], NULL, 10) : 1;
    if (dim == 0 || k == 0 || k > OMENDB_K_MAX || threads == 0 || threads > THREADS_MAX) return 2;
    size_t base_count, query_count;
    float *base = load(argv[1], dim, &base_count);
    float *queries = load(argv[2], dim, &query_count);
    omendb_error err = {0};

    const struct store_options options = {.vfs = vfs_real(),
                                          .durability = OMENDB_DURABILITY_NONE,
                                          .interval_ms = 100,
                                          .wal_size_max = 64 << 20,
                                          .wal_segment_size = 16 << 20,
                                          .hooks = *indexes_hooks_all()};
    const omendb_vector_field field = {.struct_size = (uint32_t)sizeof field,
                                       .dim = dim,
                                       .name = "v",
                                       .type = OMENDB_F32,
                                       .metric = strcmp(argv[4], "l2") == 0       ? OMENDB_L2
                                                 : strcmp(argv[4], "cosine") == 0 ? OMENDB_COSINE
                                                                                  : OMENDB_IP};
    const omendb_schema from = {
        .struct_size = (uint32_t)sizeof from, .vectors_count = 1, .vectors = &field};
    struct schema *schema;
    struct store *store;
    struct collection *collection;
    must(store_open(&options, &store, &err), &err);
    must(schema_create(&from, &schema, &err), &err);
    must(store_collection_create(store, "bench", schema, &collection, &err), &err);
    double start = seconds();
    insert(store, collection, base, base_count, dim);
    (void)printf("inserted %zu x %u in %.2f s\n", base_count, dim, seconds() - start);

    struct flat_hit *hits = malloc(k * sizeof *hits), *brute_hits = malloc(k * sizeof *hits);
    if (hits == NULL || brute_hits == NULL) return 1;
    struct flat_stats stats = {0};
    double best[2] = {1e9, 1e9};
    for (int round = 0; round < ROUNDS; round++) {
        double spent[2] = {0, 0};
        for (size_t i = 0; i < query_count; i++) {
            struct snapshot snapshot;
            uint32_t found, brute_found;
            must(store_enter(store, &snapshot, &err), &err);
            const struct flat_query query = {.collection = collection,
                                             .k = k,
                                             .vector = queries + i * dim,
                                             .sequence = snapshot.sequence};
            start = seconds();
            must(flat_search_batch(&query, 1, threads, workspaces, hits, &found, &stats, &err),
                 &err);
            spent[0] += seconds() - start;
            if (round == 0 || i < 8) {
                start = seconds();
                must(flat_search_brute(&query, workspaces, brute_hits, &brute_found, NULL, &err),
                     &err);
                spent[1] += seconds() - start;
                for (uint32_t j = 0; j < found; j++) {
                    if (found == brute_found && hits[j].slot == brute_hits[j].slot) continue;
                    (void)fprintf(stderr, "query %zu: hit %u differs\n", i, j);
                    return 1;
                }
            }
            store_leave(&snapshot);
        }
        const double brute = spent[1] / (double)(round == 0 || query_count < 8 ? query_count : 8);
        spent[0] /= (double)query_count;
        if (spent[0] < best[0]) best[0] = spent[0];
        if (brute < best[1]) best[1] = brute;
    }
    const double searches = (double)ROUNDS * (double)query_count;
    (void)printf("k %u, threads %u: %.1f us a query, brute force %.1f us; of %.0f nodes %.1f "
                 "candidates, %.1f read in full\n",
                 k, threads, best[0] * 1e6, best[1] * 1e6, (double)stats.scanned / searches,
                 (double)stats.candidates / searches, (double)stats.refined / searches);
    collection_unpin(collection);
    must(store_close(store, &err), &err);
    for (int i = 0; i < THREADS_MAX; i++) flat_workspace_deinit(&workspaces[i]);
    free(hits);
    free(brute_hits);
    free(base);
    free(queries);
    return 0;
}

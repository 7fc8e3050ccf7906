/* graph_bench.c - the graph alone: walks, entries and their parameters, without storage around them.
 * Long because: one program that is read from top to bottom, with its sets, ladders and report.
 *
 *     graph_bench --data FILE --queries FILE --dim D [--metric l2|cosine|ip] [--rows N]
 *     graph_bench --gaussian-mixture N DIM CLUSTERS [--rank R]
 *     graph_bench --uniform N DIM
 *
 *     --links FILE     reads the graph from there, or builds it and writes it there
 *     --ef-construction 100, --threads 1 (of building and of the exact answers)
 *     --keep 0         candidates of an insertion that pruning looks at; 0 = all
 *     --refine 0       ef of a second look at every node; 0 = none
 *     --ef A,B,...     ladder; --rounds 5; --query-count 1000; --seed 1
 *     --walks edges,codes   --enters hubs,layers
 *     --ladder all|short    short: only the lines at a recall of .90, .95 and .99
 *
 * Files hold f32, raw or as NumPy's .npy; under cosine they are made unit vectors. Columns are plain
 * memory with huge pages. Exact answers come from brute force over f32; a hit is a neighbour as near
 * as the 10th. A query is what an engine has to do: turn, walk, re-rank 12 on full vectors.
 *
 * One JSON object a line on stdout: "build"; "search" for each walk, entry and ef; "at" for the speed
 * at a recall (its logarithm linear in recall between two efs); "ratio" of layers over hubs, round
 * by round. All times are CPU time of the process; rounds are interleaved, figures are medians.
 *
 * --gaussian-mixture: clusters of power-law sizes, each spread along R (32) directions of its own,
 * as bench/ann/data.py says. --uniform: of the unit cube.
 */
#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "base/alloc.h"
#include "index/vector/graph_kernels.h"
#include "index/vector/graph_layers.h"
#include "os/cpu.h"
#include "os/thread.h"

enum {
    K = 10,
    KEEP = 12, /* Candidates that are read in full. */
    EFS_MAX = 32,
    ROUNDS_MAX = 31,
    RECALLS = 3,
    WALKS = 2,
    ENTERS = 2,
    SERIES = WALKS * ENTERS,
    REFINE_BATCH = 1024,
    TILE = 256 /* Rows that all queries look at while they are in a cache. */
};

static const double recalls[RECALLS] = {0.90, 0.95, 0.99};
static const char *const walk_names[WALKS] = {"edges", "codes"};
static const char *const enter_names[ENTERS] = {"hubs", "layers"};

static omendb_error failure;

#define DIE_UNLESS(call)                                                                           \
    do {                                                                                           \
        if ((call) != OMENDB_OK) {                                                                 \
            (void)fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, failure.message);             \
            exit(3);                                                                               \
        }                                                                                          \
    } while (0)

static void die(const char *what)
{
    (void)fprintf(stderr, "graph_bench: %s\n", what);
    exit(2);
}

static double cpu_s(void)
{
    struct timespec at;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &at);
    return (double)at.tv_sec + (double)at.tv_nsec * 1e-9;
}

static void *huge(size_t size)
{
    const size_t step = (size_t)2 << 20, whole = (size + step) / step * step;
    void *memory = NULL;
    if (posix_memalign(&memory, step, whole) != 0) die("out of memory");
    (void)madvise(memory, whole, MADV_HUGEPAGE);
    memset(memory, 0, whole);
    return memory;
}

static void *items(size_t count, size_t size)
{
    void *memory = calloc(count, size);
    if (memory == NULL) die("out of memory");
    return memory;
}

/* ---- What is asked for ----------------------------------------------------------- */

struct request {
    const char *data, *queries, *links;
    const char *made; /* "gaussian-mixture", "uniform", or NULL: read. */
    omendb_metric metric;
    uint32_t rows, dim, clusters, rank, query_count, ef_construction, keep, refine, threads, rounds;
    uint32_t efs[EFS_MAX], ef_count;
    bool walks[WALKS], enters[ENTERS], short_ladder;
    uint64_t seed;
};

static void names_parse(const char *text, const char *const *names, bool *out)
{
    for (int i = 0; i < 2; i++) out[i] = strstr(text, names[i]) != NULL;
    if (!out[0] && !out[1]) die("unknown name");
}

static void efs_parse(struct request *request, const char *text)
{
    request->ef_count = 0;
    for (; *text != 0 && request->ef_count < EFS_MAX; text += *text == ',') {
        char *end;
        const unsigned long ef = strtoul(text, &end, 10);
        if (end == text || ef < K || ef > GRAPH_EFFORT_MAX) die("--ef: numbers from 10 on");
        request->efs[request->ef_count++] = (uint32_t)ef;
        text = end;
    }
}

static void request_parse(struct request *request, char **words)
{
    *request = (struct request){.metric = OMENDB_L2,
                                .rank = 32,
                                .query_count = 1000,
                                .ef_construction = 100,
                                .threads = 1,
                                .rounds = 5,
                                .seed = 1,
                                .walks = {true, true},
                                .enters = {true, true}};
    efs_parse(request, "10,12,14,16,20,24,32,40,48,64,80,96,128,160,192,256,384,512,768");
    while (*words != NULL) {
        const char *word = *words++;
        if (*words == NULL) die("a value is missing");
#define NUMBER() ((uint32_t)strtoul(*words++, NULL, 10))
        if (strcmp(word, "--data") == 0) request->data = *words++;
        else if (strcmp(word, "--queries") == 0) request->queries = *words++;
        else if (strcmp(word, "--links") == 0) request->links = *words++;
        else if (strcmp(word, "--dim") == 0) request->dim = NUMBER();
        else if (strcmp(word, "--rows") == 0) request->rows = NUMBER();
        else if (strcmp(word, "--rank") == 0) request->rank = NUMBER();
        else if (strcmp(word, "--query-count") == 0) request->query_count = NUMBER();
        else if (strcmp(word, "--ef-construction") == 0) request->ef_construction = NUMBER();
        else if (strcmp(word, "--keep") == 0) request->keep = NUMBER();
        else if (strcmp(word, "--refine") == 0) request->refine = NUMBER();
        else if (strcmp(word, "--threads") == 0) request->threads = NUMBER();
        else if (strcmp(word, "--rounds") == 0) request->rounds = NUMBER();
        else if (strcmp(word, "--seed") == 0) request->seed = NUMBER();
        else if (strcmp(word, "--ef") == 0) efs_parse(request, *words++);
        else if (strcmp(word, "--walks") == 0) names_parse(*words++, walk_names, request->walks);
        else if (strcmp(word, "--enters") == 0) names_parse(*words++, enter_names, request->enters);
        else if (strcmp(word, "--ladder") == 0)
            request->short_ladder = strcmp(*words++, "short") == 0;
        else if (strcmp(word, "--metric") == 0) {
            request->metric = strcmp(*words, "cosine") == 0 ? OMENDB_COSINE
                              : strcmp(*words, "ip") == 0   ? OMENDB_IP
                                                            : OMENDB_L2;
            words++;
        } else if (strcmp(word, "--gaussian-mixture") == 0 || strcmp(word, "--uniform") == 0) {
            request->made = word + 2;
            request->rows = NUMBER();
            if (*words == NULL) die("a dimension is missing");
            request->dim = NUMBER();
            if (word[2] == 'u') continue;
            if (*words == NULL) die("a number of clusters is missing");
            request->clusters = NUMBER();
        } else {
            die(word);
        }
#undef NUMBER
    }
    if (request->dim == 0 ||
        (request->made == NULL && (request->data == NULL || request->queries == NULL)))
        die("--data FILE --queries FILE --dim D | --gaussian-mixture N DIM CLUSTERS | "
            "--uniform N DIM");
    if (request->rounds == 0 || request->rounds > ROUNDS_MAX) die("--rounds: 1 to 31");
    if (request->made != NULL && request->rows < K) die("too few rows");
    if (strcmp(request->made != NULL ? request->made : "", "gaussian-mixture") == 0 &&
        request->clusters == 0)
        die("no clusters");
}

/* ---- Vectors ----------------------------------------------------------------------- */

struct set {
    uint32_t dim, rows, query_count;
    float *base, *queries;
    float *limits; /* [query_count] distance of the K-th neighbour. */
};

static uint64_t random_u64(uint64_t *state)
{
    uint64_t z = (*state += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

static double random_unit(uint64_t *state)
{
    return ((double)(random_u64(state) >> 11) + 0.5) * 0x1p-53;
}

static float random_normal(uint64_t *state)
{
    const double radius = sqrt(-2 * log(random_unit(state)));
    return (float)(radius * cos(6.283185307179586 * random_unit(state)));
}

static float *vectors_read(const char *name, uint32_t dim, uint32_t most, uint32_t *count)
{
    FILE *file = fopen(name, "rb");
    unsigned char head[10] = {0};
    if (file == NULL) die(name);
    long begin = 0;
    if (fread(head, 1, sizeof head, file) == sizeof head && memcmp(head, "\x93NUMPY\1", 7) == 0)
        begin = 10 + head[8] + 256L * head[9];
    (void)fseek(file, 0, SEEK_END);
    const long size = ftell(file) - begin;
    const size_t row_size = (size_t)dim * sizeof(float);
    if (size <= 0 || (size_t)size % row_size != 0) die("the file holds no whole rows");
    *count = (uint32_t)((size_t)size / row_size);
    if (most != 0 && *count > most) *count = most;
    float *out = huge(*count * row_size);
    (void)fseek(file, begin, SEEK_SET);
    if (fread(out, row_size, *count, file) != *count) die("short file");
    (void)fclose(file);
    return out;
}

struct mixture {
    uint32_t dim, clusters, rank;
    double *ends; /* [clusters] of cumulated weights. */
    float *centres, *directions, *scales;
};

static struct mixture mixture_create(const struct request *request, uint64_t *state)
{
    const uint32_t dim = request->dim, clusters = request->clusters;
    const uint32_t rank = request->rank < dim ? request->rank : dim;
    struct mixture mixture = {.dim = dim,
                              .clusters = clusters,
                              .rank = rank,
                              .ends = items(clusters, sizeof(double)),
                              .centres = items((size_t)clusters * dim, sizeof(float)),
                              .directions = items((size_t)clusters * rank * dim, sizeof(float)),
                              .scales = items((size_t)rank + 1, sizeof(float))};
    double total = 0, squares = 0;
    for (uint32_t i = 0; i < clusters; i++) mixture.ends[i] = total += pow(i + 1, -0.9);
    for (uint32_t i = 0; i < clusters; i++) mixture.ends[i] /= total;
    for (uint32_t i = 0; i < rank; i++) squares += 1.0 / (i + 1);
    for (uint32_t i = 0; i < rank; i++)
        mixture.scales[i] = (float)(0.8 * sqrt(dim / squares / (i + 1)));
    for (size_t i = 0; i < (size_t)clusters * dim; i++) mixture.centres[i] = random_normal(state);
    for (size_t i = 0; i < (size_t)clusters * rank * dim; i++)
        mixture.directions[i] = random_normal(state) / sqrtf((float)dim);
    return mixture;
}

static void mixture_destroy(struct mixture *mixture)
{
    free(mixture->ends);
    free(mixture->centres);
    free(mixture->directions);
    free(mixture->scales);
}

static void mixture_point(const struct mixture *mixture, uint64_t *state, float *out)
{
    const double at = random_unit(state);
    uint32_t low = 0, high = mixture->clusters - 1;
    while (low < high) {
        const uint32_t middle = (low + high) / 2;
        if (mixture->ends[middle] < at) low = middle + 1;
        else high = middle;
    }
    const float *centre = mixture->centres + (size_t)low * mixture->dim;
    for (uint32_t i = 0; i < mixture->dim; i++) out[i] = centre[i] + 0.15f * random_normal(state);
    for (uint32_t j = 0; j < mixture->rank; j++) {
        const float *direction = mixture->directions +
                                 ((size_t)low * mixture->rank + j) * mixture->dim;
        const float much = mixture->scales[j] * random_normal(state);
        for (uint32_t i = 0; i < mixture->dim; i++) out[i] += much * direction[i];
    }
}

static void set_make(struct set *set, const struct request *request)
{
    uint64_t state = request->seed;
    const size_t count = (size_t)request->rows + request->query_count;
    struct mixture mixture = {0};
    set->rows = request->rows;
    set->query_count = request->query_count;
    set->base = huge(count * set->dim * sizeof(float));
    set->queries = set->base + (size_t)set->rows * set->dim;
    if (request->clusters != 0) mixture = mixture_create(request, &state);
    for (size_t i = 0; i < count; i++) {
        float *out = set->base + i * set->dim;
        if (request->clusters != 0) mixture_point(&mixture, &state, out);
        else
            for (uint32_t j = 0; j < set->dim; j++) out[j] = (float)random_unit(&state);
    }
    mixture_destroy(&mixture);
}

static void set_unit(float *rows, size_t count, uint32_t dim)
{
    for (size_t i = 0; i < count; i++) {
        double square = 0;
        for (uint32_t j = 0; j < dim; j++) square += pow((double)rows[i * dim + j], 2);
        const float factor = square > 0 ? (float)(1 / sqrt(square)) : 0;
        for (uint32_t j = 0; j < dim; j++) rows[i * dim + j] *= factor;
    }
}

/* What ranks, smaller = nearer: squared L2, or minus the product. */
static void set_distances(const struct kernels *kernels, bool product, const float *query,
                          const void *const *rows, uint32_t count, uint32_t dim, float *out)
{
    if (!product) {
        kernels->l2[OMENDB_F32].gather(query, rows, count, dim, out);
        return;
    }
    kernels->dot[OMENDB_F32].gather(query, rows, count, dim, out);
    for (uint32_t i = 0; i < count; i++) out[i] = -out[i];
}

struct truth {
    struct set *set;
    const struct kernels *kernels;
    bool product;
};

enum { TRUTH_GROUP = 16 }; /* Queries of one piece of work. */

static void truth_group(void *context, uint32_t group)
{
    const struct truth *truth = context;
    const struct set *set = truth->set;
    const uint32_t first = group * TRUTH_GROUP;
    const uint32_t end = first + TRUTH_GROUP < set->query_count ? first + TRUTH_GROUP
                                                                : set->query_count;
    float best[TRUTH_GROUP][K], distances[TILE];
    const void *rows[TILE];
    for (uint32_t i = 0; i < TRUTH_GROUP * K; i++) best[i / K][i % K] = INFINITY;
    for (uint32_t at = 0; at < set->rows; at += TILE) {
        const uint32_t count = set->rows - at < TILE ? set->rows - at : TILE;
        for (uint32_t i = 0; i < count; i++) rows[i] = set->base + (size_t)(at + i) * set->dim;
        for (uint32_t query = first; query < end; query++) {
            float *top = best[query - first];
            set_distances(truth->kernels, truth->product, set->queries + (size_t)query * set->dim,
                          rows, count, set->dim, distances);
            for (uint32_t i = 0; i < count; i++) {
                uint32_t place = K - 1;
                if (!(distances[i] < top[place])) continue;
                for (; place > 0 && top[place - 1] > distances[i]; place--)
                    top[place] = top[place - 1];
                top[place] = distances[i];
            }
        }
    }
    for (uint32_t query = first; query < end; query++)
        set->limits[query] = best[query - first][K - 1];
}

/* ---- The graph ---------------------------------------------------------------------- */

struct bench {
    const struct request *request;
    struct set set;
    struct codes codes;
    struct graph graph;
    uint8_t *rows, *links;
    atomic_u64 *linked;
    uint32_t *order; /* Of insertion: shuffled. */
    struct graph_query query;
    struct graph_scratch scratch;
    float *widened;
    bool product;
};

static void bench_encode(struct bench *bench, const struct kernels *kernels)
{
    const struct set *set = &bench->set;
    const uint32_t dim = set->dim, step = set->rows / 4096 + 1;
    double squares = 0, *sums = items(dim, sizeof *sums);
    float *mean = items(dim, sizeof *mean);
    uint32_t sampled = 0;
    DIE_UNLESS(codes_init(&bench->codes, kernels, OMENDB_F32, bench->request->metric, dim,
                          UINT64_C(0x4F6D656E44422037), &failure));
    for (uint32_t i = 0; i < set->rows; i += step, sampled++)
        for (uint32_t j = 0; j < dim; j++) sums[j] += (double)set->base[(size_t)i * dim + j];
    for (uint32_t j = 0; j < dim; j++) mean[j] = (float)(sums[j] / sampled);
    DIE_UNLESS(codes_add_centre(&bench->codes, mean, &failure));
    graph_init(&bench->graph, kernels, cpu_features(), dim, bench->request->metric);
    bench->rows = huge((size_t)set->rows * bench->codes.stride);
    for (uint32_t i = 0; i < set->rows; i++) {
        const float *vector = set->base + (size_t)i * dim;
        uint8_t *row = bench->rows + (size_t)i * bench->codes.stride;
        codes_encode(&bench->codes, vector, 1, row);
        const double length = (double)((const struct code_header *)(const void *)row)->length;
        squares += length * length;
    }
    bench->graph.unit = exp2f(rintf(log2f((float)(1 / sqrt(squares / set->rows)))));
    free(sums);
    free(mean);
}

static void bench_entries(struct bench *bench)
{
    struct graph_entries *entries = NULL;
    DIE_UNLESS(
        graph_entries_choose(&bench->graph, bench->linked, bench->set.rows, &entries, &failure));
    graph_entries_destroy(atomic_load_acquire_pointer(&bench->graph.entries));
    atomic_store_release_pointer(&bench->graph.entries, entries); /* with walks */
}

static void bench_apply(struct bench *bench, const struct graph_plan *plan)
{
    for (size_t i = 0; i < plan->count; i++)
        memcpy(bench->links + (size_t)plan->rows[i].node * GRAPH_LINKS_SIZE, plan->rows[i].slots,
               GRAPH_LINKS_SIZE);
}

static void bench_mark(struct bench *bench, uint32_t node)
{
    const uint64_t word = atomic_load_relaxed_u64(&bench->linked[node / 64]);
    atomic_store_relaxed_u64(&bench->linked[node / 64], word | UINT64_C(1) << (node % 64));
}

/* True: the file was there. */
static bool bench_links_read(struct bench *bench)
{
    FILE *file = bench->request->links != NULL ? fopen(bench->request->links, "rb") : NULL;
    if (file == NULL) return false;
    if (fread(bench->links, GRAPH_LINKS_SIZE, bench->set.rows, file) != bench->set.rows)
        die("--links: of another set");
    (void)fclose(file);
    for (uint32_t i = 0; i < bench->set.rows; i++) bench_mark(bench, i);
    bench_entries(bench);
    return true;
}

static void bench_links_write(const struct bench *bench)
{
    FILE *file = bench->request->links != NULL ? fopen(bench->request->links, "wb") : NULL;
    if (file == NULL) return;
    if (fwrite(bench->links, GRAPH_LINKS_SIZE, bench->set.rows, file) != bench->set.rows ||
        fclose(file) != 0)
        die("--links: can't be written");
}

static void bench_insert(struct bench *bench, struct graph_plan *plan,
                         const struct graph_change_options *options)
{
    const uint32_t rows = bench->set.rows;
    uint32_t entries_due = 0;
    for (uint32_t done = 0; done < rows;) {
        const uint32_t most = graph_batch_size(done);
        const uint32_t count = most < rows - done ? most : rows - done;
        DIE_UNLESS(
            graph_plan_insert(&bench->graph, bench->order + done, count, options, plan, &failure));
        bench_apply(bench, plan);
        for (uint32_t i = 0; i < count; i++) bench_mark(bench, bench->order[done + i]);
        done += count;
        if (done < entries_due && done < rows) continue;
        bench_entries(bench);
        entries_due = 2 * done;
    }
}

static void bench_refine(struct bench *bench, struct graph_plan *plan,
                         struct graph_change_options options)
{
    uint32_t nodes[REFINE_BATCH];
    options.ef = bench->request->refine;
    options.keep = 0;
    for (uint32_t done = 0, count = 0; done < bench->set.rows; done += count) {
        for (count = 0; count < REFINE_BATCH && done + count < bench->set.rows; count++)
            nodes[count] = done + count;
        DIE_UNLESS(graph_plan_refine(&bench->graph, nodes, count, &options, plan, &failure));
        bench_apply(bench, plan);
    }
}

/* Returns how many nodes couldn't be reached before. */
static uint32_t bench_reach(struct bench *bench, struct graph_plan *plan,
                            const struct graph_change_options *options)
{
    uint32_t total = 0;
    for (uint32_t round = 0; round < 8; round++) {
        uint32_t unreachable = 0;
        DIE_UNLESS(
            graph_plan_reach(&bench->graph, bench->linked, options, plan, &unreachable, &failure));
        if (unreachable == 0) break;
        total += unreachable;
        bench_apply(bench, plan);
    }
    return total;
}

static void bench_build(struct bench *bench)
{
    const struct request *request = bench->request;
    const uint32_t rows = bench->set.rows;
    const struct kernels *kernels = kernels_for(cpu_features());
    struct graph *graph = &bench->graph;
    struct graph_plan plan = {0};
    const struct graph_change_options options = {.ef = request->ef_construction,
                                                 .keep = request->keep,
                                                 .threads = request->threads,
                                                 .node_end = rows};
    const double begin = cpu_s();
    bench_encode(bench, kernels);
    const double encoded = cpu_s();
    bench->links = huge((size_t)rows * GRAPH_LINKS_SIZE);
    bench->linked = items((size_t)rows / 64 + 1, sizeof *bench->linked);
    bench->order = items(rows, sizeof *bench->order);
    graph->edges = huge((size_t)rows * graph->edge_size);
    graph_column_init(&graph->codes, bench->rows, bench->codes.stride, rows, 0);
    graph_column_init(&graph->links, bench->links, GRAPH_LINKS_SIZE, rows, 0);
    uint64_t state = request->seed;
    for (uint32_t i = 0; i < rows; i++) {
        const uint32_t at = (uint32_t)(random_u64(&state) % (i + 1));
        bench->order[i] = bench->order[at];
        bench->order[at] = i;
    }
    const bool read = bench_links_read(bench);
    uint32_t unreachable = 0;
    double inserted = encoded;
    if (!read) {
        bench_insert(bench, &plan, &options);
        inserted = cpu_s();
        if (request->refine != 0) bench_refine(bench, &plan, options);
        unreachable = bench_reach(bench, &plan, &options);
        bench_links_write(bench);
    }
    const double linked = cpu_s();
    float *room = items(graph_edges_room(graph), sizeof *room);
    for (uint32_t i = 0; i < rows; i++)
        graph_edges_encode(graph, i, graph_links(graph, i), UINT32_MAX, room);
    const double edged = cpu_s();
    struct graph_layers *layers = NULL;
    DIE_UNLESS(graph_layers_choose(graph, bench->linked, &options, &layers, &failure));
    atomic_store_release_pointer(&graph->layers, layers); /* with walks */
    const double layered = cpu_s();
    uint64_t strict = 0, used = 0;
    for (uint32_t i = 0; i < rows; i++) {
        for (uint32_t slot = 0; slot < GRAPH_SLOTS; slot++) {
            strict += graph_links(graph, i)[slot] >> 31;
            used += graph_links(graph, i)[slot] != 0;
        }
    }
    const struct graph_entries *entries = atomic_load_acquire_pointer(&graph->entries);
    (void)printf("{\"bench\":\"build\",\"set\":\"%s\",\"rows\":%u,\"dim\":%u,\"metric\":\"%s\","
                 "\"kernels\":\"%s\",\"bits\":%u,\"hot_bytes\":%u,\"ef_construction\":%u,"
                 "\"encode_cpu_s\":%.2f,",
                 request->made != NULL ? request->made : request->data, rows, bench->set.dim,
                 request->metric == OMENDB_L2   ? "l2"
                 : request->metric == OMENDB_IP ? "ip"
                                                : "cosine",
                 graph->search->name, graph->bits,
                 bench->codes.stride + GRAPH_LINKS_SIZE + graph->edge_size,
                 request->ef_construction, encoded - begin);
    if (!read)
        (void)printf("\"link_cpu_s\":%.2f,\"refine_cpu_s\":%.2f,\"distances_per_insert\":%.0f,"
                     "\"unreachable\":%u,",
                     inserted - encoded, linked - inserted, (double)plan.counts.distances / rows,
                     unreachable);
    (void)printf("\"edges_cpu_s\":%.2f,\"strict_per_row\":%.1f,\"used_per_row\":%.1f,"
                 "\"entries\":%u,\"layers\":%u,\"layer_nodes\":%u,\"layers_cpu_s\":%.2f}\n",
                 edged - linked, (double)strict / rows, (double)used / rows,
                 entries != NULL ? entries->count : 0, layers != NULL ? layers->count : 0,
                 layers != NULL ? layers->layers[0].count : 0, layered - edged);
    (void)fflush(stdout);
    free(room);
    graph_plan_deinit(&plan);
}

/* ---- Searches ------------------------------------------------------------------------ */

/* One way to search at one ef: what each round took, and what it found. */
struct point {
    double recall, hops, distances, estimates, bytes;
    double qps[ROUNDS_MAX];
};

struct series {
    bool wanted;
    struct graph_effort effort;
    uint32_t count; /* Points measured: the ladder ends where recall does. */
    struct point points[EFS_MAX];
};

/* Distances of the best K of what was kept; returns how many are as near as the K-th neighbour. */
static uint32_t bench_rank(const struct bench *bench, const float *query, uint32_t kept,
                           float limit)
{
    const void *rows[KEEP];
    float distances[KEEP];
    const uint32_t count = kept < KEEP ? kept : KEEP;
    const size_t size = bench->set.dim * sizeof(float);
    uint32_t hits = 0;
    for (uint32_t i = 0; i < count; i++) {
        rows[i] = bench->set.base + (size_t)bench->scratch.kept[i].node * bench->set.dim;
        for (size_t at = 0; at < size; at += CACHE_LINE) prefetch((const char *)rows[i] + at);
    }
    set_distances(bench->graph.kernels, bench->product, query, rows, count, bench->set.dim,
                  distances);
    for (uint32_t i = 1; i < count; i++) {
        const float distance = distances[i];
        uint32_t at = i;
        for (; at > 0 && distances[at - 1] > distance; at--) distances[at] = distances[at - 1];
        distances[at] = distance;
    }
    for (uint32_t i = 0; i < count && i < K; i++) hits += distances[i] <= limit;
    return hits;
}

static void bench_pass(struct bench *bench, struct series *series, uint32_t ef, struct point *point,
                       uint32_t round)
{
    const struct set *set = &bench->set;
    struct graph_counts *counts = &bench->scratch.counts;
    uint64_t hits = 0;
    series->effort.ef = ef;
    series->effort.keep = ef < KEEP ? ef : KEEP;
    series->effort.near = series->effort.keep < K ? series->effort.keep : K;
    DIE_UNLESS(
        graph_scratch_reserve(&bench->scratch, set->rows, ef, series->effort.keep, &failure));
    *counts = (struct graph_counts){0};
    const double begin = cpu_s();
    for (uint32_t i = 0; i < set->query_count; i++) {
        const float *query = set->queries + (size_t)i * set->dim;
        (void)codes_widen(&bench->codes, query, bench->widened);
        DIE_UNLESS(graph_query_begin(&bench->query, &bench->graph, &bench->codes.rotation,
                                     bench->codes.centres[1], bench->widened, &failure));
        const uint32_t kept = graph_search(&bench->graph, &bench->query, &series->effort,
                                           &bench->scratch);
        hits += bench_rank(bench, query, kept, set->limits[i]);
    }
    const double queries = set->query_count;
    point->qps[round] = queries / (cpu_s() - begin);
    point->recall = (double)hits / (queries * K);
    point->hops = (double)counts->hops / queries;
    point->distances = (double)counts->distances / queries;
    point->estimates = (double)counts->estimates / queries;
    point->bytes = (double)counts->bytes / queries;
}

/* QPS at a recall in one round; 0: never reached. */
static double series_at(const struct series *series, uint32_t round, double recall)
{
    for (uint32_t i = 0; i < series->count; i++) {
        const struct point *point = &series->points[i];
        if (point->recall < recall) continue;
        if (i == 0) return point->qps[round];
        const struct point *before = point - 1;
        const double part = (recall - before->recall) / (point->recall - before->recall);
        return exp(log(before->qps[round]) * (1 - part) + log(point->qps[round]) * part);
    }
    return 0;
}

static double series_count_at(const struct series *series, double recall, size_t field)
{
    for (uint32_t i = 0; i < series->count; i++) {
        const struct point *point = &series->points[i];
        const double value = *(const double *)(const void *)((const char *)point + field);
        if (point->recall < recall) continue;
        if (i == 0) return value;
        const double old = *(const double *)(const void *)((const char *)(point - 1) + field);
        const double part = (recall - point[-1].recall) / (point->recall - point[-1].recall);
        return old * (1 - part) + value * part;
    }
    return 0;
}

static int double_compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double median(double *values, uint32_t count)
{
    qsort(values, count, sizeof *values, double_compare);
    return values[count / 2];
}

static void bench_print(const struct bench *bench, const struct series *all)
{
    const struct request *request = bench->request;
    const uint32_t rounds = request->rounds;
    double values[ROUNDS_MAX];
    for (uint32_t s = 0; s < SERIES; s++) {
        const struct series *series = &all[s];
        const char *walk = walk_names[s / ENTERS], *enter = enter_names[s % ENTERS];
        for (uint32_t i = 0; i < series->count && !request->short_ladder; i++) {
            const struct point *point = &series->points[i];
            memcpy(values, point->qps, sizeof values);
            (void)printf("{\"bench\":\"search\",\"walk\":\"%s\",\"enter\":\"%s\",\"ef\":%u,"
                         "\"recall\":%.4f,\"qps\":%.0f,\"hops\":%.1f,\"distances\":%.1f,"
                         "\"estimates\":%.0f,\"bytes\":%.0f}\n",
                         walk, enter, request->efs[i], point->recall, median(values, rounds),
                         point->hops, point->distances, point->estimates, point->bytes);
        }
        for (uint32_t i = 0; i < RECALLS; i++) {
            for (uint32_t round = 0; round < rounds; round++)
                values[round] = series_at(series, round, recalls[i]);
            const double qps = median(values, rounds);
            if (!(qps > 0)) continue;
            (void)printf("{\"bench\":\"at\",\"walk\":\"%s\",\"enter\":\"%s\",\"recall\":%.2f,"
                         "\"qps\":%.0f,\"hops\":%.1f,\"distances\":%.1f,\"bytes\":%.0f}\n",
                         walk, enter, recalls[i], qps,
                         series_count_at(series, recalls[i], offsetof(struct point, hops)),
                         series_count_at(series, recalls[i], offsetof(struct point, distances)),
                         series_count_at(series, recalls[i], offsetof(struct point, bytes)));
        }
    }
    for (uint32_t s = 0; s < SERIES; s += ENTERS) {
        for (uint32_t i = 0; i < RECALLS; i++) {
            bool reached = true;
            for (uint32_t round = 0; round < rounds; round++) {
                const double hubs = series_at(&all[s], round, recalls[i]);
                const double layers = series_at(&all[s + 1], round, recalls[i]);
                reached &= hubs > 0 && layers > 0;
                values[round] = hubs > 0 ? layers / hubs : 0;
            }
            if (!reached) continue;
            const double middle = median(values, rounds);
            (void)printf("{\"bench\":\"ratio\",\"walk\":\"%s\",\"recall\":%.2f,"
                         "\"layers_over_hubs\":%.3f,\"min\":%.3f,\"max\":%.3f}\n",
                         walk_names[s / ENTERS], recalls[i], middle, values[0], values[rounds - 1]);
        }
    }
}

static void bench_search(struct bench *bench)
{
    const struct request *request = bench->request;
    struct series *all = items(SERIES, sizeof *all);
    for (uint32_t s = 0; s < SERIES; s++) {
        const bool layers = s % ENTERS == 1;
        if (!request->walks[s / ENTERS] || !request->enters[s % ENTERS]) continue;
        if (layers && atomic_load_acquire_pointer(&bench->graph.layers) == NULL) continue;
        all[s].wanted = true;
        all[s].effort.walk = s / ENTERS == 0 ? GRAPH_WALK_EDGES : GRAPH_WALK_CODES;
        all[s].effort.enter = layers ? GRAPH_ENTER_LAYERS : GRAPH_ENTER_HUBS;
    }
    for (uint32_t round = 0; round < request->rounds; round++) {
        for (uint32_t i = 0; i < request->ef_count; i++) {
            for (uint32_t at = 0; at < SERIES; at++) {
                struct series *series = &all[(at + round) % SERIES];
                /* The first round finds out where a ladder ends. */
                const bool ended = i > 0 && series->points[i - 1].recall > 0.996;
                if (!series->wanted ||
                    (round == 0 ? i != series->count || ended : i >= series->count))
                    continue;
                bench_pass(bench, series, request->efs[i], &series->points[i], round);
                if (round == 0) series->count = i + 1;
            }
        }
    }
    bench_print(bench, all);
    free(all);
}

int main(int argc, char **argv)
{
    static struct request request;
    static struct bench bench;
    (void)argc;
    request_parse(&request, argv + 1);
    struct set *set = &bench.set;
    bench.request = &request;
    bench.product = request.metric != OMENDB_L2;
    set->dim = request.dim;
    if (request.made != NULL) {
        set_make(set, &request);
    } else {
        set->base = vectors_read(request.data, set->dim, request.rows, &set->rows);
        set->queries = vectors_read(request.queries, set->dim, request.query_count,
                                    &set->query_count);
    }
    if (request.metric == OMENDB_COSINE) {
        set_unit(set->base, set->rows, set->dim);
        set_unit(set->queries, set->query_count, set->dim);
    }
    set->limits = items(set->query_count, sizeof *set->limits);
    struct truth truth = {
        .set = set, .kernels = kernels_for(cpu_features()), .product = bench.product};
    thread_parallel(request.threads, (set->query_count + TRUTH_GROUP - 1) / TRUTH_GROUP,
                    truth_group, &truth);
    bench.widened = items(set->dim, sizeof *bench.widened);
    bench_build(&bench);
    bench_search(&bench);
    return 0;
}

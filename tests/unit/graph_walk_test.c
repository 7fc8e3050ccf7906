/* Walks over graphs made by hand: the nearest neighbours of each node and a few random ones. Every
 * instruction set must give the same nodes, distances and counts, bit for bit, and read nothing
 * outside of the arrays, which end at a page that can't be touched.
 *
 * Long because: the scenes, a third of it, are what all the tests share. */
#include <math.h>
#include <sys/mman.h>

#include "index/vector/graph_kernels.h"
#include "os/cpu.h"
#include "random.h"
#include "test.h"

enum { CLUSTERS = 12, RANDOM_LINKS = 4, ENTRIES = 70, NODES_PER_BLOCK = 100, PAGE_SIZE = 65536 };

static const struct graph_kernels *tables[KERNELS_LIST_MAX];
static size_t table_count;

static float random_normal(void) /* Nearly: the sum of twelve. */
{
    float sum = -6;
    for (uint32_t i = 0; i < 12; i++) sum += (float)(random_bits() >> 40) * 0x1p-24f;
    return sum;
}

/* ---- Scenes -------------------------------------------------------------------- */

/* Zeroed memory whose last byte is a page's last. */
struct guarded {
    uint8_t *all, *at;
    size_t all_size;
};

static struct guarded guarded_create(size_t size)
{
    struct guarded memory = {.all_size = (size + PAGE_SIZE - 1) / PAGE_SIZE * PAGE_SIZE};
    memory.all = mmap(NULL, memory.all_size + PAGE_SIZE, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(memory.all != MAP_FAILED);
    CHECK(mprotect(memory.all + memory.all_size, PAGE_SIZE, PROT_NONE) == 0);
    memory.at = memory.all + memory.all_size - size;
    return memory;
}

static void guarded_destroy(struct guarded *memory)
{
    CHECK(munmap(memory->all, memory->all_size + PAGE_SIZE) == 0);
}

struct scene {
    struct graph graph;
    struct codes codes;
    uint32_t dim, nodes, centre;
    float *vectors, *cluster_centres;
    struct guarded rows, links, edges, entry_codes, entry_signs;
    struct graph_entries entries;
    atomic_u64 *dead;
    struct graph_query query;
    struct graph_scratch scratch;
    float *order; /* [nodes] distances to the query */
};

struct scene_shape {
    uint32_t dim, nodes;
    omendb_metric metric;
    bool centred;
    float spread, unit; /* Of the vectors, of the graph. */
};

static void scene_vector(const struct scene *scene, const struct scene_shape *shape, float *out)
{
    const float *centre = scene->cluster_centres + random_bits() % CLUSTERS * scene->dim;
    for (uint32_t i = 0; i < scene->dim; i++)
        out[i] = (centre[i] + random_normal()) * shape->spread;
}

static uint32_t *scene_row(const struct scene *scene, uint32_t node)
{
    return (uint32_t *)(void *)graph_column_at(&scene->graph.links, node);
}

static int compare_candidates(const void *a, const void *b)
{
    const struct graph_candidate *x = a, *y = b;
    if (x->distance != y->distance) return x->distance < y->distance ? -1 : 1;
    return x->node < y->node ? -1 : x->node > y->node;
}

/* The nearest ones by code, then random ones, strict and filling edges in turn. */
static void scene_link(struct scene *scene)
{
    struct graph_candidate *near = malloc(scene->nodes * sizeof *near);
    CHECK(near != NULL);
    for (uint32_t node = 0; node < scene->nodes; node++) {
        uint32_t *row = scene_row(scene, node), used = 0;
        CHECK(graph_query_begin_node(&scene->query, &scene->graph, node, NULL) == OMENDB_OK);
        for (uint32_t i = 0; i < scene->nodes; i++) {
            near[i].node = i;
            near[i].distance = i == node ? INFINITY
                                         : graph_distance(&scene->graph, &scene->query, i);
        }
        qsort(near, scene->nodes, sizeof *near, compare_candidates);
        for (; used < GRAPH_SLOTS - RANDOM_LINKS && used + 1 < scene->nodes; used++)
            row[used] = graph_slot(near[used].node) | (used % 2 == 0 ? GRAPH_STRICT : 0);
        for (uint32_t i = 0; i < RANDOM_LINKS; i++) {
            const uint32_t other = (uint32_t)(random_bits() % scene->nodes);
            bool fresh = other != node;
            for (uint32_t j = 0; j < used; j++) fresh &= graph_slot_node(row[j]) != other;
            if (fresh) row[used++] = graph_slot(other);
        }
    }
    free(near);
}

/* What walks know of the entries, from their codes. */
static void scene_enter(struct scene *scene)
{
    const struct graph *graph = &scene->graph;
    const uint32_t stride = scene->codes.stride, size = graph_entry_row_size(graph);
    float *room = malloc(graph_edges_room(graph) * sizeof *room);
    CHECK(room != NULL);
    for (uint32_t at = 0; at < scene->entries.count; at += GRAPH_SLOTS) {
        uint32_t links[GRAPH_SLOTS] = {0};
        for (uint32_t i = 0; i < GRAPH_SLOTS && at + i < scene->entries.count; i++) {
            const uint32_t node = scene->entries.nodes[at + i];
            links[i] = graph_slot(node);
            memcpy(scene->entries.codes + (size_t)(at + i) * stride, graph_code(graph, node),
                   stride);
        }
        if (scene->entries.signs != NULL)
            graph_edges_encode_centre(graph, scene->entries.signs + (size_t)at / GRAPH_SLOTS * size,
                                      links, UINT32_MAX, room);
    }
    free(room);
}

static struct scene *scene_create(const struct scene_shape *shape)
{
    struct scene *scene = calloc(1, sizeof *scene);
    CHECK(scene != NULL);
    const uint32_t dim = shape->dim, nodes = shape->nodes, features = cpu_features();
    struct graph *graph = &scene->graph;
    scene->dim = dim;
    scene->nodes = nodes;
    scene->vectors = malloc((size_t)nodes * dim * sizeof(float));
    scene->cluster_centres = malloc((size_t)CLUSTERS * dim * sizeof(float));
    scene->dead = calloc(nodes / 64 + 1, sizeof *scene->dead);
    CHECK(scene->vectors != NULL && scene->cluster_centres != NULL && scene->dead != NULL);
    for (uint32_t i = 0; i < CLUSTERS * dim; i++)
        scene->cluster_centres[i] = 0.7f * random_normal() + 0.5f;
    for (uint32_t i = 0; i < nodes; i++)
        scene_vector(scene, shape, scene->vectors + (size_t)i * dim);
    CHECK(codes_init(&scene->codes, kernels_for(features), OMENDB_F32, shape->metric, dim, 7,
                     NULL) == OMENDB_OK);
    if (shape->centred) {
        float *mean = calloc(dim, sizeof *mean);
        CHECK(mean != NULL);
        for (uint32_t i = 0; i < nodes * dim; i++)
            mean[i % dim] += scene->vectors[i] / (float)nodes;
        CHECK(codes_add_centre(&scene->codes, mean, NULL) == OMENDB_OK);
        scene->centre = 1;
        free(mean);
    }
    graph_init(graph, kernels_for(features), features, dim, shape->metric);
    graph->unit = shape->unit;
    graph->dead = scene->dead;

    /* Codes in blocks with a gap behind each, as in the file; the last block ends at the guard. */
    const uint32_t stride = scene->codes.stride, block_size = NODES_PER_BLOCK * stride + 192;
    const uint32_t whole = (nodes - 1) / NODES_PER_BLOCK;
    scene->rows = guarded_create((size_t)whole * block_size +
                                 (size_t)(nodes - whole * NODES_PER_BLOCK) * stride);
    graph_column_init(&graph->codes, scene->rows.at, stride, NODES_PER_BLOCK, block_size);
    scene->links = guarded_create((size_t)nodes * GRAPH_LINKS_SIZE);
    graph_column_init(&graph->links, scene->links.at, GRAPH_LINKS_SIZE, nodes,
                      nodes * GRAPH_LINKS_SIZE);
    scene->edges = guarded_create((size_t)nodes * graph->edge_size);
    graph->edges = scene->edges.at;
    for (uint32_t i = 0; i < nodes; i++)
        codes_encode(&scene->codes, scene->vectors + (size_t)i * dim, scene->centre,
                     graph_column_at(&graph->codes, i));
    scene_link(scene);

    float *room = malloc(graph_edges_room(graph) * sizeof *room);
    CHECK(room != NULL);
    for (uint32_t i = 0; i < nodes; i++)
        graph_edges_encode(graph, i, graph_links(graph, i), UINT32_MAX, room);
    free(room);
    scene->entries.count = nodes < ENTRIES ? nodes : ENTRIES;
    scene->entry_codes = guarded_create((size_t)scene->entries.count * stride);
    scene->entries.codes = scene->entry_codes.at;
    const uint32_t rows = (scene->entries.count + GRAPH_SLOTS - 1) / GRAPH_SLOTS;
    scene->entry_signs = guarded_create((size_t)rows * graph_entry_row_size(graph));
    if (graph_edges_pay(dim)) scene->entries.signs = scene->entry_signs.at;
    for (uint32_t i = 0; i < scene->entries.count; i++)
        scene->entries.nodes[i] = (uint32_t)((uint64_t)i * nodes / scene->entries.count);
    scene_enter(scene);
    atomic_store_release_pointer(&graph->entries, &scene->entries);
    scene->order = malloc(nodes * sizeof *scene->order);
    CHECK(scene->order != NULL);
    return scene;
}

static void scene_destroy(struct scene *scene)
{
    graph_scratch_deinit(&scene->scratch);
    graph_query_deinit(&scene->query);
    codes_deinit(&scene->codes);
    guarded_destroy(&scene->rows);
    guarded_destroy(&scene->links);
    guarded_destroy(&scene->edges);
    guarded_destroy(&scene->entry_codes);
    guarded_destroy(&scene->entry_signs);
    free(scene->vectors);
    free(scene->cluster_centres);
    free((void *)scene->dead);
    free(scene->order);
    free(scene);
}

static void scene_kill(struct scene *scene, uint32_t node)
{
    const uint64_t word = atomic_load_relaxed_u64(&scene->dead[node / 64]);
    atomic_store_relaxed_u64(&scene->dead[node / 64], word | UINT64_C(1) << (node % 64));
}

static void scene_ask(struct scene *scene, const float *vector)
{
    CHECK(graph_query_begin(&scene->query, &scene->graph, &scene->codes.rotation,
                            scene->codes.centres[scene->centre], vector, NULL) == OMENDB_OK);
}

/* ---- Searches ------------------------------------------------------------------ */

static uint32_t scene_search(struct scene *scene, enum graph_walk walk, uint32_t ef, uint32_t keep,
                             uint32_t node_end)
{
    const struct graph_effort effort = {.walk = walk, .ef = ef, .keep = keep, .near = 1};
    CHECK(graph_scratch_reserve(&scene->scratch, node_end, ef, keep, NULL) == OMENDB_OK);
    return graph_search(&scene->graph, &scene->query, &effort, &scene->scratch);
}

static void check_found(struct scene *scene, uint32_t found, uint32_t keep, uint32_t node_end)
{
    const struct graph_candidate *kept = scene->scratch.kept;
    CHECK(found <= keep);
    for (uint32_t i = 0; i < found; i++) {
        CHECK(kept[i].node < node_end && !graph_is_dead(&scene->graph, kept[i].node));
        CHECK(kept[i].distance == graph_distance(&scene->graph, &scene->query, kept[i].node));
        CHECK(i == 0 || kept[i - 1].distance <= kept[i].distance);
        for (uint32_t j = 0; j < i; j++) CHECK(kept[j].node != kept[i].node);
    }
    for (size_t i = 0; i < scene->scratch.visited_words; i++) CHECK(scene->scratch.visited[i] == 0);
    CHECK(scene->scratch.touched_count == 0);
}

static int compare_floats(const void *a, const void *b)
{
    const float x = *(const float *)a, y = *(const float *)b;
    return x < y ? -1 : x > y;
}

/* Sorted distances of all nodes that may be found; returns how many. */
static uint32_t scene_order(struct scene *scene, uint32_t node_end)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < node_end; i++) {
        if (graph_is_dead(&scene->graph, i)) continue;
        scene->order[count++] = graph_distance(&scene->graph, &scene->query, i);
    }
    qsort(scene->order, count, sizeof *scene->order, compare_floats);
    return count;
}

static const struct scene_shape SHAPES[] = {
    {8, 600, OMENDB_L2, false, 1, 1},          {50, 1000, OMENDB_L2, true, 1, 1},
    {100, 1000, OMENDB_COSINE, true, 1, 16},   {100, 700, OMENDB_IP, false, 1, 1},
    {128, 700, OMENDB_L2, true, 100, 0x1p-7f}, {384, 700, OMENDB_COSINE, false, 1, 16},
    {600, 300, OMENDB_IP, true, 1, 1},         {64, 1, OMENDB_L2, false, 1, 1},
    {65, 20, OMENDB_L2, false, 1, 1},          {60, 600, OMENDB_COSINE, true, 1, 8},
    {100, 600, OMENDB_L2, false, 1, 1},        {200, 600, OMENDB_L2, true, 1, 1},
    {200, 500, OMENDB_IP, false, 1, 1},        {260, 400, OMENDB_L2, true, 1, 1},
};
#define EACH_SCENE(scene, shape)                                                                   \
    for (const struct scene_shape *shape = SHAPES; shape < SHAPES + COUNT_OF(SHAPES); shape++)     \
        for (struct scene *scene = scene_create(shape); scene != NULL;                             \
             scene_destroy(scene), scene = NULL)

/* Vectors as they are ranked: of unit length under COSINE. */
static void scene_query_vector(const struct scene *scene, const struct scene_shape *shape,
                               float *out)
{
    float length = 0;
    scene_vector(scene, shape, out);
    if (shape->metric != OMENDB_COSINE) return;
    for (uint32_t i = 0; i < scene->dim; i++) length += out[i] * out[i];
    for (uint32_t i = 0; i < scene->dim; i++) out[i] /= sqrtf(length);
}

static void walks_find_the_nearest_codes(void)
{
    enum { QUERIES = 30, KEEP = 10, EF = 100 };
    float vector[1024];
    EACH_SCENE(scene, shape)
    {
        uint32_t wanted = 0, hits[2] = {0, 0};
        for (uint32_t query = 0; query < QUERIES; query++) {
            scene_query_vector(scene, shape, vector);
            scene_ask(scene, vector);
            const uint32_t live = scene_order(scene, scene->nodes);
            const uint32_t best = live < KEEP ? live : KEEP;
            for (enum graph_walk walk = GRAPH_WALK_EDGES; walk <= GRAPH_WALK_CODES; walk++) {
                const uint32_t found = scene_search(scene, walk, EF, KEEP, scene->nodes);
                check_found(scene, found, KEEP, scene->nodes);
                for (uint32_t i = 0; i < found; i++)
                    hits[walk] += scene->scratch.kept[i].distance <= scene->order[best - 1];
            }
            wanted += best;
        }
        printf("dim %u, %u nodes: recall %.3f by edges, %.3f by codes\n", shape->dim, shape->nodes,
               (double)hits[GRAPH_WALK_EDGES] / wanted, (double)hits[GRAPH_WALK_CODES] / wanted);
        CHECK(hits[GRAPH_WALK_EDGES] * 10 >= wanted * 9);
        CHECK(hits[GRAPH_WALK_CODES] * 10 >= wanted * 9);
    }
}

static void a_pool_of_all_nodes_gives_the_exact_order(void)
{
    float vector[1024];
    EACH_SCENE(scene, shape)
    {
        for (uint32_t i = 0; i < scene->nodes / 7; i++) scene_kill(scene, i * 7 + 3);
        scene_query_vector(scene, shape, vector);
        scene_ask(scene, vector);
        const uint32_t live = scene_order(scene, scene->nodes);
        const uint32_t found = scene_search(scene, GRAPH_WALK_CODES, scene->nodes, scene->nodes,
                                            scene->nodes);
        check_found(scene, found, scene->nodes, scene->nodes);
        CHECK(found == live);
        for (uint32_t i = 0; i < found; i++)
            CHECK(scene->scratch.kept[i].distance == scene->order[i]);
    }
}

static void newer_and_dead_nodes_are_not_found(void)
{
    float vector[1024];
    EACH_SCENE(scene, shape)
    {
        for (uint32_t i = 1; i < scene->nodes; i++)
            if (random_bits() % 2 == 0) scene_kill(scene, i);
        for (uint32_t round = 0; round < 10; round++) {
            const uint32_t node_end = 1 + (uint32_t)(random_bits() % scene->nodes);
            scene_query_vector(scene, shape, vector);
            scene_ask(scene, vector);
            for (enum graph_walk walk = GRAPH_WALK_EDGES; walk <= GRAPH_WALK_CODES; walk++) {
                const uint32_t found = scene_search(scene, walk, 64, 20, node_end);
                check_found(scene, found, 20, node_end);
            }
        }
        /* Without entries there is nothing to find. */
        atomic_store_release_pointer(&scene->graph.entries, NULL);
        CHECK(scene_search(scene, GRAPH_WALK_EDGES, 64, 20, scene->nodes) == 0);
        CHECK(scene_search(scene, GRAPH_WALK_CODES, 64, 20, scene->nodes) == 0);
    }
}

static void a_stretch_ends_walks_sooner(void)
{
    float vector[1024];
    EACH_SCENE(scene, shape)
    {
        if (scene->nodes < 600 || shape->metric == OMENDB_IP) continue;
        uint64_t hops[2] = {0, 0};
        for (uint32_t round = 0; round < 20; round++) {
            scene_query_vector(scene, shape, vector);
            scene_ask(scene, vector);
            for (uint32_t i = 0; i < 4; i++) {
                const struct graph_effort effort = {.walk = i / 2 == 0 ? GRAPH_WALK_EDGES
                                                                       : GRAPH_WALK_CODES,
                                                    .ef = 200,
                                                    .keep = 10,
                                                    .near = 5,
                                                    .stretch = i % 2 == 0 ? 0 : 1.05f};
                CHECK(graph_scratch_reserve(&scene->scratch, scene->nodes, 200, 10, NULL) ==
                      OMENDB_OK);
                const uint64_t before = scene->scratch.counts.hops;
                const uint32_t found = graph_search(&scene->graph, &scene->query, &effort,
                                                    &scene->scratch);
                check_found(scene, found, 10, scene->nodes);
                hops[i % 2] += scene->scratch.counts.hops - before;
            }
        }
        CHECK(hops[1] < hops[0]);
    }
}

/* ---- The same everywhere ------------------------------------------------------- */

static void check_tables_agree(struct scene *scene, const float *vector, enum graph_walk walk,
                               uint32_t ef, uint32_t keep)
{
    static struct graph_candidate expected[4096];
    struct graph_counts counts = {0};
    uint32_t expected_count = 0;
    const struct graph_kernels *usual = scene->graph.search;
    for (size_t i = 0; i < table_count; i++) {
        scene->graph.search = tables[i];
        if (vector != NULL) scene_ask(scene, vector);
        else
            CHECK(graph_query_begin_node(&scene->query, &scene->graph, ef % scene->nodes, NULL) ==
                  OMENDB_OK);
        scene->scratch.counts = (struct graph_counts){0};
        const uint32_t found = scene_search(scene, walk, ef, keep, scene->nodes);
        if (i == 0) {
            memcpy(expected, scene->scratch.kept, found * sizeof *expected);
            expected_count = found;
            counts = scene->scratch.counts;
        }
        CHECK(found == expected_count);
        CHECK(memcmp(scene->scratch.kept, expected, found * sizeof *expected) == 0);
        CHECK(memcmp(&scene->scratch.counts, &counts, sizeof counts) == 0);
        for (uint32_t j = 0; j < found; j++)
            CHECK(graph_distance(&scene->graph, &scene->query, expected[j].node) ==
                  expected[j].distance);
    }
    scene->graph.search = usual;
}

static void walks_are_the_same_in_every_table(void)
{
    static const uint32_t efs[] = {1, 2, 3, 4, 5, 8, 15, 16, 17, 31, 32, 33, 64, 100, 200, 333};
    float vector[1024];
    EACH_SCENE(scene, shape)
    {
        for (uint32_t i = 0; i < scene->nodes / 5; i++) scene_kill(scene, i * 5 + 1);
        for (size_t i = 0; i < COUNT_OF(efs); i++) {
            scene_query_vector(scene, shape, vector);
            const uint32_t keep = 1 + efs[i] / 2;
            check_tables_agree(scene, vector, GRAPH_WALK_EDGES, efs[i], keep);
            check_tables_agree(scene, vector, GRAPH_WALK_CODES, efs[i], keep);
            check_tables_agree(scene, NULL, GRAPH_WALK_CODES, efs[i], keep);
        }
    }
}

/* A sorted pool of ef is the definition of what a walk expands; a queue only gets there sooner. */
static void a_queue_expands_what_a_sorted_pool_does(void)
{
    static const uint32_t efs[] = {1, 2, 5, 16, 31, 32, 33, 40, 64, 100, 128, 200, 333, 600, 1500};
    static struct graph_candidate expected[4096];
    float vector[1024];
    EACH_SCENE(scene, shape)
    {
        const struct graph_kernels *usual = scene->graph.search;
        for (uint32_t i = 0; i < scene->nodes / 7; i++) scene_kill(scene, i * 7 + 1);
        for (size_t i = 0; i < table_count * COUNT_OF(efs) * 2; i++) {
            const uint32_t ef = efs[i / 2 % COUNT_OF(efs)], keep = 1 + ef / 2;
            const struct graph_effort effort = {.walk = GRAPH_WALK_EDGES,
                                                .ef = ef,
                                                .keep = keep,
                                                .near = 1,
                                                .stretch = i % 2 == 0 ? 0 : 1.3f};
            struct graph_counts counts[2] = {{0}, {0}};
            uint32_t found[2] = {0, 0};
            scene->graph.search = tables[i / 2 / COUNT_OF(efs)];
            scene_query_vector(scene, shape, vector);
            scene_ask(scene, vector);
            CHECK(graph_scratch_reserve(&scene->scratch, scene->nodes, ef, keep, NULL) ==
                  OMENDB_OK);
            for (int far = 0; far < 2; far++) {
                scene->scratch.counts = counts[far];
                scene->scratch.node_end = scene->nodes;
                const struct graph_kernels *table = scene->graph.search;
                found[far] = (far == 0 ? table->walk_edges : table->walk_edges_far)(
                    &scene->graph, &scene->query, &effort, &scene->scratch);
                graph_scratch_forget(&scene->scratch);
                counts[far] = scene->scratch.counts;
                if (far == 0) memcpy(expected, scene->scratch.kept, found[0] * sizeof *expected);
            }
            CHECK(found[1] == found[0]);
            CHECK(memcmp(scene->scratch.kept, expected, found[0] * sizeof *expected) == 0);
            CHECK(memcmp(&counts[1], &counts[0], sizeof counts[0]) == 0);
        }
        scene->graph.search = usual;
    }
}

static void edges_are_the_same_in_every_table(void)
{
    EACH_SCENE(scene, shape)
    {
        struct graph *graph = &scene->graph;
        uint8_t *expected = malloc(graph->edge_size);
        float *room = malloc(graph_edges_room(graph) * sizeof *room);
        CHECK(expected != NULL && room != NULL);
        for (uint32_t node = 0; node < scene->nodes; node += 3) {
            for (size_t i = 0; i < table_count; i++) {
                graph->search = tables[i];
                memset(graph_edges(graph, node), 0x5A, graph->edge_size);
                graph_edges_encode(graph, node, graph_links(graph, node), UINT32_MAX, room);
                if (i == 0) memcpy(expected, graph_edges(graph, node), graph->edge_size);
                CHECK(memcmp(graph_edges(graph, node), expected, graph->edge_size) == 0);
            }
        }
        free(expected);
        free(room);
    }
}

/* ---- Distances and estimates --------------------------------------------------- */

static void distances_of_codes_are_near_to_those_of_vectors(void)
{
    float vector[1024];
    EACH_SCENE(scene, shape)
    {
        for (uint32_t round = 0; round < 5; round++) {
            scene_query_vector(scene, shape, vector);
            scene_ask(scene, vector);
            const double unit = (double)shape->unit, step = (double)scene->query.step;
            for (uint32_t node = 0; node < scene->nodes; node++) {
                const float *other = scene->vectors + (size_t)node * scene->dim;
                const struct code_header *header = (const void *)graph_code(&scene->graph, node);
                const uint32_t bits = (uint32_t)header->error << 16;
                float error;
                memcpy(&error, &bits, sizeof error);
                double exact = 0, length = 0, query_length = 0, norm = 0, offset = 0;
                for (uint32_t i = 0; i < scene->dim; i++)
                    norm += (double)other[i] * (double)other[i];
                norm = shape->metric == OMENDB_COSINE ? sqrt(norm) : 1;
                for (uint32_t i = 0; i < scene->dim; i++) {
                    const double x = (double)other[i] / norm, q = (double)vector[i];
                    const float *centre = scene->codes.centres[scene->centre];
                    const double c = centre != NULL ? (double)centre[i] : 0;
                    if (shape->metric == OMENDB_IP) exact -= 2 * (x - c) * q;
                    else exact += (x - q) * (x - q);
                    length += (x - c) * (x - c);
                    query_length += shape->metric == OMENDB_IP ? q * q : (q - c) * (q - c);
                    offset += c * q;
                }
                /* Half a step for each of the query's components, and the code's error. */
                const double distance = (double)graph_distance(&scene->graph, &scene->query, node) /
                                        (unit * unit);
                const double reach = shape->metric == OMENDB_IP ? sqrt(query_length) : sqrt(exact);
                const double slack = 2 * (double)error * reach + (double)(error * error) +
                                     sqrt(length) * step / unit * sqrt(scene->dim) +
                                     1e-5 * (length + query_length + fabs(offset));
                CHECK(fabs(distance - exact) <= slack);
            }
        }
    }
}

static void nodes_are_queries_too(void)
{
    EACH_SCENE(scene, shape)
    {
        const uint32_t other = scene->nodes / 2;
        const float squares = shape->unit * shape->unit;
        CHECK(graph_query_begin_node(&scene->query, &scene->graph, 0, NULL) == OMENDB_OK);
        const float there = graph_distance(&scene->graph, &scene->query, other);
        const float self = graph_distance(&scene->graph, &scene->query, 0);
        CHECK(graph_query_begin_node(&scene->query, &scene->graph, other, NULL) == OMENDB_OK);
        const float back = graph_distance(&scene->graph, &scene->query, 0);
        const struct code_header *header = (const void *)graph_code(&scene->graph, 0);
        const float square = header->length * header->length * squares;
        const float own = shape->metric == OMENDB_IP ? -2 * square : 0;
        CHECK(fabsf(self - own) <= 0.02f * square &&
              fabsf(there - back) <= 0.04f * square + 0.02f * fabsf(there));
        for (uint32_t round = 0; round < 4 && shape->metric == OMENDB_IP; round++)
            check_tables_agree(scene, NULL, GRAPH_WALK_CODES, 10 + 50 * round, 10);
    }
}

/* f16 as they lie in edges; no infinities or NaNs but the empty slots'. */
static double edge_half(const uint8_t *edges, uint32_t bits, uint32_t at)
{
    uint16_t half;
    memcpy(&half, edges + bits * 4 + (size_t)at * 2, sizeof half);
    if (at < GRAPH_SLOTS) half ^= GRAPH_A_EMPTY;
    const int exponent = half >> 10 & 31, fraction = half & 1023;
    CHECK(exponent != 31);
    const double size = exponent == 0 ? ldexp(fraction, -24)
                                      : ldexp(1024 + fraction, exponent - 25);
    return half >> 15 != 0 ? -size : size;
}

static void estimates_are_near_to_the_distances(void)
{
    float vector[1024];
    EACH_SCENE(scene, shape)
    {
        const struct graph *graph = &scene->graph;
        double errors = 0, bias = 0;
        uint32_t count = 0;
        if (scene->nodes < 100) continue;
        for (uint32_t round = 0; round < 10; round++) {
            scene_query_vector(scene, shape, vector);
            scene_ask(scene, vector);
            double turned = 0;
            for (uint32_t i = 0; i < scene->dim; i++)
                turned += (double)scene->query.turned[i] * (double)scene->query.turned[i];
            for (uint32_t node = 0; node < scene->nodes; node += 5) {
                const uint32_t *links = graph_links(graph, node);
                const uint8_t *edges = graph_edges(graph, node);
                const double distance = (double)graph_distance(graph, &scene->query, node);
                for (uint32_t slot = 0; slot < GRAPH_SLOTS; slot++) {
                    if (links[slot] == 0) continue;
                    double sum = 0, apart = 0;
                    for (uint32_t group = 0; group < graph->bits / 4; group++) {
                        const uint8_t pair = edges[group * 16 + slot % 16];
                        sum += scene->query.table[group * 16 +
                                                  (slot < 16 ? pair & 15u : (uint32_t)pair >> 4)];
                    }
                    const double estimate = distance + edge_half(edges, graph->bits, slot) -
                                            edge_half(edges, graph->bits, GRAPH_SLOTS + slot) *
                                                ((double)scene->query.table_low +
                                                 (double)scene->query.table_step * sum);
                    const uint32_t other = graph_slot_node(links[slot]);
                    const double exact = (double)graph_distance(graph, &scene->query, other);
                    const struct code_header *a = (const void *)graph_code(graph, node);
                    const struct code_header *b = (const void *)graph_code(graph, other);
                    for (uint32_t i = 0; i < scene->dim; i++) {
                        const float x = a->low + a->scale * (float)((const uint8_t *)a)[16 + i];
                        const float y = b->low + b->scale * (float)((const uint8_t *)b)[16 + i];
                        apart += (double)((x - y) * (x - y));
                    }
                    const double reach = shape->metric == OMENDB_IP ? turned : distance;
                    const double scale = 2 * sqrt(reach * apart) * (double)shape->unit;
                    errors += fabs(estimate - exact) / scale;
                    bias += (estimate - exact) / scale;
                    count++;
                }
            }
        }
        /* F c - r is what the estimate of <q, r> / |q| |r| gets wrong. Over `across` dimensions,
         * those that the components are spread over, components of r are alike and nearly normal:
         * <r, c> = 0.4 signs * deviation, |r|^2 = across * deviation^2, and the variance of the
         * error in one direction is 1 / (0.64 signs) - 1 / across (RaBitQ, section 3.2, for signs =
         * across = dim); the mean size is 0.8 of the deviation. Where they are spread, across =
         * signs = the next power of two: rows of a Hadamard matrix, cut off there, repeat. So the
         * error falls with the root of the bits, but for fewer dimensions than half of them. */
        uint32_t power = 1;
        while (power < scene->dim) power *= 2;
        const double across = graph->spread ? power : scene->dim;
        const double signs = graph->bits < across ? graph->bits : across;
        const double expected = 0.8 * sqrt(1 / (0.64 * signs) - 1 / across);
        printf("dim %u, %u bits: mean error %.4f, expected %.4f, bias %+.4f\n", shape->dim,
               graph->bits, errors / count, expected, bias / count);
        CHECK(errors / count <= 1.1 * expected);
        CHECK(fabs(bias) / count <= 0.3 * expected);
    }
}

static void lengths_beyond_a_half_are_clamped(void)
{
    static const struct scene_shape shapes[] = {{100, 300, OMENDB_L2, false, 1e4f, 1},
                                                {100, 300, OMENDB_L2, true, 1e-6f, 1}};
    float vector[1024];
    for (size_t i = 0; i < COUNT_OF(shapes); i++) {
        struct scene *scene = scene_create(&shapes[i]);
        bool clamped = false;
        for (uint32_t node = 0; node < scene->nodes; node++) {
            for (uint32_t slot = 0; slot < 2 * GRAPH_SLOTS; slot++) {
                if (graph_links(&scene->graph, node)[slot % GRAPH_SLOTS] == 0) continue;
                clamped |= fabs(edge_half(graph_edges(&scene->graph, node), scene->graph.bits,
                                          slot)) == 65504;
            }
        }
        CHECK(clamped == (i == 0));
        for (uint32_t round = 0; round < 10; round++) {
            scene_query_vector(scene, &shapes[i], vector);
            scene_ask(scene, vector);
            const uint32_t found = scene_search(scene, GRAPH_WALK_EDGES, 300, 10, scene->nodes);
            check_found(scene, found, 10, scene->nodes);
            CHECK(found == 10);
        }
        scene_destroy(scene);
    }
}

/* ---- Rows that change ---------------------------------------------------------- */

static void slots_are_written_alone(void)
{
    static const struct scene_shape shape = {100, 300, OMENDB_L2, true, 1, 1};
    struct scene *scene = scene_create(&shape);
    struct graph *graph = &scene->graph;
    float *room = malloc(graph_edges_room(graph) * sizeof *room);
    uint8_t *before = malloc(graph->edge_size);
    CHECK(room != NULL && before != NULL);
    for (uint32_t round = 0; round < 300; round++) {
        const uint32_t node = (uint32_t)(random_bits() % scene->nodes);
        const uint32_t mask = (uint32_t)(random_bits() & random_bits());
        uint32_t links[GRAPH_SLOTS];
        memcpy(links, graph_links(graph, node), sizeof links);
        memcpy(before, graph_edges(graph, node), graph->edge_size);
        for (uint32_t slot = 0; slot < GRAPH_SLOTS; slot++)
            links[slot] = random_bits() % 4 == 0 ? 0 : graph_slot((node + 1 + slot) % scene->nodes);
        graph_edges_encode(graph, node, links, mask, room);
        const uint8_t *after = graph_edges(graph, node);
        for (uint32_t slot = 0; slot < GRAPH_SLOTS; slot++) {
            uint16_t a, old_a, f, old_f;
            memcpy(&a, after + graph->bits * 4 + (size_t)slot * 2, 2);
            memcpy(&old_a, before + graph->bits * 4 + (size_t)slot * 2, 2);
            memcpy(&f, after + graph->bits * 4 + (size_t)(slot + GRAPH_SLOTS) * 2, 2);
            memcpy(&old_f, before + graph->bits * 4 + (size_t)(slot + GRAPH_SLOTS) * 2, 2);
            const bool asked = (mask >> slot & 1) != 0;
            if (asked) CHECK((a == 0) == (links[slot] == 0));
            else CHECK(a == old_a && f == old_f);
            for (uint32_t group = 0; group < graph->bits / 4 && !asked; group++) {
                const uint8_t nibble = slot < 16 ? 0x0F : 0xF0;
                const size_t at = group * 16 + slot % 16;
                CHECK(((after[at] ^ before[at]) & nibble) == 0);
            }
        }
        graph_edges_encode(graph, node, graph_links(graph, node), UINT32_MAX, room);
        /* Of an empty slot only `a` is written. */
        if (graph_links(graph, node)[GRAPH_SLOTS - 1] != 0)
            CHECK(memcmp(graph_edges(graph, node), before, graph->edge_size) == 0);
    }
    free(before);
    free(room);
    scene_destroy(scene);
}

static void equal_vectors_are_all_found(void)
{
    static const struct scene_shape shape = {50, 200, OMENDB_L2, false, 1, 1};
    struct scene *scene = scene_create(&shape);
    struct graph *graph = &scene->graph;
    float *room = malloc(graph_edges_room(graph) * sizeof *room);
    CHECK(room != NULL);
    for (uint32_t node = 0; node < scene->nodes; node++)
        codes_encode(&scene->codes, scene->vectors, 0, graph_column_at(&graph->codes, node));
    scene_enter(scene);
    for (uint32_t node = 0; node < scene->nodes; node++)
        graph_edges_encode(graph, node, graph_links(graph, node), UINT32_MAX, room);
    for (size_t i = 0; i < table_count; i++) {
        graph->search = tables[i];
        scene_ask(scene, scene->vectors + 50);
        uint32_t found = scene_search(scene, GRAPH_WALK_CODES, 200, 200, 200);
        check_found(scene, found, 200, 200);
        CHECK(found == 200);
        /* A pool of estimates may hold a node more than once, until it is expanded. */
        found = scene_search(scene, GRAPH_WALK_EDGES, 6400, 200, 200);
        check_found(scene, found, 200, 200);
        CHECK(found == 200);
    }
    free(room);
    scene_destroy(scene);
}

/* More nodes than a walk remembers one by one: what it didn't note is never read, nor what an
 * earlier walk had noted. */
static void marks_are_cleared_after_the_longest_walks(void)
{
    enum { NODES = 20000 };
    static const struct scene_shape shape = {8, 100, OMENDB_L2, false, 1, 1};
    struct scene *scene = scene_create(&shape);
    struct graph graph = scene->graph;
    struct guarded links = guarded_create((size_t)NODES * GRAPH_LINKS_SIZE);
    uint32_t *slots = (uint32_t *)(void *)links.at;
    /* All nodes but the first hundred share their codes: a stride of nothing. */
    graph_column_init(&graph.codes, scene->rows.at, 0, 1u << 20, 1u << 20);
    graph_column_init(&graph.links, links.at, GRAPH_LINKS_SIZE, NODES, NODES * GRAPH_LINKS_SIZE);
    graph.dead = NULL;
    for (uint32_t node = 0; node < NODES; node++)
        for (uint32_t i = 0; i < GRAPH_SLOTS; i++)
            slots[node * GRAPH_SLOTS + i] = graph_slot((node * 32 + i + 1) % NODES);
    scene_ask(scene, scene->vectors);
    const struct graph_effort effort = {.walk = GRAPH_WALK_CODES, .ef = 4096, .keep = 10};
    const struct graph_effort brief = {.walk = GRAPH_WALK_CODES, .ef = 20, .keep = 10};
    for (size_t i = 0; i < table_count; i++) {
        graph.search = tables[i];
        CHECK(graph_scratch_reserve(&scene->scratch, NODES, 4096, 10, NULL) == OMENDB_OK);
        memset(scene->scratch.touched, 0xFF, GRAPH_TOUCHED_MAX * sizeof *scene->scratch.touched);
        const uint64_t before = scene->scratch.counts.distances;
        CHECK(graph_search(&graph, &scene->query, &effort, &scene->scratch) == 10);
        CHECK(scene->scratch.counts.distances - before > GRAPH_TOUCHED_MAX + scene->entries.count);
        for (size_t j = 0; j < scene->scratch.visited_words; j++)
            CHECK(scene->scratch.visited[j] == 0);
        /* A walk in between the two ways: some nodes are noted, and all of those are forgotten. */
        CHECK(scene->scratch.touched_count == 0);
        CHECK(graph_search(&graph, &scene->query, &brief, &scene->scratch) == 10);
        for (size_t j = 0; j < scene->scratch.visited_words; j++)
            CHECK(scene->scratch.visited[j] == 0);
    }
    guarded_destroy(&links);
    scene_destroy(scene);
}

int main(int argc, char **argv)
{
    static const struct test tests[] = {
        {"walks_find_the_nearest_codes", walks_find_the_nearest_codes},
        {"a_pool_of_all_nodes_gives_the_exact_order", a_pool_of_all_nodes_gives_the_exact_order},
        {"newer_and_dead_nodes_are_not_found", newer_and_dead_nodes_are_not_found},
        {"a_stretch_ends_walks_sooner", a_stretch_ends_walks_sooner},
        {"walks_are_the_same_in_every_table", walks_are_the_same_in_every_table},
        {"a_queue_expands_what_a_sorted_pool_does", a_queue_expands_what_a_sorted_pool_does},
        {"edges_are_the_same_in_every_table", edges_are_the_same_in_every_table},
        {"distances_of_codes_are_near_to_those_of_vectors",
         distances_of_codes_are_near_to_those_of_vectors},
        {"nodes_are_queries_too", nodes_are_queries_too},
        {"estimates_are_near_to_the_distances", estimates_are_near_to_the_distances},
        {"lengths_beyond_a_half_are_clamped", lengths_beyond_a_half_are_clamped},
        {"slots_are_written_alone", slots_are_written_alone},
        {"equal_vectors_are_all_found", equal_vectors_are_all_found},
        {"marks_are_cleared_after_the_longest_walks", marks_are_cleared_after_the_longest_walks},
        {NULL, NULL}};
    table_count = graph_kernels_list(cpu_features(), tables, KERNELS_LIST_MAX);
    return test_main(tests, argc, argv);
}

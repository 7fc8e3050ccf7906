/* graph_scene.h - a graph in plain memory, without a store: nodes with codes around the origin, all
 * linked, their rows empty until scene_link() builds them batch by batch as the work does.
 *
 *     scene_create ─▶ vectors (even in a cube, or in clusters), codes, rows of zeros
 *     scene_link   ─▶ rows by graph_plan_insert(), entries, edges
 *     scene_ask, scene_search ─▶ what one walk finds, checked against graph_distance()
 *
 * One program, one copy. Threads: one.
 */
#ifndef TESTS_GRAPH_SCENE_H
#define TESTS_GRAPH_SCENE_H

#include <math.h>

#include "base/alloc.h"
#include "index/vector/graph_change.h"
#include "index/vector/graph_kernels.h"
#include "os/cpu.h"
#include "random.h"
#include "test.h"

enum { SCENE_DIM_MAX = 300, SCENE_EF = 60 };

static inline float random_unit(void)
{
    return (float)(random_bits() >> 40) * 0x1p-24f;
}

static inline float random_normal(void) /* Nearly: the sum of twelve. */
{
    float sum = -6;
    for (uint32_t i = 0; i < 12; i++) sum += random_unit();
    return sum;
}

static inline void *zeroed(size_t count, size_t size)
{
    void *memory = alloc_aligned(CACHE_LINE, count * size);
    CHECK(memory != NULL);
    memset(memory, 0, count * size);
    return memory;
}

static inline void set_bit(atomic_u64 *bits, uint32_t node)
{
    const uint64_t word = atomic_load_relaxed_u64(&bits[node / 64]);
    atomic_store_relaxed_u64(&bits[node / 64], word | UINT64_C(1) << (node % 64));
}

static inline bool has_bit(const atomic_u64 *bits, uint32_t node)
{
    return (atomic_load_relaxed_u64(&bits[node / 64]) >> (node % 64) & 1) != 0;
}

struct scene {
    struct graph graph;
    struct codes codes;
    omendb_metric metric;
    uint32_t dim, nodes, clusters;
    float *vectors, *centres; /* centres: [clusters] */
    uint8_t *rows, *links, *edges;
    atomic_u64 *linked, *dead;
    struct graph_query query;
    struct graph_scratch scratch;
};

/* One of the kind that the scene is made of. */
static inline void scene_vector(const struct scene *scene, float *out)
{
    const float *centre = NULL;
    if (scene->clusters != 0)
        centre = scene->centres + random_bits() % scene->clusters * scene->dim;
    for (uint32_t i = 0; i < scene->dim; i++)
        out[i] = centre != NULL ? centre[i] + random_normal() : random_unit();
}

static inline void scene_encode(struct scene *scene, uint32_t node)
{
    codes_encode(&scene->codes, scene->vectors + (size_t)node * scene->dim, 0,
                 scene->rows + (size_t)node * scene->codes.stride);
}

/* All linked, rows empty. clusters: how many there are; 0 = evenly in a cube. */
static inline struct scene *scene_create(uint32_t nodes, uint32_t dim, omendb_metric metric,
                                         uint32_t clusters)
{
    struct scene *scene = zeroed(1, sizeof *scene);
    struct graph *graph = &scene->graph;
    CHECK(dim <= SCENE_DIM_MAX);
    scene->metric = metric;
    scene->dim = dim;
    scene->nodes = nodes;
    scene->clusters = clusters;
    CHECK(codes_init(&scene->codes, kernels_for(cpu_features()), OMENDB_F32, metric, dim, 7,
                     NULL) == OMENDB_OK);
    graph_init(graph, kernels_for(cpu_features()), cpu_features(), dim, metric);
    const uint32_t stride = scene->codes.stride;
    scene->vectors = zeroed((size_t)nodes * dim, sizeof *scene->vectors);
    scene->centres = zeroed((size_t)clusters * dim + 1, sizeof *scene->centres);
    scene->rows = zeroed(nodes, stride);
    scene->links = zeroed(nodes, GRAPH_LINKS_SIZE);
    scene->edges = zeroed(nodes, graph->edge_size);
    scene->linked = zeroed(nodes / 64 + 1, sizeof *scene->linked);
    scene->dead = zeroed(nodes / 64 + 1, sizeof *scene->dead);
    for (uint32_t i = 0; i < clusters * dim; i++) scene->centres[i] = 2 * random_normal();
    for (uint32_t node = 0; node < nodes; node++) {
        scene_vector(scene, scene->vectors + (size_t)node * dim);
        scene_encode(scene, node);
        set_bit(scene->linked, node);
    }
    graph_column_init(&graph->codes, scene->rows, stride, nodes, 0);
    graph_column_init(&graph->links, scene->links, GRAPH_LINKS_SIZE, nodes, 0);
    graph->edges = scene->edges;
    graph->dead = scene->dead;
    return scene;
}

static inline void scene_destroy(struct scene *scene)
{
    graph_entries_destroy(atomic_load_relaxed_pointer(&scene->graph.entries));
    graph_scratch_deinit(&scene->scratch);
    graph_query_deinit(&scene->query);
    codes_deinit(&scene->codes);
    alloc_free(scene->vectors);
    alloc_free(scene->centres);
    alloc_free(scene->rows);
    alloc_free(scene->links);
    alloc_free(scene->edges);
    alloc_free((void *)scene->linked);
    alloc_free((void *)scene->dead);
    alloc_free(scene);
}

static inline uint32_t *scene_row(const struct scene *scene, uint32_t node)
{
    return (uint32_t *)(void *)graph_column_at(&scene->graph.links, node);
}

static inline void scene_set_entries(struct scene *scene, struct graph_entries *entries)
{
    graph_entries_destroy(atomic_load_relaxed_pointer(&scene->graph.entries));
    atomic_store_release_pointer(&scene->graph.entries, entries);
}

/* Walks begin at this node alone. */
static inline void scene_enter(struct scene *scene, uint32_t hub)
{
    struct graph_entries *entries = NULL;
    CHECK(graph_entries_make(&scene->graph, &hub, 1, &entries, NULL) == OMENDB_OK);
    scene_set_entries(scene, entries);
}

/* Walks begin at hubs of the nodes below `node_end`. */
static inline void scene_enter_hubs(struct scene *scene, uint32_t node_end)
{
    struct graph_entries *entries = NULL;
    CHECK(graph_entries_choose(&scene->graph, scene->linked, node_end, &entries, NULL) ==
          OMENDB_OK);
    scene_set_entries(scene, entries);
}

static inline void scene_ask_for(struct scene *scene, const float *vector)
{
    float unit[SCENE_DIM_MAX], length = 0;
    for (uint32_t i = 0; i < scene->dim; i++) length += vector[i] * vector[i];
    length = scene->metric == OMENDB_COSINE ? sqrtf(length) : 1;
    for (uint32_t i = 0; i < scene->dim; i++) unit[i] = vector[i] / length;
    CHECK(graph_query_begin(&scene->query, &scene->graph, &scene->codes.rotation, NULL, unit,
                            NULL) == OMENDB_OK);
}

/* For a new vector. */
static inline void scene_ask(struct scene *scene)
{
    float vector[SCENE_DIM_MAX];
    scene_vector(scene, vector);
    scene_ask_for(scene, vector);
}

/* from: of GRAPH_ENTER_NODE. */
static inline uint32_t scene_search_from(struct scene *scene, enum graph_walk walk,
                                         enum graph_enter enter, uint32_t from, uint32_t ef,
                                         uint32_t node_end)
{
    const struct graph_effort effort = {
        .walk = walk, .ef = ef, .keep = ef < 10 ? ef : 10, .near = 1, .enter = enter, .from = from};
    CHECK(graph_scratch_reserve(&scene->scratch, node_end, ef, effort.keep, NULL) == OMENDB_OK);
    const uint32_t found = graph_search(&scene->graph, &scene->query, &effort, &scene->scratch);
    for (size_t i = 0; i < scene->scratch.visited_words; i++) CHECK(scene->scratch.visited[i] == 0);
    for (uint32_t i = 0; i < found; i++) {
        const struct graph_candidate *kept = &scene->scratch.kept[i];
        CHECK(kept->node < node_end && !graph_is_dead(&scene->graph, kept->node));
        CHECK(kept->distance == graph_distance(&scene->graph, &scene->query, kept->node));
    }
    return found;
}

static inline uint32_t scene_search(struct scene *scene, enum graph_walk walk,
                                    enum graph_enter enter, uint32_t ef, uint32_t node_end)
{
    return scene_search_from(scene, walk, enter, 0, ef, node_end);
}

/* How many of those that the last search found are among the ten nearest. */
static inline uint32_t scene_hits(const struct scene *scene, uint32_t found)
{
    uint32_t hits = 0;
    for (uint32_t i = 0; i < found; i++) {
        uint32_t nearer = 0;
        for (uint32_t node = 0; node < scene->nodes; node++)
            nearer += !graph_is_dead(&scene->graph, node) &&
                      graph_distance(&scene->graph, &scene->query, node) <
                          scene->scratch.kept[i].distance;
        hits += nearer < 10;
    }
    return hits;
}

static inline void scene_apply(struct scene *scene, const struct graph_plan *plan)
{
    for (size_t i = 0; i < plan->count; i++)
        memcpy(scene_row(scene, plan->rows[i].node), plan->rows[i].slots, GRAPH_LINKS_SIZE);
}

static inline void scene_make_edges(struct scene *scene)
{
    float *room = zeroed(graph_edges_room(&scene->graph), sizeof *room);
    for (uint32_t i = 0; i < scene->nodes; i++)
        graph_edges_encode(&scene->graph, i, graph_links(&scene->graph, i), UINT32_MAX, room);
    alloc_free(room);
}

/* Builds the graph out of nodes below `node_end`, in their order. keep: graph_change_options. */
static inline void scene_link_below(struct scene *scene, uint32_t node_end, uint32_t keep)
{
    struct graph_plan plan = {0};
    const struct graph_change_options options = {
        .ef = SCENE_EF, .keep = keep, .threads = 1, .node_end = scene->nodes};
    uint32_t *batch = zeroed(node_end, sizeof *batch), entered = 0;
    for (uint32_t done = 0; done < node_end;) {
        const uint32_t left = node_end - done, most = graph_batch_size(done);
        const uint32_t count = most < left ? most : left;
        for (uint32_t i = 0; i < count; i++) batch[i] = done + i;
        CHECK(graph_plan_insert(&scene->graph, batch, count, &options, &plan, NULL) == OMENDB_OK);
        scene_apply(scene, &plan);
        done += count;
        if (done < 2 * entered) continue;
        scene_enter_hubs(scene, done);
        entered = done;
    }
    scene_enter_hubs(scene, node_end);
    scene_make_edges(scene);
    alloc_free(batch);
    graph_plan_deinit(&plan);
}

static inline void scene_link(struct scene *scene, uint32_t keep)
{
    scene_link_below(scene, scene->nodes, keep);
}

/* A row holds a living neighbour once, in range, and never the node itself; `dead_too`: perhaps
 * some that died since it was made. Returns how many slots are in use. */
static inline uint32_t scene_check_slots(const struct scene *scene, uint32_t node,
                                         const uint32_t *slots, bool dead_too)
{
    uint32_t used = 0;
    for (uint32_t i = 0; i < GRAPH_SLOTS; i++) {
        if (slots[i] == 0) continue;
        const uint32_t other = graph_slot_node(slots[i]);
        used++;
        CHECK(other < scene->nodes && other != node && has_bit(scene->linked, other));
        CHECK(dead_too || !graph_is_dead(&scene->graph, other));
        for (uint32_t j = 0; j < i; j++) CHECK(((slots[i] ^ slots[j]) & GRAPH_NODE_MASK) != 0);
    }
    return used;
}

#endif /* TESTS_GRAPH_SCENE_H */

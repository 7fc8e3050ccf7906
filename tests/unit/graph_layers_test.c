/* Layers above a graph: what is in them, where a descent through them ends, and that nothing is
 * found that mustn't be. Most scenes have a base whose rows are empty: a walk then returns just the
 * nodes that it began with. */
#include <math.h>

#include "base/alloc.h"
#include "index/vector/graph_kernels.h"
#include "index/vector/graph_layers.h"
#include "os/cpu.h"
#include "test.h"

enum { MANY = 300000, DIM = 8 }; /* Two layers: 9,375 and 292 nodes, more or less. */

static uint64_t random_state = 88172645463325252u;

static uint64_t random_bits(void) /* xorshift64*, Vigna 2016. */
{
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return random_state * 2685821657736338717u;
}

static float random_unit(void)
{
    return (float)(random_bits() >> 40) * 0x1p-24f;
}

struct scene {
    struct graph graph;
    struct codes codes;
    uint32_t dim, nodes;
    float *vectors;
    uint8_t *rows, *links, *edges;
    atomic_u64 *linked, *dead;
    struct graph_query query;
    struct graph_scratch scratch;
};

static void *zeroed(size_t count, size_t size)
{
    void *memory = alloc_aligned(CACHE_LINE, count * size);
    CHECK(memory != NULL);
    memset(memory, 0, count * size);
    return memory;
}

static void set_bit(atomic_u64 *bits, uint32_t node)
{
    const uint64_t word = atomic_load_relaxed_u64(&bits[node / 64]);
    atomic_store_relaxed_u64(&bits[node / 64], word | UINT64_C(1) << (node % 64));
}

static bool has_bit(const atomic_u64 *bits, uint32_t node)
{
    return (atomic_load_relaxed_u64(&bits[node / 64]) >> (node % 64) & 1) != 0;
}

/* All linked, rows empty. */
static struct scene *scene_create(uint32_t nodes, uint32_t dim, omendb_metric metric)
{
    struct scene *scene = zeroed(1, sizeof *scene);
    struct graph *graph = &scene->graph;
    scene->dim = dim;
    scene->nodes = nodes;
    CHECK(codes_init(&scene->codes, kernels_for(cpu_features()), OMENDB_F32, metric, dim, 7,
                     NULL) == OMENDB_OK);
    graph_init(graph, kernels_for(cpu_features()), cpu_features(), dim, metric);
    const uint32_t stride = scene->codes.stride;
    scene->vectors = zeroed((size_t)nodes * dim, sizeof *scene->vectors);
    scene->rows = zeroed(nodes, stride);
    scene->links = zeroed(nodes, GRAPH_LINKS_SIZE);
    scene->edges = zeroed(nodes, graph->edge_size);
    scene->linked = zeroed(nodes / 64 + 1, sizeof *scene->linked);
    scene->dead = zeroed(nodes / 64 + 1, sizeof *scene->dead);
    for (uint32_t node = 0; node < nodes; node++) {
        float *vector = scene->vectors + (size_t)node * dim;
        for (uint32_t i = 0; i < dim; i++) vector[i] = random_unit();
        codes_encode(&scene->codes, vector, 0, scene->rows + (size_t)node * stride);
        set_bit(scene->linked, node);
    }
    graph_column_init(&graph->codes, scene->rows, stride, nodes, 0);
    graph_column_init(&graph->links, scene->links, GRAPH_LINKS_SIZE, nodes, 0);
    graph->edges = scene->edges;
    graph->dead = scene->dead;
    return scene;
}

static void scene_destroy(struct scene *scene)
{
    graph_layers_destroy(atomic_load_relaxed_pointer(&scene->graph.layers));
    graph_entries_destroy(atomic_load_relaxed_pointer(&scene->graph.entries));
    graph_scratch_deinit(&scene->scratch);
    graph_query_deinit(&scene->query);
    codes_deinit(&scene->codes);
    alloc_free(scene->vectors);
    alloc_free(scene->rows);
    alloc_free(scene->links);
    alloc_free(scene->edges);
    alloc_free((void *)scene->linked);
    alloc_free((void *)scene->dead);
    alloc_free(scene);
}

static struct graph_layers *scene_choose(const struct scene *scene, uint32_t threads)
{
    const struct graph_change_options options = {
        .ef = 100, .threads = threads, .node_end = scene->nodes};
    struct graph_layers *layers = NULL;
    CHECK(graph_layers_choose(&scene->graph, scene->linked, &options, &layers, NULL) == OMENDB_OK);
    return layers;
}

static void scene_enter(struct scene *scene, uint32_t hub)
{
    struct graph_entries *entries = NULL;
    CHECK(graph_entries_make(&scene->graph, &hub, 1, &entries, NULL) == OMENDB_OK);
    atomic_store_release_pointer(&scene->graph.entries, entries);
    atomic_store_release_pointer(&scene->graph.layers, scene_choose(scene, 2));
    CHECK(atomic_load_relaxed_pointer(&scene->graph.layers) != NULL);
}

static void scene_ask(struct scene *scene)
{
    float vector[64];
    CHECK(scene->dim <= COUNT_OF(vector));
    for (uint32_t i = 0; i < scene->dim; i++) vector[i] = random_unit();
    CHECK(graph_query_begin(&scene->query, &scene->graph, &scene->codes.rotation, NULL, vector,
                            NULL) == OMENDB_OK);
}

static uint32_t scene_search(struct scene *scene, enum graph_walk walk, enum graph_enter enter,
                             uint32_t ef, uint32_t node_end)
{
    const struct graph_effort effort = {
        .walk = walk, .ef = ef, .keep = ef < 10 ? ef : 10, .near = 1, .enter = enter};
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

/* ---- What is in them ------------------------------------------------------------- */

static void check_rows(const struct graph_layer *layer)
{
    for (uint32_t place = 0; place < layer->count; place++) {
        const uint32_t *slots = graph_links(&layer->graph, place);
        for (uint32_t i = 0; i < GRAPH_SLOTS; i++) {
            if (slots[i] == 0) continue;
            CHECK(graph_slot_node(slots[i]) < layer->count && graph_slot_node(slots[i]) != place);
            for (uint32_t j = 0; j < i; j++) CHECK(((slots[i] ^ slots[j]) & GRAPH_NODE_MASK) != 0);
        }
    }
}

static void layers_hold_every_32nd_living_node(void)
{
    struct scene *scene = scene_create(MANY, DIM, OMENDB_L2);
    for (uint32_t i = 0; i < MANY; i += 7) set_bit(scene->dead, i);
    for (uint32_t i = 0; i < MANY / 64; i += 10) atomic_store_relaxed_u64(&scene->linked[i], 0);
    struct graph_layers *layers = scene_choose(scene, 1);
    const double expected = MANY * (6.0 / 7) * 0.9 / 32;
    bool *seen = zeroed(MANY, sizeof *seen);
    CHECK(layers != NULL && layers->count == 1);
    CHECK(fabs(layers->layers[0].count - expected) < expected / 10);
    for (uint32_t i = 0; i < layers->layers[0].count; i++) {
        const uint32_t node = layers->nodes[i];
        CHECK(node < MANY && !seen[node]);
        CHECK(has_bit(scene->linked, node) && !has_bit(scene->dead, node));
        CHECK(memcmp(graph_code(&layers->layers[0].graph, i), graph_code(&scene->graph, node),
                     scene->codes.stride) == 0);
        seen[node] = true;
    }
    check_rows(&layers->layers[0]);
    alloc_free(seen);
    graph_layers_destroy(layers);
    scene_destroy(scene);
}

static void layers_are_the_same_for_any_number_of_threads(void)
{
    static const omendb_metric metrics[] = {OMENDB_L2, OMENDB_IP};
    for (size_t metric = 0; metric < COUNT_OF(metrics); metric++) {
        struct scene *scene = scene_create(MANY, DIM, metrics[metric]);
        struct graph_layers *first = scene_choose(scene, 1);
        CHECK(first != NULL && first->count == 2);
        CHECK(first->layers[1].count == first->layers[0].count / 32);
        for (uint32_t threads = 2; threads <= 5; threads += 3) {
            struct graph_layers *other = scene_choose(scene, threads);
            CHECK(other != NULL && other->count == first->count);
            for (uint32_t i = 0; i < first->count; i++) {
                const struct graph_layer *layer = &first->layers[i];
                CHECK(other->layers[i].count == layer->count);
                CHECK(memcmp(other->layers[i].links, layer->links,
                             (size_t)layer->count * GRAPH_LINKS_SIZE) == 0);
                check_rows(layer);
            }
            CHECK(memcmp(other->nodes, first->nodes,
                         first->layers[0].count * sizeof *first->nodes) == 0);
            graph_layers_destroy(other);
        }
        graph_layers_destroy(first);
        scene_destroy(scene);
    }
}

static void few_nodes_have_no_layers(void)
{
    static const uint32_t counts[] = {1, 63, 1000, 4096};
    for (size_t i = 0; i < COUNT_OF(counts); i++) {
        struct scene *scene = scene_create(counts[i], DIM, OMENDB_L2);
        CHECK(scene_choose(scene, 1) == NULL);
        scene_destroy(scene);
    }
}

/* ---- Where a descent ends ---------------------------------------------------------- */

static void a_descent_ends_at_a_near_node_in_every_table(void)
{
    enum { QUERIES = 100 };
    const struct graph_kernels *tables[KERNELS_LIST_MAX];
    const size_t table_count = graph_kernels_list(cpu_features(), tables, KERNELS_LIST_MAX);
    static const omendb_metric metrics[] = {OMENDB_L2, OMENDB_IP};
    for (size_t metric = 0; metric < COUNT_OF(metrics); metric++) {
        struct scene *scene = scene_create(MANY, DIM, metrics[metric]);
        scene_enter(scene, 0);
        const struct graph_layers *layers = atomic_load_relaxed_pointer(&scene->graph.layers);
        const uint32_t count = layers->layers[0].count;
        uint32_t best = 0, nearer = 0;
        for (uint32_t query = 0; query < QUERIES; query++) {
            scene_ask(scene);
            CHECK(scene_search(scene, GRAPH_WALK_CODES, GRAPH_ENTER_LAYERS, 10, MANY) == 1);
            const struct graph_candidate entered = scene->scratch.kept[0];
            for (size_t i = 0; i < table_count; i++) {
                struct graph_layer *every = (struct graph_layer *)layers->layers;
                scene->graph.search = tables[i];
                for (uint32_t j = 0; j < layers->count; j++) every[j].graph.search = tables[i];
                for (uint32_t walk = 0; walk < 2; walk++) {
                    CHECK(scene_search(scene, (enum graph_walk)walk, GRAPH_ENTER_LAYERS, 1 + walk,
                                       MANY) == 1);
                    CHECK(memcmp(scene->scratch.kept, &entered, sizeof entered) == 0);
                }
            }
            uint32_t rank = 0;
            for (uint32_t i = 0; i < count; i++)
                rank += graph_distance(&scene->graph, &scene->query, layers->nodes[i]) <
                        entered.distance;
            best += rank == 0;
            nearer += rank;
        }
        printf("metric %d: %u of %d descents end at the nearest of %u, %.1f others are nearer\n",
               (int)metrics[metric], best, QUERIES, count, (double)nearer / QUERIES);
        CHECK(best * 2 >= QUERIES && nearer <= QUERIES * count / 200);
        scene_destroy(scene);
    }
}

static void dead_and_newer_nodes_are_not_entered(void)
{
    struct scene *scene = scene_create(20000, DIM, OMENDB_L2);
    scene_enter(scene, 3);
    const struct graph_layers *layers = atomic_load_relaxed_pointer(&scene->graph.layers);
    const uint32_t count = layers->layers[0].count;
    for (uint32_t round = 0; round < 50; round++) {
        /* In a walk over fewer nodes a descent that ends beyond them counts for nothing. */
        const uint32_t node_end = round % 2 == 0 ? count - 1 : count + round * 100;
        scene_ask(scene);
        for (uint32_t walk = 0; walk < 2; walk++) {
            CHECK(scene_search(scene, (enum graph_walk)walk, GRAPH_ENTER_LAYERS, 10, node_end) ==
                  1);
            CHECK(round % 2 == 1 || scene->scratch.kept[0].node == 3);
        }
    }
    for (uint32_t i = 0; i < count; i++)
        if (layers->nodes[i] != 3) set_bit(scene->dead, layers->nodes[i]);
    for (uint32_t round = 0; round < 50; round++) {
        scene_ask(scene);
        for (uint32_t walk = 0; walk < 2; walk++) {
            CHECK(scene_search(scene, (enum graph_walk)walk, GRAPH_ENTER_LAYERS, 10, 20000) == 1);
            CHECK(scene->scratch.kept[0].node == 3);
        }
    }
    /* Who doesn't ask for layers has nothing to do with them. */
    CHECK(scene_search(scene, GRAPH_WALK_CODES, GRAPH_ENTER_HUBS, 10, 20000) == 1);
    CHECK(scene->scratch.kept[0].node == 3);
    scene_destroy(scene);
}

/* ---- With a graph below --------------------------------------------------------------- */

static void scene_link(struct scene *scene)
{
    struct graph_plan plan = {0};
    const struct graph_change_options options = {.ef = 60, .threads = 1, .node_end = scene->nodes};
    uint32_t *batch = zeroed(scene->nodes, sizeof *batch);
    for (uint32_t done = 0; done < scene->nodes;) {
        const uint32_t left = scene->nodes - done, most = graph_batch_size(done);
        const uint32_t count = most < left ? most : left;
        for (uint32_t i = 0; i < count; i++) batch[i] = done + i;
        CHECK(graph_plan_insert(&scene->graph, batch, count, &options, &plan, NULL) == OMENDB_OK);
        for (size_t i = 0; i < plan.count; i++)
            memcpy(graph_column_at(&scene->graph.links, plan.rows[i].node), plan.rows[i].slots,
                   GRAPH_LINKS_SIZE);
        if (done == 0) scene_enter(scene, 0);
        done += count;
    }
    float *room = zeroed(2 * (size_t)scene->graph.size, sizeof *room);
    for (uint32_t i = 0; i < scene->nodes; i++)
        graph_edges_encode(&scene->graph, i, graph_links(&scene->graph, i), UINT32_MAX, room);
    alloc_free(room);
    alloc_free(batch);
    graph_plan_deinit(&plan);
}

static void searches_by_layers_find_the_nearest(void)
{
    enum { NODES = 12000, QUERIES = 50 };
    struct scene *scene = scene_create(NODES, 16, OMENDB_L2);
    uint32_t hits[2] = {0, 0};
    scene_link(scene);
    for (uint32_t query = 0; query < QUERIES; query++) {
        scene_ask(scene);
        for (uint32_t walk = 0; walk < 2; walk++) {
            CHECK(scene_search(scene, (enum graph_walk)walk, GRAPH_ENTER_LAYERS, 100, NODES) == 10);
            for (uint32_t i = 0; i < 10; i++) {
                uint32_t nearer = 0;
                for (uint32_t node = 0; node < NODES; node++)
                    nearer += graph_distance(&scene->graph, &scene->query, node) <
                              scene->scratch.kept[i].distance;
                hits[walk] += nearer < 10;
            }
        }
    }
    printf("recall %.3f by edges, %.3f by codes\n", hits[0] / (10.0 * QUERIES),
           hits[1] / (10.0 * QUERIES));
    CHECK(hits[0] * 100 >= 95 * 10 * QUERIES && hits[1] * 100 >= 95 * 10 * QUERIES);
    scene_destroy(scene);
}

/* ---- Failures ------------------------------------------------------------------------- */

static bool always(void *context)
{
    (void)context;
    return true;
}

static void every_failure_leaves_nothing_behind(void)
{
    struct scene *scene = scene_create(12000, DIM, OMENDB_IP);
    struct graph_change_options options = {.ef = 40, .threads = 1, .node_end = 12000};
    const uint64_t before = alloc_bytes();
    struct graph_layers *layers = NULL;
    long failures = 0;
    for (;; failures++) {
        (void)alloc_fail_after(failures, 1);
        const omendb_status status = graph_layers_choose(&scene->graph, scene->linked, &options,
                                                         &layers, NULL);
        const bool failed = alloc_fail_after(-1, 0) < 0;
        CHECK(status == (failed ? OMENDB_ERR_NOMEM : OMENDB_OK));
        if (!failed) break;
        CHECK(layers == NULL && alloc_bytes() == before);
    }
    CHECK(failures > 10 && layers != NULL);
    graph_layers_destroy(layers);
    layers = NULL;
    options.stopping = always;
    CHECK(graph_layers_choose(&scene->graph, scene->linked, &options, &layers, NULL) ==
          OMENDB_ERR_INTERRUPTED);
    CHECK(layers == NULL && alloc_bytes() == before);
    graph_layers_destroy(NULL);
    scene_destroy(scene);
}

int main(int argc, char **argv)
{
    static const struct test tests[] = {
        {"layers_hold_every_32nd_living_node", layers_hold_every_32nd_living_node},
        {"layers_are_the_same_for_any_number_of_threads",
         layers_are_the_same_for_any_number_of_threads},
        {"few_nodes_have_no_layers", few_nodes_have_no_layers},
        {"a_descent_ends_at_a_near_node_in_every_table",
         a_descent_ends_at_a_near_node_in_every_table},
        {"dead_and_newer_nodes_are_not_entered", dead_and_newer_nodes_are_not_entered},
        {"searches_by_layers_find_the_nearest", searches_by_layers_find_the_nearest},
        {"every_failure_leaves_nothing_behind", every_failure_leaves_nothing_behind},
        {NULL, NULL}};
    return test_main(tests, argc, argv);
}

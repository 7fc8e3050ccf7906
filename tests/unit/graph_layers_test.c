/* Layers above a graph: what is in them, where a descent through them ends, and that nothing is
 * found that mustn't be. Most scenes have a base whose rows are empty: a walk then returns just the
 * nodes that it began with. */
#include "graph_scene.h"
#include "index/vector/graph_layers.h"

enum { MANY = 300000, DIM = 8 }; /* Two layers: 9,375 and 292 nodes, more or less. */

static struct graph_layers *scene_choose(const struct scene *scene, uint32_t threads)
{
    const struct graph_change_options options = {
        .ef = 100, .threads = threads, .node_end = scene->nodes};
    struct graph_layers *layers = NULL;
    CHECK(graph_layers_choose(&scene->graph, scene->linked, &options, &layers, NULL) == OMENDB_OK);
    return layers;
}

static void scene_layer(struct scene *scene)
{
    atomic_store_release_pointer(&scene->graph.layers, scene_choose(scene, 2));
    CHECK(atomic_load_relaxed_pointer(&scene->graph.layers) != NULL);
}

static void scene_end(struct scene *scene)
{
    graph_layers_destroy(atomic_load_relaxed_pointer(&scene->graph.layers));
    scene_destroy(scene);
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
    struct scene *scene = scene_create(MANY, DIM, OMENDB_L2, 0);
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
    scene_end(scene);
}

static void layers_are_the_same_for_any_number_of_threads(void)
{
    static const omendb_metric metrics[] = {OMENDB_L2, OMENDB_IP};
    for (size_t metric = 0; metric < COUNT_OF(metrics); metric++) {
        struct scene *scene = scene_create(MANY, DIM, metrics[metric], 0);
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
        scene_end(scene);
    }
}

static void few_nodes_have_no_layers(void)
{
    static const uint32_t counts[] = {1, 63, 1000, 4096};
    for (size_t i = 0; i < COUNT_OF(counts); i++) {
        struct scene *scene = scene_create(counts[i], DIM, OMENDB_L2, 0);
        CHECK(scene_choose(scene, 1) == NULL);
        scene_end(scene);
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
        struct scene *scene = scene_create(MANY, DIM, metrics[metric], 0);
        scene_enter(scene, 0);
        scene_layer(scene);
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
        scene_end(scene);
    }
}

static void dead_and_newer_nodes_are_not_entered(void)
{
    struct scene *scene = scene_create(20000, DIM, OMENDB_L2, 0);
    scene_enter(scene, 3);
    scene_layer(scene);
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
    scene_end(scene);
}

/* ---- With a graph below --------------------------------------------------------------- */

static void searches_by_layers_find_the_nearest(void)
{
    enum { NODES = 12000, QUERIES = 50 };
    struct scene *scene = scene_create(NODES, 16, OMENDB_L2, 0);
    uint32_t hits[2] = {0, 0};
    scene_link(scene, 0);
    scene_enter(scene, 0);
    scene_layer(scene);
    for (uint32_t query = 0; query < QUERIES; query++) {
        scene_ask(scene);
        for (uint32_t walk = 0; walk < 2; walk++) {
            CHECK(scene_search(scene, (enum graph_walk)walk, GRAPH_ENTER_LAYERS, 100, NODES) == 10);
            hits[walk] += scene_hits(scene, 10);
        }
    }
    printf("recall %.3f by edges, %.3f by codes\n", hits[0] / (10.0 * QUERIES),
           hits[1] / (10.0 * QUERIES));
    CHECK(hits[0] * 100 >= 95 * 10 * QUERIES && hits[1] * 100 >= 95 * 10 * QUERIES);
    scene_end(scene);
}

/* ---- Failures ------------------------------------------------------------------------- */

static bool always(void *context)
{
    (void)context;
    return true;
}

static void every_failure_leaves_nothing_behind(void)
{
    struct scene *scene = scene_create(12000, DIM, OMENDB_IP, 0);
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
    scene_end(scene);
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

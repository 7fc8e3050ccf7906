/* Which edges a row keeps: against rules written naively, on the points that codes stand for, in
 * double. Where rounding might decide, nothing is compared. */
#include "graph_scene.h"
#include "index/vector/graph_prune.h"

enum { NODES = 400, LOOKED = 100 };

/* By which much decisions must be clear, of lengths and of cosines. */
#define CLEAR 2e-5

/* What a node's code stands for. */
static void place(const struct scene *scene, uint32_t node, double *out)
{
    const uint8_t *row = graph_code(&scene->graph, node);
    const struct code_header *header = (const void *)row;
    for (uint32_t i = 0; i < scene->dim; i++)
        out[i] = (double)header->low + (double)header->scale * row[CODES_HEADER_SIZE + i];
}

static double apart(const struct scene *scene, uint32_t left, uint32_t right)
{
    double a[SCENE_DIM_MAX], b[SCENE_DIM_MAX], sum = 0;
    place(scene, left, a);
    place(scene, right, b);
    for (uint32_t i = 0; i < scene->dim; i++)
        sum += scene->graph.inner_product ? -2 * a[i] * b[i] : (a[i] - b[i]) * (a[i] - b[i]);
    return sum;
}

static double cosine(double a, double b, double between)
{
    return a > 0 && b > 0 ? (a + b - between) / (2 * sqrt(a * b)) : 1;
}

struct oracle {
    const struct scene *scene;
    uint32_t node, count;
    uint32_t nodes[GRAPH_PRUNE_MAX]; /* As the points are sorted. */
    double distances[GRAPH_PRUNE_MAX];
    double pairs[GRAPH_PRUNE_MAX][GRAPH_PRUNE_MAX];
    uint32_t ranks[GRAPH_PRUNE_MAX];
    bool clear; /* No decision was near to the other one. */
};

static bool oracle_below(struct oracle *oracle, double a, double b, double scale)
{
    if (fabs(a - b) <= CLEAR * scale) oracle->clear = false;
    return a < b;
}

static void oracle_strict(struct oracle *oracle)
{
    uint32_t chosen = 0;
    for (uint32_t i = 0; i < oracle->count; i++) {
        bool occluded = false;
        for (uint32_t j = 0; j < i && !occluded; j++)
            occluded = oracle->ranks[j] == GRAPH_CHOSEN &&
                       oracle_below(oracle, oracle->pairs[i][j], oracle->distances[i],
                                    fabs(oracle->distances[oracle->count - 1]) +
                                        fabs(oracle->distances[0]));
        oracle->ranks[i] = occluded || chosen == GRAPH_SLOTS ? GRAPH_REFUSED : GRAPH_CHOSEN;
        chosen += oracle->ranks[i] == GRAPH_CHOSEN;
    }
}

static bool oracle_fits(struct oracle *oracle, uint32_t at, double rung)
{
    double most = -1;
    for (uint32_t j = 0; j < oracle->count; j++) {
        if (oracle->ranks[j] == GRAPH_REFUSED || oracle->distances[j] > oracle->distances[at])
            continue;
        const double with = cosine(oracle->distances[at], oracle->distances[j],
                                   oracle->pairs[at][j]);
        if (with > most) most = with;
    }
    return !oracle_below(oracle, rung, most, 1);
}

static void oracle_fill(struct oracle *oracle)
{
    enum { RUNGS = 11 };
    uint32_t used = 0;
    for (uint32_t i = 0; i < oracle->count; i++) used += oracle->ranks[i] != GRAPH_REFUSED;
    for (uint32_t rung = oracle->scene->graph.inner_product ? RUNGS - 1 : 0; rung < RUNGS; rung++) {
        for (uint32_t i = 0; i < oracle->count && i < LOOKED && used < GRAPH_SLOTS; i++) {
            if (oracle->ranks[i] != GRAPH_REFUSED) continue;
            if (rung + 1 < RUNGS && !oracle_fits(oracle, i, 0.5 + 0.05 * rung)) continue;
            oracle->ranks[i] = GRAPH_FILLS;
            used++;
        }
    }
}

/* Points of `count` nodes for the row of `node`, sorted; the oracle's answer for the same. */
static void ask_both(struct oracle *oracle, const struct scene *scene, struct graph_worker *worker,
                     uint32_t node, uint32_t first, uint32_t count)
{
    struct graph_point self;
    *oracle = (struct oracle){.scene = scene, .node = node, .count = count, .clear = true};
    graph_point_load(&scene->graph, worker, node, &self);
    for (uint32_t i = 0; i < count; i++) {
        struct graph_point *point = &worker->points[i];
        const uint32_t other = (first + i) % NODES;
        CHECK(other != node);
        graph_point_load(&scene->graph, worker, other, point);
        point->distance = graph_point_distance(&scene->graph, &self, point);
        /* Of products a part cancels out. */
        const double exact = apart(scene, node, other);
        const double scale = fabs(exact) + (double)self.square + (double)point->square;
        CHECK(fabs((double)point->distance - exact) <= 1e-5 * scale);
    }
    graph_points_sort(worker->points, count);
    for (uint32_t i = 0; i < count; i++) {
        oracle->nodes[i] = worker->points[i].node;
        oracle->distances[i] = apart(scene, node, oracle->nodes[i]);
        for (uint32_t j = 0; j < i; j++)
            oracle->pairs[i][j] = oracle->pairs[j][i] = apart(scene, oracle->nodes[i],
                                                              oracle->nodes[j]);
    }
    (void)graph_prune(&scene->graph, worker->points, count);
    oracle_strict(oracle);
    oracle_fill(oracle);
}

struct prune_shape {
    uint32_t dim, clusters;
    omendb_metric metric;
};

static const struct prune_shape SHAPES[] = {
    {4, 0, OMENDB_L2},       {8, 6, OMENDB_L2},  {24, 10, OMENDB_L2}, {100, 0, OMENDB_L2},
    {30, 10, OMENDB_COSINE}, {16, 6, OMENDB_IP}, {100, 0, OMENDB_IP},
};

static void rows_are_those_of_the_rule_and_its_ladder(void)
{
    enum { TRIALS = 60 };
    static struct oracle oracle;
    for (const struct prune_shape *shape = SHAPES; shape < SHAPES + COUNT_OF(SHAPES); shape++) {
        struct scene *scene = scene_create(NODES, shape->dim, shape->metric, shape->clusters);
        struct graph_worker worker = {0};
        uint32_t compared = 0, strict = 0, fills = 0;
        CHECK(graph_worker_init(&worker, &scene->graph, NULL) == OMENDB_OK);
        for (uint32_t trial = 0; trial < TRIALS; trial++) {
            const uint32_t count = trial % 4 == 0 ? GRAPH_PRUNE_MAX
                                                  : 1 + (uint32_t)random_bits() % 70;
            const uint32_t node = (uint32_t)(random_bits() % NODES);
            ask_both(&oracle, scene, &worker, node, node + 1, count);
            uint32_t used = 0, slots[GRAPH_SLOTS];
            for (uint32_t i = 0; i < count; i++) used += worker.points[i].rank != GRAPH_REFUSED;
            CHECK(used == (count < GRAPH_SLOTS ? count : GRAPH_SLOTS));
            graph_row_write(worker.points, count, slots);
            CHECK(scene_check_slots(scene, node, slots, false) == used);
            if (!oracle.clear) continue;
            compared++;
            for (uint32_t i = 0; i < count; i++) {
                CHECK(worker.points[i].rank == oracle.ranks[i]);
                strict += oracle.ranks[i] == GRAPH_CHOSEN;
                fills += oracle.ranks[i] == GRAPH_FILLS;
                const uint32_t slot = graph_row_find(slots, oracle.nodes[i]);
                CHECK((slot < GRAPH_SLOTS) == (oracle.ranks[i] != GRAPH_REFUSED));
                if (slot == GRAPH_SLOTS) continue;
                CHECK((slots[slot] & GRAPH_STRICT) !=
                      (oracle.ranks[i] == GRAPH_CHOSEN ? 0 : GRAPH_STRICT));
            }
        }
        printf("dim %u, metric %d: %u of %d rows are clear, %u strict edges, %u others\n",
               shape->dim, (int)shape->metric, compared, TRIALS, strict, fills);
        CHECK(compared * 2 > TRIALS && strict > compared && fills > compared);
        graph_worker_deinit(&worker);
        scene_destroy(scene);
    }
}

/* A product has no direction: after the strict ones whatever is nearest. */
static void rows_of_products_are_filled_by_nearness_alone(void)
{
    static struct oracle oracle;
    struct scene *scene = scene_create(NODES, 20, OMENDB_IP, 8);
    struct graph_worker worker = {0};
    CHECK(graph_worker_init(&worker, &scene->graph, NULL) == OMENDB_OK);
    for (uint32_t node = 0; node < NODES; node += 7) {
        ask_both(&oracle, scene, &worker, node, node + 1, 120);
        bool ended = false;
        for (uint32_t i = 0; i < 120; i++) {
            ended |= worker.points[i].rank == GRAPH_REFUSED;
            CHECK(!ended || worker.points[i].rank != GRAPH_FILLS);
        }
        CHECK(ended);
    }
    graph_worker_deinit(&worker);
    scene_destroy(scene);
}

static void equal_codes_fill_rows_too(void)
{
    enum { EQUAL_MAX = 40, OTHERS = 60 };
    static const omendb_metric metrics[] = {OMENDB_L2, OMENDB_COSINE, OMENDB_IP};
    for (size_t metric = 0; metric < COUNT_OF(metrics); metric++) {
        struct scene *scene = scene_create(NODES, 16, metrics[metric], 4);
        struct graph_worker worker = {0};
        CHECK(graph_worker_init(&worker, &scene->graph, NULL) == OMENDB_OK);
        for (uint32_t node = 1; node <= EQUAL_MAX; node++) {
            struct graph_point self;
            uint32_t slots[GRAPH_SLOTS], equal = 0;
            memcpy(scene->rows + (size_t)node * scene->codes.stride, scene->rows,
                   scene->codes.stride);
            graph_point_load(&scene->graph, &worker, 0, &self);
            for (uint32_t i = 0; i < node + OTHERS; i++) {
                graph_point_load(&scene->graph, &worker, i + 1, &worker.points[i]);
                worker.points[i].distance = graph_point_distance(&scene->graph, &self,
                                                                 &worker.points[i]);
            }
            graph_points_sort(worker.points, node + OTHERS);
            (void)graph_prune(&scene->graph, worker.points, node + OTHERS);
            graph_row_write(worker.points, node + OTHERS, slots);
            CHECK(scene_check_slots(scene, 0, slots, false) == GRAPH_SLOTS);
            for (uint32_t i = 0; i < GRAPH_SLOTS; i++) equal += graph_slot_node(slots[i]) <= node;
            /* Who is as near as can be isn't left out for others, but by products. */
            if (!scene->graph.inner_product) CHECK(equal == (node < GRAPH_SLOTS ? node : 32));
        }
        graph_worker_deinit(&worker);
        scene_destroy(scene);
    }
}

/* ---- Editing ------------------------------------------------------------------------ */

/* A row of neighbours [1, 1 + used) of node 0, the first `strict` of them strict. */
static void make_row(uint32_t *slots, uint32_t used, uint32_t strict)
{
    for (uint32_t i = 0; i < GRAPH_SLOTS; i++)
        slots[i] = i < used ? graph_slot(i + 1) | (i < strict ? GRAPH_STRICT : 0) : 0;
}

static uint32_t slots_differ(const uint32_t *a, const uint32_t *b, uint32_t *where)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < GRAPH_SLOTS; i++) {
        if (a[i] == b[i]) continue;
        *where = i;
        count++;
    }
    return count;
}

/* Slot of the filling edge that has the greatest cosine with a new one, and when products have
 * none of the farthest; GRAPH_SLOTS: it isn't clear. */
static uint32_t crowded_slot(const struct scene *scene, const uint32_t *slots, uint32_t strict,
                             uint32_t other)
{
    double best = -HUGE_VAL, second = -HUGE_VAL;
    uint32_t slot = GRAPH_SLOTS;
    const double own = apart(scene, 0, other);
    for (uint32_t i = strict; i < GRAPH_SLOTS; i++) {
        const uint32_t fill = graph_slot_node(slots[i]);
        const double distance = apart(scene, 0, fill);
        const double value = scene->graph.inner_product
                                 ? distance
                                 : cosine(own, distance, apart(scene, other, fill));
        if (value > best) {
            second = best;
            best = value;
            slot = i;
        } else if (value > second) {
            second = value;
        }
    }
    return best - second > CLEAR ? slot : GRAPH_SLOTS;
}

static void new_edges_take_the_place_of_filling_ones_in_their_direction(void)
{
    for (const struct prune_shape *shape = SHAPES; shape < SHAPES + COUNT_OF(SHAPES); shape++) {
        struct scene *scene = scene_create(NODES, shape->dim, shape->metric, shape->clusters);
        struct graph_worker worker = {0};
        struct graph_row_edit edit;
        uint32_t slots[GRAPH_SLOTS], before[GRAPH_SLOTS], where = 0, compared = 0, trials = 0;
        CHECK(graph_worker_init(&worker, &scene->graph, NULL) == OMENDB_OK);
        for (uint32_t other = 40; other < NODES; other += 3, trials++) {
            struct graph_point self, added;
            const uint32_t strict = other % GRAPH_SLOTS;
            graph_point_load(&scene->graph, &worker, 0, &self);
            graph_point_load(&scene->graph, &worker, other, &added);
            const float distance = graph_point_distance(&scene->graph, &self, &added);
            make_row(slots, GRAPH_SLOTS, strict);
            memcpy(before, slots, sizeof slots);
            graph_row_edit_begin(&edit, &scene->graph, &worker, 0, slots);
            graph_row_link(&edit, other, distance);
            CHECK(slots_differ(slots, before, &where) == 1 && where >= strict);
            CHECK(slots[where] == (graph_slot(other) | GRAPH_STRICT));
            const uint32_t expected = crowded_slot(scene, before, strict, other);
            compared += expected < GRAPH_SLOTS;
            CHECK(expected == GRAPH_SLOTS || where == expected);
            /* Who is there already becomes strict, where he stands. */
            memcpy(before, slots, sizeof slots);
            graph_row_link(&edit, other, distance);
            CHECK(slots_differ(slots, before, &where) == 0);
            const uint32_t fill = graph_slot_node(slots[GRAPH_SLOTS - 1]);
            graph_row_link(&edit, fill, edit.distances[GRAPH_SLOTS - 1]);
            CHECK(slots[GRAPH_SLOTS - 1] == (graph_slot(fill) | GRAPH_STRICT));
            /* A free slot is taken first, and nobody goes. */
            make_row(slots, GRAPH_SLOTS - 1, strict);
            memcpy(before, slots, sizeof slots);
            graph_row_edit_begin(&edit, &scene->graph, &worker, 0, slots);
            graph_row_link(&edit, other, distance);
            CHECK(slots_differ(slots, before, &where) == 1 && before[where] == 0);
        }
        CHECK(compared * 10 > trials * 9);
        graph_worker_deinit(&worker);
        scene_destroy(scene);
    }
}

/* With strict edges alone, those go that the rule refuses when the new one is among them. */
static void rows_of_strict_edges_take_new_ones_in(void)
{
    for (const struct prune_shape *shape = SHAPES; shape < SHAPES + COUNT_OF(SHAPES); shape++) {
        struct scene *scene = scene_create(NODES, shape->dim, shape->metric, shape->clusters);
        struct graph_worker worker = {0};
        struct graph_row_edit edit;
        uint32_t slots[GRAPH_SLOTS], before[GRAPH_SLOTS], where = 0;
        CHECK(graph_worker_init(&worker, &scene->graph, NULL) == OMENDB_OK);
        make_row(slots, GRAPH_SLOTS, GRAPH_SLOTS);
        graph_row_edit_begin(&edit, &scene->graph, &worker, 0, slots);
        for (uint32_t other = 40; other < 140; other++) {
            struct graph_point self, added;
            uint32_t moved = 0;
            graph_point_load(&scene->graph, &worker, 0, &self);
            graph_point_load(&scene->graph, &worker, other, &added);
            memcpy(before, slots, sizeof slots);
            graph_row_link(&edit, other, graph_point_distance(&scene->graph, &self, &added));
            for (uint32_t i = 0; i < GRAPH_SLOTS; i++) {
                if (((slots[i] ^ before[i]) & GRAPH_NODE_MASK) == 0) continue;
                where = i;
                moved++;
            }
            CHECK(moved == 1 && slots[where] == (graph_slot(other) | GRAPH_STRICT));
            CHECK(scene_check_slots(scene, 0, slots, false) == GRAPH_SLOTS);
            /* The distances that an edit knows are those of its slots. */
            for (uint32_t i = 0; i < GRAPH_SLOTS; i++) {
                graph_point_load(&scene->graph, &worker, graph_slot_node(slots[i]), &added);
                CHECK(edit.distances[i] == graph_point_distance(&scene->graph, &self, &added));
            }
        }
        graph_worker_deinit(&worker);
        scene_destroy(scene);
    }
}

/* ---- Signs -------------------------------------------------------------------------- */

/* A turn, so that lengths and products are those of the vectors before it; and it mixes: no
 * component of a vector that has but one is much larger than the others. */
static void spreading_keeps_lengths_and_products(void)
{
    static const uint32_t dims[] = {1, 33, 64, 65, 100, 128, 129, 200, 255, 256, 257, 600};
    const struct kernels *tables[KERNELS_LIST_MAX];
    const size_t table_count = kernels_list(cpu_features(), tables, KERNELS_LIST_MAX);
    for (size_t at = 0; at < COUNT_OF(dims); at++) {
        const uint32_t dim = dims[at];
        struct graph graph;
        graph_init(&graph, kernels_for(cpu_features()), cpu_features(), dim, OMENDB_L2);
        CHECK(graph.bits == graph_bits(dim) && graph.bits % GRAPH_BITS_MULTIPLE == 0);
        CHECK(graph.spread == (dim < 256 && dim != 64 && dim != 128));
        CHECK(!graph.spread || (graph.bits > dim && (graph.bits & (graph.bits - 1)) == 0));
        if (!graph.spread) continue;
        for (uint32_t round = 0; round < 20; round++) {
            static float x[2][GRAPH_SPREAD_MAX] ALIGNED(64), first[GRAPH_SPREAD_MAX] ALIGNED(64);
            double before[3] = {0, 0, 0}, after[3] = {0, 0, 0}, largest = 0;
            memset(x, 0, sizeof x);
            for (uint32_t i = 0; i < dim; i++) {
                x[0][i] = round < 10 ? random_normal() : i == round % dim ? 3.0f : 0.0f;
                x[1][i] = 100 * random_normal();
            }
            for (uint32_t table = 0; table < table_count; table++) {
                float copy[GRAPH_SPREAD_MAX] ALIGNED(64);
                memcpy(copy, x[0], sizeof copy);
                graph.kernels = tables[table];
                graph_spread(&graph, copy);
                if (table == 0) memcpy(first, copy, sizeof first);
                CHECK(memcmp(first, copy, sizeof first) == 0);
            }
            for (uint32_t i = 0; i < dim; i++) {
                before[0] += (double)x[0][i] * (double)x[0][i];
                before[1] += (double)x[1][i] * (double)x[1][i];
                before[2] += (double)x[0][i] * (double)x[1][i];
            }
            graph_spread(&graph, x[0]);
            graph_spread(&graph, x[1]);
            for (uint32_t i = 0; i < graph.bits; i++) {
                after[0] += (double)x[0][i] * (double)x[0][i];
                after[1] += (double)x[1][i] * (double)x[1][i];
                after[2] += (double)x[0][i] * (double)x[1][i];
                if (fabs((double)x[0][i]) > largest) largest = fabs((double)x[0][i]);
            }
            CHECK(fabs(after[0] - before[0]) <= 1e-5 * before[0]);
            CHECK(fabs(after[1] - before[1]) <= 1e-5 * before[1]);
            CHECK(fabs(after[2] - before[2]) <= 1e-5 * sqrt(before[0] * before[1]));
            CHECK(round < 10 || fabs(largest * sqrt(graph.bits) - 3) < 1e-4);
        }
    }
}

int main(int argc, char **argv)
{
    static const struct test tests[] = {
        {"rows_are_those_of_the_rule_and_its_ladder", rows_are_those_of_the_rule_and_its_ladder},
        {"rows_of_products_are_filled_by_nearness_alone",
         rows_of_products_are_filled_by_nearness_alone},
        {"equal_codes_fill_rows_too", equal_codes_fill_rows_too},
        {"new_edges_take_the_place_of_filling_ones_in_their_direction",
         new_edges_take_the_place_of_filling_ones_in_their_direction},
        {"rows_of_strict_edges_take_new_ones_in", rows_of_strict_edges_take_new_ones_in},
        {"spreading_keeps_lengths_and_products", spreading_keeps_lengths_and_products},
        {NULL, NULL}};
    return test_main(tests, argc, argv);
}

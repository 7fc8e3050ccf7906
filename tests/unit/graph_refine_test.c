/* The second look at linked nodes: which rows it plans, that they are valid and lead to more than
 * before, and that nothing is left behind when it fails. */
#include "graph_scene.h"
#include "index/vector/graph_prune.h"

enum { NODES = 3000, DIM = 24, CLUSTERS = 20, BATCH = 512, EF = 64, KEEP = 32 };

static const omendb_metric METRICS[] = {OMENDB_L2, OMENDB_COSINE, OMENDB_IP};
#define EACH_SCENE(scene)                                                                          \
    for (uint32_t kind = 0; kind < 2 * COUNT_OF(METRICS); kind++)                                  \
        for (struct scene *scene = linked_scene(kind); scene != NULL;                              \
             scene_destroy(scene), scene = NULL)

/* Even and clustered data, by every metric; pruned in a hurry, as during a load. */
static struct scene *linked_scene(uint32_t kind)
{
    struct scene *scene = scene_create(NODES, DIM, METRICS[kind / 2], kind % 2 == 0 ? 0 : CLUSTERS);
    scene_link(scene, KEEP);
    return scene;
}

static struct graph_change_options refine_options(uint32_t threads)
{
    return (struct graph_change_options){.ef = EF, .threads = threads, .node_end = NODES};
}

/* The next living nodes from *node on. */
static uint32_t refine_batch(const struct scene *scene, uint32_t *node, uint32_t *batch)
{
    uint32_t count = 0;
    for (; *node < scene->nodes && count < BATCH; ++*node)
        if (!has_bit(scene->dead, *node)) batch[count++] = *node;
    return count;
}

/* Own rows first, in the order of the batch; nobody's row twice; rows that may be written. */
static void check_plan(const struct scene *scene, const struct graph_plan *plan,
                       const uint32_t *batch, uint32_t count)
{
    uint32_t *seen = zeroed(scene->nodes, sizeof *seen);
    CHECK(plan->count >= count && plan->own == 0);
    for (size_t i = 0; i < plan->count; i++) {
        const struct graph_row *row = &plan->rows[i];
        CHECK(row->node < scene->nodes && !has_bit(scene->dead, row->node));
        CHECK(i >= count || row->node == batch[i]);
        CHECK(seen[row->node]++ == 0);
        (void)scene_check_slots(scene, row->node, row->slots, i >= count);
    }
    alloc_free(seen);
}

/* A whole pass. */
static void refine(struct scene *scene)
{
    struct graph_plan plan = {0};
    const struct graph_change_options options = refine_options(2);
    uint32_t batch[BATCH], node = 0;
    for (uint32_t count; (count = refine_batch(scene, &node, batch)) != 0;) {
        CHECK(graph_plan_refine(&scene->graph, batch, count, &options, &plan, NULL) == OMENDB_OK);
        check_plan(scene, &plan, batch, count);
        scene_apply(scene, &plan);
    }
    graph_plan_deinit(&plan);
    scene_make_edges(scene);
}

static void plans_are_the_same_for_any_number_of_threads(void)
{
    EACH_SCENE(scene)
    {
        struct graph_plan plans[3] = {{0}};
        uint32_t batch[BATCH], node = NODES / 3;
        const uint32_t count = refine_batch(scene, &node, batch);
        for (uint32_t i = 0; i < 3; i++) {
            const struct graph_change_options options = refine_options(i == 2 ? 5 : i + 1);
            /* The second time with memory of the first. */
            for (uint32_t round = 0; round < 2; round++) {
                CHECK(graph_plan_refine(&scene->graph, batch, count, &options, &plans[i], NULL) ==
                      OMENDB_OK);
                CHECK(plans[i].count == plans[0].count);
                CHECK(memcmp(plans[i].rows, plans[0].rows,
                             plans[0].count * sizeof *plans[0].rows) == 0);
            }
        }
        check_plan(scene, &plans[0], batch, count);
        for (uint32_t i = 0; i < 3; i++) graph_plan_deinit(&plans[i]);
    }
}

static void rows_are_valid_and_lead_to_the_living_alone(void)
{
    EACH_SCENE(scene)
    {
        uint32_t used = 0, living = 0;
        for (uint32_t i = 0; i < NODES; i += 5) set_bit(scene->dead, i);
        uint8_t *before = zeroed(NODES, GRAPH_LINKS_SIZE);
        memcpy(before, scene->links, (size_t)NODES * GRAPH_LINKS_SIZE);
        refine(scene);
        for (uint32_t node = 0; node < NODES; node++) {
            if (has_bit(scene->dead, node)) { /* It still routes, as it did. */
                CHECK(memcmp(scene_row(scene, node), before + (size_t)node * GRAPH_LINKS_SIZE,
                             GRAPH_LINKS_SIZE) == 0);
                continue;
            }
            used += scene_check_slots(scene, node, scene_row(scene, node), false);
            living++;
        }
        CHECK(used == GRAPH_SLOTS * living);
        alloc_free(before);
    }
}

static const struct graph_row *plan_row(const struct graph_plan *plan, uint32_t node)
{
    for (size_t i = 0; i < plan->count; i++)
        if (plan->rows[i].node == node) return &plan->rows[i];
    return NULL;
}

static bool is_strict(const uint32_t *slots, uint32_t other)
{
    const uint32_t slot = graph_row_find(slots, other);
    return slot < GRAPH_SLOTS && (slots[slot] & GRAPH_STRICT) != 0;
}

/* With few dimensions rows never have only strict edges: what is asked for is always there. */
static void strict_edges_lead_back_within_a_batch_and_out_of_it(void)
{
    struct scene *scene = scene_create(NODES, 6, OMENDB_L2, CLUSTERS);
    struct graph_plan plan = {0};
    const struct graph_change_options options = refine_options(3);
    uint32_t batch[BATCH], count = 0, asked[2] = {0, 0};
    scene_link(scene, KEEP);
    for (uint32_t node = 0; count < BATCH; node += 2) batch[count++] = node;
    CHECK(graph_plan_refine(&scene->graph, batch, count, &options, &plan, NULL) == OMENDB_OK);
    check_plan(scene, &plan, batch, count);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t strict = 0;
        for (uint32_t slot = 0; slot < GRAPH_SLOTS; slot++) {
            if ((plan.rows[i].slots[slot] & GRAPH_STRICT) == 0) continue;
            const uint32_t other = graph_slot_node(plan.rows[i].slots[slot]);
            strict++;
            if (is_strict(graph_links(&scene->graph, other), batch[i])) continue;
            const struct graph_row *row = plan_row(&plan, other);
            CHECK(row != NULL && is_strict(row->slots, batch[i]));
            asked[row < plan.rows + count]++;
        }
        CHECK(strict < GRAPH_SLOTS);
    }
    printf("%u rows of the batch, %u of others lead back\n", asked[1], asked[0]);
    CHECK(asked[0] > 10 && asked[1] > 10);
    graph_plan_deinit(&plan);
    scene_destroy(scene);
}

static const uint32_t *kept_row(const uint8_t *links, uint32_t node)
{
    return (const uint32_t *)(const void *)(links + (size_t)node * GRAPH_LINKS_SIZE);
}

/* Of the strict edges in `links` that lead both ways, how many there are, and along how many a
 * short walk doesn't find the one from the other. */
static void count_lost(struct scene *scene, const uint8_t *links, uint32_t *pairs, uint32_t *lost)
{
    *pairs = *lost = 0;
    for (uint32_t node = 0; node < NODES; node += 5) {
        const uint32_t *row = kept_row(links, node);
        for (uint32_t slot = 0; slot < GRAPH_SLOTS; slot++) {
            const uint32_t other = graph_slot_node(row[slot]);
            if ((row[slot] & GRAPH_STRICT) == 0 || !is_strict(kept_row(links, other), node))
                continue;
            CHECK(graph_query_begin_node(&scene->query, &scene->graph, other, NULL) == OMENDB_OK);
            const float self = graph_distance(&scene->graph, &scene->query, other);
            const uint32_t found = scene_search_from(scene, GRAPH_WALK_CODES, GRAPH_ENTER_NODE,
                                                     node, 24, NODES);
            bool there = false;
            for (uint32_t i = 0; i < found; i++) there |= scene->scratch.kept[i].node == other;
            /* Ten whose products are larger: it isn't asked for. */
            there |= found == 10 && scene->scratch.kept[9].distance < self;
            ++*pairs;
            *lost += !there;
        }
    }
}

/* A row need not keep an edge that led both ways, but who was found along it still is. */
static void neighbours_that_knew_each_other_are_still_found(void)
{
    EACH_SCENE(scene)
    {
        uint8_t *before = zeroed(NODES, GRAPH_LINKS_SIZE);
        uint32_t pairs = 0, lost[2] = {0, 0};
        memcpy(before, scene->links, (size_t)NODES * GRAPH_LINKS_SIZE);
        count_lost(scene, before, &pairs, &lost[0]);
        refine(scene);
        count_lost(scene, before, &pairs, &lost[1]);
        printf("kind %u: of %u %u are lost before, %u after\n", kind, pairs, lost[0], lost[1]);
        CHECK(lost[0] == 0 && lost[1] * 1000 <= pairs && pairs > 200);
        alloc_free(before);
    }
}

static void recall_is_no_lower_after_a_pass(void)
{
    enum { QUERIES = 150, EFS = 2 };
    static const uint32_t efs[EFS] = {12, 24};
    EACH_SCENE(scene)
    {
        float *queries = zeroed((size_t)QUERIES * DIM, sizeof *queries);
        uint32_t hits[2][2][EFS] = {{{0}}}; /* By time, walk, ef. */
        for (uint32_t i = 0; i < QUERIES; i++) scene_vector(scene, queries + (size_t)i * DIM);
        for (uint32_t after = 0; after < 2; after++) {
            if (after == 1) refine(scene);
            for (uint32_t i = 0; i < QUERIES; i++) {
                scene_ask_for(scene, queries + (size_t)i * DIM);
                for (uint32_t at = 0; at < 2 * EFS; at++) {
                    const uint32_t found = scene_search(scene, (enum graph_walk)(at / EFS),
                                                        GRAPH_ENTER_HUBS, efs[at % EFS], NODES);
                    hits[after][at / EFS][at % EFS] += scene_hits(scene, found);
                }
            }
        }
        uint32_t sums[2] = {0};
        for (uint32_t at = 0; at < 2 * EFS; at++) {
            const uint32_t *walks[2] = {hits[0][at / EFS], hits[1][at / EFS]};
            const double all = 10.0 * QUERIES;
            printf("kind %u, walk %u, ef %u: recall %.4f before, %.4f after\n", kind, at / EFS,
                   efs[at % EFS], walks[0][at % EFS] / all, walks[1][at % EFS] / all);
            /* Of one walk at one effort a hundredth is chance. */
            CHECK(walks[1][at % EFS] + QUERIES / 10 >= walks[0][at % EFS]);
            for (uint32_t after = 0; after < 2; after++) sums[after] += walks[after][at % EFS];
        }
        CHECK(sums[1] > sums[0]);
        alloc_free(queries);
    }
}

/* ---- Where walks begin ------------------------------------------------------------ */

/* Entries that are far more than those that a walk looks at closely: it begins where the query is,
 * all the same. */
static void walks_begin_at_the_entry_that_is_near(void)
{
    static const struct {
        omendb_metric metric;
        uint32_t dim;
    } kinds[] = {{OMENDB_L2, 48}, {OMENDB_COSINE, 128}, {OMENDB_IP, 100}, {OMENDB_L2, 300}};
    const struct graph_effort effort = {.walk = GRAPH_WALK_CODES, .ef = 4, .keep = 1, .near = 1};
    for (uint32_t kind = 0; kind < COUNT_OF(kinds); kind++) {
        struct scene *scene = scene_create(NODES, kinds[kind].dim, kinds[kind].metric, 400);
        uint32_t all[NODES], hits = 0;
        struct graph_entries *entries = NULL;
        for (uint32_t node = 0; node < NODES; node++) all[node] = node;
        const uint32_t count = GRAPH_ENTRIES_MAX;
        CHECK(graph_entries_make(&scene->graph, all, count, &entries, NULL) == OMENDB_OK);
        scene_set_entries(scene, entries);
        CHECK(graph_scratch_reserve(&scene->scratch, NODES, 4, 4, NULL) == OMENDB_OK);
        for (uint32_t node = 0; node < count; node++) {
            CHECK(graph_query_begin_node(&scene->query, &scene->graph, node, NULL) == OMENDB_OK);
            const uint64_t before = scene->scratch.counts.distances;
            /* There are no rows: it ends where it began. */
            CHECK(graph_search(&scene->graph, &scene->query, &effort, &scene->scratch) == 1);
            CHECK(scene->scratch.counts.distances - before <= GRAPH_GLANCED);
            hits += scene->scratch.kept[0].node == node;
        }
        if (getenv("VERBOSE") != NULL) printf("kind %u: %u of %u\n", kind, hits, count);
        /* By product another one may be nearer. */
        if (kinds[kind].metric != OMENDB_IP) CHECK(hits > count * 99 / 100);
        scene_destroy(scene);
    }
}

/* Entries that came after a walk began aren't seen by it, and it begins nevertheless. */
static void walks_begin_among_the_nodes_they_know(void)
{
    struct scene *scene = scene_create(NODES, 64, OMENDB_L2, 40);
    const struct graph_effort effort = {.walk = GRAPH_WALK_CODES, .ef = 4, .keep = 4, .near = 1};
    uint32_t nodes[GRAPH_SLOTS * 3];
    for (uint32_t i = 0; i < COUNT_OF(nodes); i++) nodes[i] = NODES - 1 - i;
    for (uint32_t known = 0; known < 4; known++) {
        struct graph_entries *entries = NULL;
        if (known != 0) nodes[known * GRAPH_SLOTS - 1] = known; /* The first that is known. */
        CHECK(graph_entries_make(&scene->graph, nodes, COUNT_OF(nodes), &entries, NULL) ==
              OMENDB_OK);
        scene_set_entries(scene, entries);
        CHECK(graph_scratch_reserve(&scene->scratch, 10, 4, 4, NULL) == OMENDB_OK);
        CHECK(graph_query_begin_node(&scene->query, &scene->graph, 9, NULL) == OMENDB_OK);
        const uint32_t found = graph_search(&scene->graph, &scene->query, &effort, &scene->scratch);
        CHECK(known == 0 ? found == 0 : found >= 1);
        for (uint32_t i = 0; i < found; i++) CHECK(scene->scratch.kept[i].node < 10);
    }
    scene_destroy(scene);
}

/* ---- Who can't be reached -------------------------------------------------------- */

static uint32_t reached(const struct scene *scene)
{
    const struct graph_entries *entries = atomic_load_relaxed_pointer(&scene->graph.entries);
    bool *seen = zeroed(NODES, sizeof *seen);
    uint32_t *queue = zeroed(NODES, sizeof *queue), begin = 0, end = 0;
    for (uint32_t i = 0; i < entries->count; i++) {
        seen[entries->nodes[i]] = true;
        queue[end++] = entries->nodes[i];
    }
    for (; begin < end; begin++) {
        for (uint32_t i = 0; i < GRAPH_SLOTS; i++) {
            const uint32_t slot = scene_row(scene, queue[begin])[i];
            if (slot == 0 || seen[graph_slot_node(slot)]) continue;
            seen[graph_slot_node(slot)] = true;
            queue[end++] = graph_slot_node(slot);
        }
    }
    alloc_free(seen);
    alloc_free(queue);
    return end;
}

static void repair_reach(struct scene *scene)
{
    enum { ROUNDS_MAX = 5 };
    struct graph_plan plan = {0};
    const struct graph_change_options options = refine_options(1);
    uint32_t unreachable = 1, rounds = 0;
    for (; unreachable != 0; rounds++) {
        CHECK(rounds < ROUNDS_MAX);
        CHECK(graph_plan_reach(&scene->graph, scene->linked, &options, &plan, &unreachable, NULL) ==
              OMENDB_OK);
        scene_apply(scene, &plan);
    }
    graph_plan_deinit(&plan);
}

static void everybody_can_be_reached_after_a_pass_and_its_repair(void)
{
    EACH_SCENE(scene)
    {
        refine(scene);
        scene_enter_hubs(scene, NODES);
        const uint32_t before = reached(scene);
        repair_reach(scene);
        printf("kind %u: %u of %d before the repair\n", kind, before, NODES);
        CHECK(reached(scene) == NODES);
        for (uint32_t node = 0; node < NODES; node++)
            (void)scene_check_slots(scene, node, scene_row(scene, node), false);
    }
}

/* As after an end in the middle of its insertion: nobody leads to it, and it leads nowhere. */
static void isolated_nodes_do_no_harm(void)
{
    enum { ALONE = 17 };
    EACH_SCENE(scene)
    {
        for (uint32_t node = 0; node < NODES; node++) {
            uint32_t *row = scene_row(scene, node);
            for (uint32_t i = 0; i < GRAPH_SLOTS; i++)
                if (row[i] != 0 && graph_slot_node(row[i]) % ALONE == 0) row[i] = 0;
            if (node % ALONE == 0) memset(row, 0, GRAPH_LINKS_SIZE);
        }
        scene_enter(scene, 1);
        refine(scene);
        for (uint32_t node = 0; node < NODES; node++) {
            const uint32_t used = scene_check_slots(scene, node, scene_row(scene, node), false);
            CHECK(node % ALONE == 0 ? used == 0 : used > 0);
        }
        repair_reach(scene);
        CHECK(reached(scene) == NODES); /* From elsewhere; their own rows are still empty. */
        refine(scene);
        repair_reach(scene);
        CHECK(reached(scene) == NODES);
    }
}

/* ---- Failures ---------------------------------------------------------------------- */

struct patience {
    uint32_t asked, most;
};

static bool out_of_patience(void *context)
{
    struct patience *patience = context;
    return patience->asked++ >= patience->most;
}

static void a_pass_that_is_stopped_plans_nothing(void)
{
    struct scene *scene = linked_scene(1);
    struct graph_plan plan = {0}, expected = {0};
    struct graph_change_options options = refine_options(1);
    uint32_t batch[BATCH], node = 0, most = 0;
    const uint32_t count = refine_batch(scene, &node, batch);
    CHECK(graph_plan_refine(&scene->graph, batch, count, &options, &expected, NULL) == OMENDB_OK);
    for (;; most++) {
        struct patience patience = {.most = most};
        omendb_error error = {0};
        options.stopping = out_of_patience;
        options.context = &patience;
        const omendb_status status = graph_plan_refine(&scene->graph, batch, count, &options, &plan,
                                                       &error);
        if (status == OMENDB_OK) break;
        CHECK(status == OMENDB_ERR_INTERRUPTED && error.status == status);
        CHECK(plan.count == 0 && plan.own == 0);
    }
    CHECK(most > BATCH / 16); /* While searching, and while rows are edited. */
    CHECK(plan.count == expected.count);
    CHECK(memcmp(plan.rows, expected.rows, plan.count * sizeof *plan.rows) == 0);
    graph_plan_deinit(&plan);
    graph_plan_deinit(&expected);
    scene_destroy(scene);
}

static void every_failure_leaves_nothing_behind(void)
{
    struct scene *scene = linked_scene(3);
    struct graph_plan plan = {0}, expected = {0};
    const struct graph_change_options options = refine_options(1);
    uint32_t batch[BATCH], node = 0;
    long failures = 0;
    const uint32_t count = refine_batch(scene, &node, batch) / 8;
    CHECK(graph_plan_refine(&scene->graph, batch, count, &options, &expected, NULL) == OMENDB_OK);
    const uint64_t before = alloc_bytes();
    for (;; failures++) {
        (void)alloc_fail_after(failures, 1);
        omendb_status status = graph_plan_refine(&scene->graph, batch, count, &options, &plan,
                                                 NULL);
        const bool failed = alloc_fail_after(-1, 0) < 0;
        CHECK(status == (failed ? OMENDB_ERR_NOMEM : OMENDB_OK));
        if (!failed) break;
        CHECK(plan.count == 0 && plan.own == 0);
        if (failures % 2 == 0) { /* What was there already is used, or is made anew. */
            status = graph_plan_refine(&scene->graph, batch, count, &options, &plan, NULL);
            CHECK(status == OMENDB_OK && plan.count == expected.count);
            CHECK(memcmp(plan.rows, expected.rows, plan.count * sizeof *plan.rows) == 0);
        }
        graph_plan_deinit(&plan);
        CHECK(alloc_bytes() == before);
    }
    CHECK(failures > 10);
    /* A plan that has rows of an earlier batch loses them. */
    for (long at = 0; at < 3; at++) {
        (void)alloc_fail_after(at, 1);
        const struct graph_change_options more = refine_options(2 + (uint32_t)at);
        const omendb_status status = graph_plan_refine(&scene->graph, batch, count, &more, &plan,
                                                       NULL);
        CHECK(alloc_fail_after(-1, 0) < 0 && status == OMENDB_ERR_NOMEM && plan.count == 0);
        CHECK(graph_plan_refine(&scene->graph, batch, count, &more, &plan, NULL) == OMENDB_OK);
        CHECK(plan.count == expected.count);
        CHECK(memcmp(plan.rows, expected.rows, plan.count * sizeof *plan.rows) == 0);
    }
    graph_plan_deinit(&plan);
    graph_plan_deinit(&expected);
    scene_destroy(scene);
}

int main(int argc, char **argv)
{
    static const struct test tests[] = {
        {"plans_are_the_same_for_any_number_of_threads",
         plans_are_the_same_for_any_number_of_threads},
        {"rows_are_valid_and_lead_to_the_living_alone",
         rows_are_valid_and_lead_to_the_living_alone},
        {"strict_edges_lead_back_within_a_batch_and_out_of_it",
         strict_edges_lead_back_within_a_batch_and_out_of_it},
        {"neighbours_that_knew_each_other_are_still_found",
         neighbours_that_knew_each_other_are_still_found},
        {"recall_is_no_lower_after_a_pass", recall_is_no_lower_after_a_pass},
        {"walks_begin_at_the_entry_that_is_near", walks_begin_at_the_entry_that_is_near},
        {"walks_begin_among_the_nodes_they_know", walks_begin_among_the_nodes_they_know},
        {"everybody_can_be_reached_after_a_pass_and_its_repair",
         everybody_can_be_reached_after_a_pass_and_its_repair},
        {"isolated_nodes_do_no_harm", isolated_nodes_do_no_harm},
        {"a_pass_that_is_stopped_plans_nothing", a_pass_that_is_stopped_plans_nothing},
        {"every_failure_leaves_nothing_behind", every_failure_leaves_nothing_behind},
        {NULL, NULL}};
    return test_main(tests, argc, argv);
}

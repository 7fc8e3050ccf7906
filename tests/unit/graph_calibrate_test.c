/* How much effort finds how much: what a trace tells of shorter walks, what a calibration promises,
 * and what is chosen from it. */
#include "graph_help.h"
#include "index/vector/graph_calibrate.h"
#include "index/vector/graph_choose.h"
#include "index/vector/graph_trace.h"
#include "store/host.h"

static struct world w;

static void open_graph(omendb_metric metric, uint32_t dim, uint32_t docs)
{
    world_init(&w, vfs_real(), NULL, metric, dim, 16);
    world_open(&w);
    world_fill(&w, 0, docs, docs); /* One batch: the work sees all of it. */
    world_work(&w);
}

/* ---- Traces ------------------------------------------------------------------------------ */

static struct graph_trace trace;
static struct flat_hit hits[200];

static uint32_t walk(const float *query, const struct graph_effort *effort, uint32_t k,
                     uint64_t *hops)
{
    struct vector_stats stats = {0};
    struct snapshot snapshot;
    uint32_t found = 0;
    OK(store_enter(w.store, &snapshot, &err));
    const struct flat_query flat = {
        .collection = w.collection, .k = k, .vector = query, .sequence = snapshot.sequence};
    OK(vector_search_walk(graph_index_of(w.collection, 0), &flat, effort, SLOT_NONE, &w.workspace,
                          hits, &found, &stats, &err));
    store_leave(&snapshot);
    *hops = stats.walk.hops;
    return found;
}

/* The hop that ends a walk of that ef and stretch. */
static uint32_t trace_end(uint32_t ef, float stretch)
{
    for (uint32_t i = 0; i < trace.hop_count; i++) {
        const struct graph_trace_hop *hop = &trace.hops[i];
        if (hop->rank >= ef) return i;
        if (stretch > 0 && hop->distance > stretch * hop->near[0]) return i;
    }
    return trace.hop_count;
}

static void check_traces(enum graph_walk by, bool stretches)
{
    static const uint32_t efs[] = {14, 20, 40, 90, 200};
    static const float all[] = {0, 1.05f, 1.2f};
    float query[WORLD_DIM_MAX];
    uint64_t shorter = 0, longer = 0;
    for (uint32_t round = 0; round < 40; round++) {
        uint64_t hops = 0;
        const struct graph_effort whole = {
            .walk = by, .ef = 300, .keep = 32, .near = 10, .trace = &trace};
        world_query(&w, query);
        trace = (struct graph_trace){.near = {10, 0}};
        (void)walk(query, &whole, 32, &hops);
        CHECK(trace.hop_count == hops && trace.found_count >= 32);
        for (uint32_t i = 0; i < COUNT_OF(efs) * COUNT_OF(all); i++) {
            const struct graph_effort effort = {.walk = by,
                                                .ef = efs[i / COUNT_OF(all)],
                                                .keep = 14,
                                                .near = 10,
                                                .stretch = all[i % COUNT_OF(all)]};
            if (!stretches && effort.stretch > 0) continue;
            (void)walk(query, &effort, 14, &hops);
            const uint32_t end = trace_end(effort.ef, effort.stretch);
            CHECK(by == GRAPH_WALK_CODES ? hops == end : hops >= end);
            shorter += end;
            longer += hops;
        }
    }
    /* By edges the last hops may bring a few more, no more than that. */
    CHECK((double)longer <= 1.06 * (double)shorter);
}

static void a_trace_tells_where_shorter_walks_end(void)
{
    open_graph(OMENDB_L2, 40, 2000);
    check_traces(GRAPH_WALK_CODES, true);
    check_traces(GRAPH_WALK_EDGES, true);
    world_end(&w);
    open_graph(OMENDB_IP, 40, 1500);
    check_traces(GRAPH_WALK_CODES, false);
    check_traces(GRAPH_WALK_EDGES, false);
    world_end(&w);
}

/* ---- Promises ---------------------------------------------------------------------------- */

/* The recall of one walk over fresh queries. */
static double walk_recall(const struct graph_choice *choice, uint32_t k, uint32_t queries)
{
    float query[WORLD_DIM_MAX];
    uint64_t found_all = 0;
    for (uint32_t i = 0; i < queries; i++) {
        static struct flat_hit exact[200];
        struct snapshot snapshot;
        uint32_t found = 0;
        uint64_t hops = 0;
        world_vector_make(&w, 2000000 + i, query);
        OK(store_enter(w.store, &snapshot, &err));
        const struct flat_query flat = {
            .collection = w.collection, .k = k, .vector = query, .sequence = snapshot.sequence};
        OK(flat_search(&flat, &w.workspace.flat, exact, &found, NULL, &err));
        store_leave(&snapshot);
        CHECK(found == k);
        const struct graph_effort effort = {.walk = choice->walk,
                                            .ef = choice->ef,
                                            .keep = vector_search_keep(k, choice->ef),
                                            .near = 10,
                                            .stretch = choice->stretch};
        const uint32_t count = walk(query, &effort, k, &hops);
        for (uint32_t j = 0; j < count; j++) found_all += hits[j].distance <= exact[k - 1].distance;
    }
    return (double)found_all / ((double)queries * k);
}

/* 19 of 20, and what 150 queries don't tell apart: two standard errors of theirs. */
static void promised_recalls_are_reached(void)
{
    enum { QUERIES = 150 };
    static const float recalls[] = {0.8f, 0.9f, 0.95f, 0.98f};
    static const uint32_t dims[] = {12, 24, 40, 40, 56, 64};
    uint32_t promises = 0, broken = 0, walks[2] = {0, 0};
    for (uint32_t i = 0; i < COUNT_OF(dims); i++) {
        open_graph(i % 2 == 0 ? OMENDB_L2 : OMENDB_COSINE, dims[i], 2000 + 100 * i);
        const struct graph_index *graph = graph_index_of(w.collection, 0);
        CHECK(graph->state.table.whole == 1 && graph->state.table.held_out != 0);
        for (uint32_t j = 0; j < COUNT_OF(recalls); j++) {
            struct graph_choice choice;
            const double wanted = (double)recalls[j];
            if (!graph_choose(&graph->state.table, &graph->graph, 10, recalls[j], &choice))
                continue;
            CHECK(choice.recall > recalls[j] && choice.ef >= 14);
            const double reached = walk_recall(&choice, 10, QUERIES);
            promises++;
            broken += reached < wanted - 2 * sqrt(wanted * (1 - wanted) * 2 / (QUERIES * 10));
            /* The first hits are found more surely than the tenth. */
            CHECK(walk_recall(&choice, 1, QUERIES) >= wanted - 0.03);
            walks[choice.walk]++;
        }
        world_end(&w);
    }
    CHECK(promises >= 16 && broken * 20 <= promises);
    CHECK(walks[GRAPH_WALK_CODES] != 0);
}

/* ---- Choosing ---------------------------------------------------------------------------- */

static void ladder_fill(struct graph_table *table, uint32_t k, enum graph_walk by, uint32_t stretch,
                        double first, double step, double hops)
{
    for (uint32_t rung = 0; rung < 8; rung++) {
        if (graph_rung_ef(rung) < (k == 0 ? 10 : 100)) continue;
        const double recall = first + step * rung;
        table->recall[k][by][stretch][rung] = (uint16_t)(65535 * recall);
        table->hops[k][by][stretch][rung] = (uint16_t)(hops * graph_rung_ef(rung));
        table->spread[k][by][stretch][rung] = 32;
        if (by == GRAPH_WALK_CODES)
            table->distances[k][stretch][rung] = (uint16_t)(20 * hops * graph_rung_ef(rung));
    }
}

static struct graph graph_of(bool edges)
{
    struct graph graph = {.edge_size = 600};
    graph.codes.stride = 128;
    atomic_store_release_u32(&graph.edges_ready, edges);
    return graph;
}

static void efforts_are_chosen_by_what_was_measured(void)
{
    struct graph_table table = {.linked = 1000, .queries = {200, 64}, .held_out = 3, .whole = 1};
    struct graph_choice choice = {0};
    const struct graph graph = graph_of(true);
    CHECK(!graph_choose(NULL, &graph, 10, 0.9f, &choice));
    ladder_fill(&table, 0, GRAPH_WALK_EDGES, 0, 0.3, 0.08, 1);
    ladder_fill(&table, 0, GRAPH_WALK_EDGES, 2, 0.3, 0.07, 0.5);
    /* The stretched ladder is cheaper where it reaches, the other goes higher. */
    CHECK(graph_choose(&table, &graph, 10, 0.6f, &choice) && choice.stretch > 0);
    CHECK(choice.ef >= graph_rung_ef(4) && choice.ef <= graph_rung_ef(6));
    CHECK(graph_choose(&table, &graph, 10, 0.81f, &choice) && choice.stretch <= 0);
    CHECK(choice.ef > graph_rung_ef(6) && choice.ef <= graph_rung_ef(7));
    CHECK(choice.recall > 0.81f && choice.recall < 0.86f && choice.hops > 96);
    CHECK(!graph_choose(&table, &graph, 10, 0.95f, &choice));
    /* Fewer queries, queries that the graph knew, and more varied ones ask for more margin. */
    CHECK(graph_choose(&table, &graph, 10, 0.835f, &choice));
    const uint32_t ef = choice.ef;
    table.queries[0] = 64;
    CHECK(!graph_choose(&table, &graph, 10, 0.835f, &choice) || choice.ef > ef);
    table.queries[0] = 200;
    table.spread[0][GRAPH_WALK_EDGES][0][7] = 200;
    CHECK(!graph_choose(&table, &graph, 10, 0.835f, &choice) || choice.ef > ef);
    table.spread[0][GRAPH_WALK_EDGES][0][7] = 32;
    table.held_out = 2;
    CHECK(!graph_choose(&table, &graph, 10, 0.835f, &choice) || choice.ef > ef);
    /* More hits need more, and no stretch that wasn't measured for them. */
    CHECK(graph_choose(&table, &graph, 10, 0.6f, &choice));
    const uint32_t ten = choice.ef;
    CHECK(graph_choose(&table, &graph, 50, 0.6f, &choice) && choice.ef > 3 * ten);
    CHECK(choice.stretch <= 0);
    /* Fewer ones are searched as ten are. */
    CHECK(graph_choose(&table, &graph, 1, 0.6f, &choice) && choice.ef == ten);
}

static void the_cheaper_walk_is_chosen_of_those_that_are_possible(void)
{
    struct graph_table table = {.linked = 1000, .queries = {200, 64}, .held_out = 3, .whole = 1};
    struct graph_choice choice = {0};
    struct graph graph = graph_of(true);
    const struct graph without = graph_of(false);
    ladder_fill(&table, 0, GRAPH_WALK_EDGES, 0, 0.3, 0.08, 1);
    ladder_fill(&table, 0, GRAPH_WALK_CODES, 0, 0.34, 0.08, 1);
    CHECK(graph_choose(&table, &graph, 10, 0.6f, &choice) && choice.walk == GRAPH_WALK_EDGES);
    CHECK(graph_choose(&table, &without, 10, 0.6f, &choice) && choice.walk == GRAPH_WALK_CODES);
    CHECK(choice.distances > 0);
    /* What edges don't reach goes by codes. */
    CHECK(graph_choose(&table, &graph, 10, 0.85f, &choice) && choice.walk == GRAPH_WALK_CODES);
    /* Long rows of edges cost more than a few codes. */
    graph.edge_size = 60000;
    CHECK(graph_choose(&table, &graph, 10, 0.6f, &choice) && choice.walk == GRAPH_WALK_CODES);
    graph_choose_ef(&table, &graph, 10, 40, &choice);
    CHECK(choice.walk == GRAPH_WALK_EDGES && choice.ef == 40 && choice.stretch <= 0);
    graph_choose_ef(&table, &without, 10, 40, &choice);
    CHECK(choice.walk == GRAPH_WALK_CODES);
}

static void an_effort_that_is_given_has_an_expectation_for_any_k(void)
{
    struct graph_table table = {.linked = 1000, .queries = {200, 64}, .held_out = 3, .whole = 1};
    struct graph_choice choice = {0};
    const struct graph graph = graph_of(true);
    ladder_fill(&table, 0, GRAPH_WALK_EDGES, 0, 0.3, 0.08, 1);
    graph_choose_ef(&table, &graph, 10, 40, &choice);
    CHECK(choice.recall > 0.5f && choice.recall < 0.6f && choice.hops == 40);
    /* As much for each hit as at k = 10: fewer would do. */
    graph_choose_ef(&table, &graph, 40, 160, &choice);
    CHECK(choice.recall > 0.5f && choice.recall < 0.6f && choice.hops == 160);
    graph_choose_ef(&table, &graph, 10, 10, &choice);
    CHECK(choice.recall > 0.2f && choice.recall < 0.3f);
    ladder_fill(&table, 1, GRAPH_WALK_EDGES, 0, 0.2, 0.08, 1);
    graph_choose_ef(&table, &graph, 100, 128, &choice);
    CHECK(choice.recall > 0.7f && choice.recall < 0.8f);
    graph_choose_ef(&table, &graph, 200, 256, &choice);
    CHECK(choice.recall > 0.7f && choice.recall < 0.8f);
    graph_choose_ef(&table, &graph, 40, 50, &choice);
    CHECK(choice.recall > 0.25f);
    table.linked = 0;
    graph_choose_ef(&table, &graph, 40, 50, &choice);
    CHECK(choice.recall <= 0 && choice.walk == GRAPH_WALK_EDGES);
}

/* ---- When it is measured ------------------------------------------------------------------ */

static bool has_walk(const struct graph_table *table, enum graph_walk by)
{
    return table->recall[0][by][0][4] != 0;
}

static void edges_that_come_later_are_measured_beside_codes(void)
{
    world_init(&w, vfs_real(), NULL, OMENDB_L2, 48, 16);
    world_open(&w);
    world_fill(&w, 0, 100, 100);
    world_work(&w);
    OK(vector_index_choose_profile(w.store, w.collection, 0, GRAPH_PROFILE_COMPACT, &err));
    world_fill(&w, 100, 2600, 2500);
    world_work(&w);
    const struct graph_index *graph = graph_index_of(w.collection, 0);
    const struct graph_table codes = graph->state.table;
    CHECK(!has_walk(&codes, GRAPH_WALK_EDGES) && has_walk(&codes, GRAPH_WALK_CODES));
    CHECK(codes.held_out == 1 << GRAPH_WALK_CODES && codes.whole == 1);
    OK(vector_index_choose_profile(w.store, w.collection, 0, GRAPH_PROFILE_FAST, &err));
    world_work(&w);
    const struct graph_table *both = &graph->state.table;
    CHECK(has_walk(both, GRAPH_WALK_EDGES) && both->held_out == codes.held_out);
    CHECK(memcmp(both->recall[0][GRAPH_WALK_CODES], codes.recall[0][GRAPH_WALK_CODES],
                 sizeof codes.recall[0][GRAPH_WALK_CODES]) == 0);
    /* And they serve without edges. */
    OK(vector_index_choose_profile(w.store, w.collection, 0, GRAPH_PROFILE_COMPACT, &err));
    world_work(&w);
    struct graph_choice choice;
    CHECK(graph_choose(&graph->state.table, &graph->graph, 10, 0.9f, &choice));
    CHECK(choice.walk == GRAPH_WALK_CODES && has_walk(&graph->state.table, GRAPH_WALK_EDGES));
    world_end(&w);
}

static void a_graph_is_measured_again_when_it_has_grown_by_a_quarter(void)
{
    world_init(&w, vfs_real(), NULL, OMENDB_L2, 24, 16);
    world_open(&w);
    world_fill(&w, 0, 2400, 2400);
    world_work(&w);
    const struct graph_index *graph = graph_index_of(w.collection, 0);
    const uint32_t measured = graph->state.table.linked;
    CHECK(measured > 1000 && graph->state.table.whole == 1);
    CHECK(!graph_calibrate_outdated(graph, graph->state.linked));
    CHECK(!graph_calibrate_outdated(graph, measured + measured / 4));
    CHECK(graph_calibrate_outdated(graph, measured + measured / 4 + 10));
    world_fill(&w, 2400, 2450, 50);
    world_work(&w);
    CHECK(graph->state.table.linked == measured);
    world_fill(&w, 2450, 4200, 1750);
    world_work(&w);
    CHECK(graph->state.table.linked > measured + measured / 4 && graph->state.table.whole == 1);
    world_end(&w);
}

static const struct test tests[] = {
    {"a_trace_tells_where_shorter_walks_end", a_trace_tells_where_shorter_walks_end},
    {"promised_recalls_are_reached", promised_recalls_are_reached},
    {"efforts_are_chosen_by_what_was_measured", efforts_are_chosen_by_what_was_measured},
    {"the_cheaper_walk_is_chosen_of_those_that_are_possible",
     the_cheaper_walk_is_chosen_of_those_that_are_possible},
    {"an_effort_that_is_given_has_an_expectation_for_any_k",
     an_effort_that_is_given_has_an_expectation_for_any_k},
    {"edges_that_come_later_are_measured_beside_codes",
     edges_that_come_later_are_measured_beside_codes},
    {"a_graph_is_measured_again_when_it_has_grown_by_a_quarter",
     a_graph_is_measured_again_when_it_has_grown_by_a_quarter},
    {NULL, NULL},
};

int main(int argc, char **argv)
{
    return test_main(tests, argc, argv);
}

#include "index/vector/graph_calibrate.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "index/vector/graph_choose.h"
#include "index/vector/graph_trace.h"
#include "index/vector/vector_index.h"
#include "index/vector/vector_search.h"
#include "store/store.h"

enum {
    CALIBRATE_LARGE_MIN = 20000,  /* Nodes from which on k = 100 is measured, */
    CALIBRATE_LARGE_QUERIES = 64, /* with so many: a third of the variance of k = 10. */
    CALIBRATE_BEGIN = 128,        /* ef of the first walk of a query, */
    CALIBRATE_LARGE_BEGIN = 512,  /* of one for k = 100, */
    CALIBRATE_MORE = 4,           /* rungs by which the next one is higher: four times. */
    CALIBRATE_THREADS_MAX = 64,
    CALIBRATE_KEEP = 32,        /* Candidates that are looked at where k = 100 isn't measured. */
    CALIBRATE_KEEP_MAX = 125,   /* vector_search_keep(100, ..) */
    CALIBRATE_WEIGHTS = 512,    /* Places for the nodes of so many, a power of two. */
    CALIBRATE_GROWN = 4,        /* A graph that has grown by 1/4 is measured again. */
    CALIBRATE_PRIOR_QUERIES = 8 /* With misses, that the usual spread counts as much as. */
};

#define CALIBRATE_SCALE 65535.0
#define CALIBRATE_SPREAD_SCALE 16.0

static const uint32_t calibrate_ks[GRAPH_CALIBRATED_KS] = {GRAPH_K_SMALL, GRAPH_K_LARGE};
/* Hits of a query are found or missed together. k = 10: 1 to 8, by the data; 100: 4 to 20. */
static const double calibrate_spreads[GRAPH_CALIBRATED_KS] = {2.5, 7};

/* ---- One query ------------------------------------------------------------------- */

struct calibrate_cell { /* Sums over queries. */
    uint64_t found, squares, missed;
    uint64_t hops, distances;
};

struct calibrate_sums {
    struct calibrate_cell cells[GRAPH_CALIBRATED_KS][GRAPH_WALKS][GRAPH_STRETCHES][GRAPH_RUNGS];
    uint64_t wanted[GRAPH_CALIBRATED_KS], queries[GRAPH_CALIBRATED_KS];
};

struct calibrate_weights { /* Hits that a node is good for; open addressing. */
    uint32_t nodes[CALIBRATE_WEIGHTS];
    uint16_t hits[CALIBRATE_WEIGHTS][GRAPH_CALIBRATED_KS];
};

struct calibrate_near {
    float distance;
    uint16_t hits[GRAPH_CALIBRATED_KS];
};

struct calibrate_lane {
    struct vector_workspace workspace;
    struct flat_hit hits[CALIBRATE_KEEP_MAX];
    struct graph_trace trace;
    struct calibrate_weights weights;
    struct calibrate_near near[CALIBRATE_KEEP_MAX];
    struct calibrate_sums sums;
    omendb_error error;
};

struct calibrate {
    struct graph_index *graph;
    struct store *store;
    const uint32_t *nodes;
    uint32_t count;
    bool large;
    uint32_t rungs; /* Those below it are measured. */
    bool walks[GRAPH_WALKS];
    bool (*stopping)(void *context);
    void *context;
    atomic_u32 next;
    struct calibrate_lane *lanes;
};

struct calibrate_passes {
    const struct graph_index *graph;
    uint32_t skip;
};

/* The exact answers: distance of the last hit that counts, and how many there are. */
struct calibrate_exact {
    float limit[GRAPH_CALIBRATED_KS];
    uint32_t wanted[GRAPH_CALIBRATED_KS]; /* 0: this k isn't measured. */
};

/* What the graph could find: documents of linked nodes other than the query's own. */
static omendb_status calibrate_passes(void *context, uint32_t slot, bool *out, omendb_error *err)
{
    const struct calibrate_passes *passes = context;
    struct collection *collection = passes->graph->collection;
    const uint32_t field = passes->graph->field;
    uint32_t node = SLOT_NONE, flags = 0;
    *out = false;
    TRY(collection_slot_node(collection, field, slot, &node, err));
    if (node == SLOT_NONE || node == passes->skip) return OMENDB_OK;
    TRY(collection_node_flags(collection, field, node, &flags, err));
    *out = (flags & NODE_LINKED) != 0;
    return OMENDB_OK;
}

static omendb_status calibrate_answer(struct calibrate *calibrate, struct calibrate_lane *lane,
                                      const struct flat_query *from, uint32_t skip, bool large,
                                      struct calibrate_exact *out, omendb_error *err)
{
    struct calibrate_passes passes = {.graph = calibrate->graph, .skip = skip};
    struct flat_query query = *from;
    uint32_t found = 0;
    query.k = large ? GRAPH_K_LARGE : GRAPH_K_SMALL;
    query.passes = calibrate_passes;
    query.passes_context = &passes;
    TRY(flat_search(&query, &lane->workspace.flat, lane->hits, &found, NULL, err));
    for (uint32_t k = 0; k < GRAPH_CALIBRATED_KS; k++) {
        const uint32_t most = k == 0 || large ? calibrate_ks[k] : 0;
        out->wanted[k] = found < most ? found : most;
        if (out->wanted[k] != 0) out->limit[k] = lane->hits[out->wanted[k] - 1].distance;
    }
    return OMENDB_OK;
}

static uint32_t calibrate_weight_place(const struct calibrate_weights *weights, uint32_t node)
{
    uint32_t at = (node * UINT32_C(2654435769)) >> 16 & (CALIBRATE_WEIGHTS - 1);
    while (weights->nodes[at] != GRAPH_NONE && weights->nodes[at] != node)
        at = (at + 1) & (CALIBRATE_WEIGHTS - 1);
    return at;
}

static void calibrate_weigh(struct calibrate_lane *lane, uint32_t found,
                            const struct calibrate_exact *exact)
{
    struct calibrate_weights *weights = &lane->weights;
    for (uint32_t i = 0; i < CALIBRATE_WEIGHTS; i++) weights->nodes[i] = GRAPH_NONE;
    memset(weights->hits, 0, sizeof weights->hits);
    for (uint32_t i = 0; i < found; i++) {
        const uint32_t at = calibrate_weight_place(weights, lane->hits[i].node);
        weights->nodes[at] = lane->hits[i].node;
        for (uint32_t k = 0; k < GRAPH_CALIBRATED_KS; k++) {
            if (exact->wanted[k] != 0 && lane->hits[i].distance <= exact->limit[k])
                weights->hits[at][k]++;
        }
    }
}

/* ---- What a trace tells ------------------------------------------------------------ */

/* Where each walk ends: before that hop. */
struct calibrate_ends {
    uint32_t rungs[GRAPH_RUNGS];
    uint32_t stretches[GRAPH_CALIBRATED_KS][GRAPH_STRETCHES];
};

static void calibrate_ends(const struct graph_trace *trace, bool stretches,
                           struct calibrate_ends *out)
{
    uint32_t rung = 0, stretch[GRAPH_CALIBRATED_KS];
    for (uint32_t i = 0; i < GRAPH_RUNGS; i++) out->rungs[i] = trace->hop_count;
    for (uint32_t k = 0; k < GRAPH_CALIBRATED_KS; k++) {
        for (uint32_t i = 0; i < GRAPH_STRETCHES; i++) out->stretches[k][i] = trace->hop_count;
        stretch[k] = stretches ? 1 : GRAPH_STRETCHES;
    }
    for (uint32_t i = 0; i < trace->hop_count; i++) {
        const struct graph_trace_hop *hop = &trace->hops[i];
        while (rung < GRAPH_RUNGS && hop->rank >= graph_rung_ef(rung)) out->rungs[rung++] = i;
        for (uint32_t k = 0; k < GRAPH_CALIBRATED_KS; k++) {
            while (stretch[k] < GRAPH_STRETCHES &&
                   hop->distance > graph_rung_stretch(stretch[k]) * hop->near[k])
                out->stretches[k][stretch[k]++] = i;
        }
    }
}

/* The nearest ones that were met, as a walk would keep them. */
static void calibrate_meet(struct calibrate_near *near, uint32_t *count, uint32_t keep,
                           const struct calibrate_weights *weights,
                           const struct graph_candidate *met)
{
    if (*count == keep && !(met->distance < near[keep - 1].distance)) return;
    const uint32_t from = calibrate_weight_place(weights, met->node);
    uint32_t at = *count < keep ? (*count)++ : keep - 1;
    for (; at > 0 && near[at - 1].distance > met->distance; at--) near[at] = near[at - 1];
    near[at].distance = met->distance;
    for (uint32_t k = 0; k < GRAPH_CALIBRATED_KS; k++) near[at].hits[k] = weights->hits[from][k];
}

struct calibrate_walk {
    enum graph_walk walk;
    uint32_t rung, skip;
    const struct calibrate_exact *exact;
    struct calibrate_ends ends;
    uint32_t keep;
    /* Replayed up to hop `at`. */
    uint32_t at, met, near_count;
};

/* Hits among what is kept by a walk that ends before hop `end`; ends only grow. */
static void calibrate_replay(const struct graph_index *graph, struct calibrate_lane *lane,
                             struct calibrate_walk *walk, uint32_t end,
                             uint32_t hits[GRAPH_CALIBRATED_KS])
{
    const struct graph_trace *trace = &lane->trace;
    /* By edges the last hop is looked at while the next one is chosen. */
    const uint32_t last = walk->walk == GRAPH_WALK_EDGES ? end + 1 : end;
    const uint32_t met = last < trace->hop_count ? trace->hops[last].found : trace->found_count;
    for (; walk->met < met; walk->met++) {
        const struct graph_candidate *candidate = &trace->found[walk->met];
        if (candidate->node == walk->skip || graph_is_dead(&graph->graph, candidate->node))
            continue;
        calibrate_meet(lane->near, &walk->near_count, walk->keep, &lane->weights, candidate);
    }
    for (uint32_t k = 0; k < GRAPH_CALIBRATED_KS; k++) {
        const uint32_t most = vector_search_keep(calibrate_ks[k], GRAPH_EFFORT_MAX);
        hits[k] = 0;
        for (uint32_t i = 0; i < walk->near_count && i < most; i++)
            hits[k] += lane->near[i].hits[k];
        if (hits[k] > walk->exact->wanted[k]) hits[k] = walk->exact->wanted[k];
    }
}

enum { CALIBRATE_POINTS = GRAPH_RUNGS + GRAPH_CALIBRATED_KS * GRAPH_STRETCHES };

struct calibrate_points {
    uint32_t count;
    uint32_t ends[CALIBRATE_POINTS];
    uint32_t hits[CALIBRATE_POINTS][GRAPH_CALIBRATED_KS];
};

static void calibrate_point_add(struct calibrate_points *points, uint32_t end)
{
    uint32_t at = points->count;
    for (uint32_t i = 0; i < points->count; i++) {
        if (points->ends[i] == end) return;
    }
    points->count++;
    for (; at > 0 && points->ends[at - 1] > end; at--) points->ends[at] = points->ends[at - 1];
    points->ends[at] = end;
}

static uint32_t calibrate_point_hits(const struct calibrate_points *points, uint32_t end,
                                     uint32_t k)
{
    uint32_t at = 0;
    while (points->ends[at] != end) at++;
    return points->hits[at][k];
}

/* Adds one query to the cells of one k and stretch. Beyond the rung that was walked nothing more is
 * found, and a walk that no stretch had ended goes on as before. */
static void calibrate_add(struct calibrate_lane *lane, const struct calibrate_walk *walk,
                          const struct calibrate_points *points, uint32_t k, uint32_t stretch,
                          uint32_t rungs)
{
    const struct graph_trace *trace = &lane->trace;
    struct calibrate_cell *cells = lane->sums.cells[k][walk->walk][stretch];
    const uint32_t wanted = walk->exact->wanted[k], bound = walk->ends.stretches[k][stretch];
    for (uint32_t rung = 0; rung < rungs; rung++) {
        const uint32_t own = walk->ends.rungs[rung < walk->rung ? rung : walk->rung];
        const uint32_t end = own < bound ? own : bound;
        const uint32_t found = calibrate_point_hits(points, end, k);
        uint64_t hops = end, distances = 0;
        if (walk->walk == GRAPH_WALK_CODES && trace->hop_count != 0)
            distances = trace->hops[end < trace->hop_count ? end : trace->hop_count - 1].distances;
        if (rung > walk->rung && own < bound) {
            hops = hops * graph_rung_ef(rung) / graph_rung_ef(walk->rung);
            distances = distances * graph_rung_ef(rung) / graph_rung_ef(walk->rung);
        }
        cells[rung].found += found;
        cells[rung].squares += (uint64_t)found * found;
        cells[rung].missed += found < wanted;
        cells[rung].hops += hops;
        cells[rung].distances += distances;
    }
}

/* Were all found (or of 100 all but one) for the largest k? Then they are with more effort too. */
static bool calibrate_enough(const struct calibrate_exact *exact,
                             const uint32_t hits[GRAPH_CALIBRATED_KS])
{
    const bool large = exact->wanted[1] != 0;
    return hits[0] == exact->wanted[0] && (!large || hits[1] + 1 >= exact->wanted[1]);
}

static uint32_t calibrate_rung_from(uint32_t ef)
{
    uint32_t rung = 0;
    while (rung + 1 < GRAPH_RUNGS && graph_rung_ef(rung) < ef) rung++;
    return rung;
}

static omendb_status calibrate_walk(struct calibrate *calibrate, struct calibrate_lane *lane,
                                    const struct flat_query *from, struct calibrate_walk *walk,
                                    omendb_error *err)
{
    struct graph_index *graph = calibrate->graph;
    const struct calibrate_exact *exact = walk->exact;
    const bool large = exact->wanted[1] != 0;
    struct flat_query query = *from;
    uint32_t hits[GRAPH_CALIBRATED_KS];
    walk->rung = calibrate_rung_from(large ? CALIBRATE_LARGE_BEGIN : CALIBRATE_BEGIN);
    for (;;) {
        struct vector_stats stats = {0};
        uint32_t found = 0;
        if (walk->rung >= calibrate->rungs) walk->rung = calibrate->rungs - 1;
        const uint32_t ef = graph_rung_ef(walk->rung);
        walk->keep = large ? CALIBRATE_KEEP_MAX : CALIBRATE_KEEP;
        if (walk->keep > ef) walk->keep = ef;
        query.k = walk->keep;
        lane->trace.hop_count = lane->trace.found_count = 0;
        for (uint32_t k = 0; k < GRAPH_CALIBRATED_KS; k++)
            lane->trace.near[k] = calibrate_ks[k] <= walk->keep ? calibrate_ks[k] : 0;
        const struct graph_effort effort = {.walk = walk->walk,
                                            .ef = ef,
                                            .keep = walk->keep,
                                            .near = GRAPH_K_SMALL,
                                            .trace = &lane->trace};
        TRY(vector_search_walk(graph, &query, &effort, walk->skip, &lane->workspace, lane->hits,
                               &found, &stats, err));
        calibrate_weigh(lane, found, exact);
        calibrate_ends(&lane->trace, !graph->graph.inner_product, &walk->ends);
        struct calibrate_points points = {0};
        for (uint32_t i = 0; i <= walk->rung; i++)
            calibrate_point_add(&points, walk->ends.rungs[i]);
        for (uint32_t k = 0; k < GRAPH_CALIBRATED_KS; k++)
            for (uint32_t i = 0; i < GRAPH_STRETCHES; i++)
                calibrate_point_add(&points, walk->ends.stretches[k][i]);
        walk->at = walk->met = walk->near_count = 0;
        for (uint32_t i = 0; i < points.count; i++)
            calibrate_replay(graph, lane, walk, points.ends[i], points.hits[i]);
        for (uint32_t k = 0; k < GRAPH_CALIBRATED_KS; k++)
            hits[k] = calibrate_point_hits(&points, walk->ends.rungs[walk->rung], k);
        if (!calibrate_enough(exact, hits) && walk->rung + 1 < calibrate->rungs) {
            walk->rung += CALIBRATE_MORE;
            continue;
        }
        for (uint32_t k = 0; k < GRAPH_CALIBRATED_KS; k++) {
            for (uint32_t i = 0; i < GRAPH_STRETCHES && exact->wanted[k] != 0; i++)
                calibrate_add(lane, walk, &points, k, i, calibrate->rungs);
        }
        return OMENDB_OK;
    }
}

/* ---- All queries ------------------------------------------------------------------- */

/* One query, inside a snapshot. */
static omendb_status calibrate_query(struct calibrate *calibrate, struct calibrate_lane *lane,
                                     uint32_t at, uint64_t sequence, omendb_error *err)
{
    struct graph_index *graph = calibrate->graph;
    const uint32_t node = calibrate->nodes[at];
    struct flat_query query = {
        .collection = graph->collection, .field = graph->field, .sequence = sequence};
    struct calibrate_exact exact = {0};
    uint32_t flags = 0;
    /* The node may have been freed since it was chosen, its vector gone. */
    TRY(collection_node_flags(graph->collection, graph->field, node, &flags, err));
    if ((flags & NODE_FREE) != 0) return OMENDB_OK;
    TRY(collection_vector(graph->collection, graph->field, node, &query.vector, err));
    TRY(calibrate_answer(calibrate, lane, &query, node,
                         calibrate->large && at < CALIBRATE_LARGE_QUERIES, &exact, err));
    if (exact.wanted[0] == 0) return OMENDB_OK;
    for (uint32_t i = 0; i < GRAPH_WALKS; i++) {
        struct calibrate_walk walk = {.walk = (enum graph_walk)i, .skip = node, .exact = &exact};
        if (calibrate->walks[i]) TRY(calibrate_walk(calibrate, lane, &query, &walk, err));
    }
    for (uint32_t k = 0; k < GRAPH_CALIBRATED_KS; k++) {
        lane->sums.wanted[k] += exact.wanted[k];
        lane->sums.queries[k] += exact.wanted[k] != 0;
    }
    return OMENDB_OK;
}

static void calibrate_lane_run(void *context, uint32_t index)
{
    struct calibrate *calibrate = context;
    struct calibrate_lane *lane = &calibrate->lanes[index];
    for (;;) {
        const uint32_t at = atomic_add_u32(&calibrate->next, 1);
        struct snapshot snapshot;
        if (at >= calibrate->count || lane->error.status != OMENDB_OK) return;
        if (calibrate->stopping(calibrate->context)) {
            (void)fail(&lane->error, OMENDB_ERR_INTERRUPTED, "graph: calibration");
            return;
        }
        /* A snapshot each: a long one would hold back reuse. */
        if (store_enter(calibrate->store, &snapshot, &lane->error) != OMENDB_OK) return;
        omendb_error error = {0};
        if (calibrate_query(calibrate, lane, at, snapshot.sequence, &error) != OMENDB_OK)
            lane->error = error;
        store_leave(&snapshot);
    }
}

/* Rungs up to the first that reads half as much as a scan: walks beyond a quarter aren't taken
 * (vector_search.c). */
static uint32_t calibrate_rungs(const struct graph_index *graph)
{
    const double scan = (double)flat_estimate_bytes(graph->collection, graph->field);
    uint32_t rung = calibrate_rung_from(CALIBRATE_BEGIN);
    for (; rung + 1 < GRAPH_RUNGS; rung++) {
        const uint32_t ef = graph_rung_ef(rung);
        if (2 * (double)graph_walk_bytes(&graph->graph, GRAPH_WALK_CODES, ef, 8 * ef) > scan) break;
    }
    return rung + 1;
}

static void calibrate_sum(struct calibrate_sums *sums, const struct calibrate_sums *more)
{
    struct calibrate_cell *cells = &sums->cells[0][0][0][0];
    const struct calibrate_cell *from = &more->cells[0][0][0][0];
    for (size_t i = 0; i < sizeof sums->cells / sizeof *cells; i++) {
        cells[i].found += from[i].found;
        cells[i].squares += from[i].squares;
        cells[i].missed += from[i].missed;
        cells[i].hops += from[i].hops;
        cells[i].distances += from[i].distances;
    }
    for (uint32_t k = 0; k < GRAPH_CALIBRATED_KS; k++) {
        sums->wanted[k] += more->wanted[k];
        sums->queries[k] += more->queries[k];
    }
}

static uint16_t calibrate_mean(uint64_t sum, uint64_t count)
{
    const double mean = (double)sum / (double)count + 0.5;
    return mean < UINT16_MAX ? (uint16_t)mean : UINT16_MAX;
}

/* The variance of a query's hits over that of independent ones; what few queries with misses say of
 * it is drawn towards what is usual. At least 1. */
static uint8_t calibrate_spread(const struct calibrate_cell *cell, double queries, double wanted,
                                uint32_t k_index)
{
    const double recall = (double)cell->found / wanted, mean = (double)cell->found / queries;
    const double variance = (double)cell->squares / queries - mean * mean;
    const double independent = wanted / queries * recall * (1 - recall);
    const double missed = (double)cell->missed;
    const double measured = independent > 0 ? variance / independent : 0;
    const double spread = (missed * measured +
                           CALIBRATE_PRIOR_QUERIES * calibrate_spreads[k_index]) /
                          (missed + CALIBRATE_PRIOR_QUERIES);
    const double stored = ceil((spread > 1 ? spread : 1) * CALIBRATE_SPREAD_SCALE);
    return stored < UINT8_MAX ? (uint8_t)stored : UINT8_MAX;
}

static void calibrate_store(const struct calibrate *calibrate, const struct calibrate_sums *sums,
                            uint32_t k, uint32_t walk, uint32_t stretch, struct graph_table *out)
{
    for (uint32_t rung = 0; rung < calibrate->rungs; rung++) {
        const struct calibrate_cell *cell = &sums->cells[k][walk][stretch][rung];
        /* A shorter pool keeps less than was counted. */
        if (graph_rung_ef(rung) < vector_search_keep(calibrate_ks[k], GRAPH_EFFORT_MAX)) continue;
        const double recall = (double)cell->found / (double)sums->wanted[k];
        const double stored = recall * CALIBRATE_SCALE;
        out->recall[k][walk][stretch][rung] = stored >= 1 ? (uint16_t)stored : 1;
        out->hops[k][walk][stretch][rung] = calibrate_mean(cell->hops, sums->queries[k]);
        out->spread[k][walk][stretch][rung] = calibrate_spread(cell, (double)sums->queries[k],
                                                               (double)sums->wanted[k], k);
        if (walk == GRAPH_WALK_CODES)
            out->distances[k][stretch][rung] = calibrate_mean(cell->distances, sums->queries[k]);
    }
}

static omendb_status calibrate_run(struct calibrate *calibrate, uint32_t threads,
                                   struct graph_table *out, omendb_error *err)
{
    struct calibrate_sums *sums = &calibrate->lanes[0].sums;
    thread_parallel(threads, threads, calibrate_lane_run, calibrate);
    for (uint32_t i = 0; i < threads; i++) {
        if (calibrate->lanes[i].error.status != OMENDB_OK) {
            if (err != NULL) *err = calibrate->lanes[i].error;
            return calibrate->lanes[i].error.status;
        }
        if (i != 0) calibrate_sum(sums, &calibrate->lanes[i].sums);
    }
    for (uint32_t k = 0; k < GRAPH_CALIBRATED_KS; k++) {
        out->queries[k] = (uint16_t)sums->queries[k];
        for (uint32_t walk = 0; walk < GRAPH_WALKS && sums->queries[k] != 0; walk++) {
            for (uint32_t i = 0; i < GRAPH_STRETCHES && calibrate->walks[walk]; i++) {
                if (i != 0 && calibrate->graph->graph.inner_product) break;
                calibrate_store(calibrate, sums, k, walk, i, out);
            }
        }
    }
    return OMENDB_OK;
}

static bool calibrate_has_walk(const struct graph_table *table, enum graph_walk walk)
{
    for (uint32_t rung = 0; rung < GRAPH_RUNGS; rung++) {
        if (table->recall[0][walk][0][rung] != 0) return true;
    }
    return false;
}

/* Is what was measured still true? */
static bool calibrate_valid(const struct graph_table *table, uint32_t linked)
{
    return table->linked != 0 && table->whole != 0 &&
           linked - linked / (CALIBRATE_GROWN + 1) <= table->linked;
}

/* Is all that is missing walks by edges, made after the rest was measured? */
static bool calibrate_edges_alone(const struct graph_index *graph, uint32_t linked)
{
    const struct graph_table *table = &graph->state.table;
    return calibrate_valid(table, linked) && !calibrate_has_walk(table, GRAPH_WALK_EDGES) &&
           atomic_load_acquire_u32(&graph->graph.edges_ready) != 0;
}

bool graph_calibrate_outdated(const struct graph_index *graph, uint32_t linked)
{
    return !calibrate_valid(&graph->state.table, linked) || calibrate_edges_alone(graph, linked);
}

/* Ladders by edges beside those by codes, which were measured with queries that nobody knew. */
static void calibrate_join(struct graph_table *table, const struct graph_table *more)
{
    for (uint32_t k = 0; k < GRAPH_CALIBRATED_KS; k++) {
        if (more->queries[k] == 0) continue;
        if (more->queries[k] < table->queries[k]) table->queries[k] = more->queries[k];
        memcpy(table->recall[k][GRAPH_WALK_EDGES], more->recall[k][GRAPH_WALK_EDGES],
               sizeof table->recall[k][GRAPH_WALK_EDGES]);
        memcpy(table->hops[k][GRAPH_WALK_EDGES], more->hops[k][GRAPH_WALK_EDGES],
               sizeof table->hops[k][GRAPH_WALK_EDGES]);
        memcpy(table->spread[k][GRAPH_WALK_EDGES], more->spread[k][GRAPH_WALK_EDGES],
               sizeof table->spread[k][GRAPH_WALK_EDGES]);
    }
    table->held_out |= more->held_out;
}

omendb_status graph_calibrate(struct graph_index *graph, struct store *store, const uint32_t *nodes,
                              uint32_t count, bool held_out, bool whole, uint32_t threads,
                              bool (*stopping)(void *context), void *context,
                              struct graph_table *out, omendb_error *err)
{
    struct calibrate calibrate = {.graph = graph,
                                  .store = store,
                                  .nodes = nodes,
                                  .count = count,
                                  .large = whole && graph->state.linked >= CALIBRATE_LARGE_MIN,
                                  .rungs = calibrate_rungs(graph),
                                  .stopping = stopping,
                                  .context = context};
    const uint32_t linked = graph->state.linked;
    struct graph_table table = {.linked = linked, .whole = whole};
    const bool join = whole && calibrate_edges_alone(graph, linked);
    calibrate.walks[GRAPH_WALK_CODES] = !join;
    calibrate.walks[GRAPH_WALK_EDGES] = atomic_load_acquire_u32(&graph->graph.edges_ready) != 0;
    for (uint32_t walk = 0; walk < GRAPH_WALKS; walk++)
        table.held_out |= (uint8_t)(held_out && calibrate.walks[walk] ? 1U << walk : 0);
    if (!whole && count > GRAPH_CALIBRATE_QUERIES_FEW)
        calibrate.count = GRAPH_CALIBRATE_QUERIES_FEW;
    if (threads > CALIBRATE_THREADS_MAX) threads = CALIBRATE_THREADS_MAX;
    calibrate.lanes = alloc_zeroed(threads, sizeof *calibrate.lanes);
    if (calibrate.lanes == NULL)
        return fail(err, OMENDB_ERR_NOMEM, "graph: calibration with %u queries", count);
    const omendb_status status = calibrate_run(&calibrate, threads, &table, err);
    for (uint32_t i = 0; i < threads; i++) vector_workspace_deinit(&calibrate.lanes[i].workspace);
    alloc_free(calibrate.lanes);
    if (status != OMENDB_OK) return status;
    *out = join ? graph->state.table : table;
    if (join) calibrate_join(out, &table);
    return OMENDB_OK;
}

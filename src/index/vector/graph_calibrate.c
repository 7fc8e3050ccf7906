#include "index/vector/graph_calibrate.h"

#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "index/vector/vector_index.h"
#include "index/vector/vector_search.h"
#include "store/store.h"

enum {
    CALIBRATE_K_SMALL = 10,
    CALIBRATE_K_LARGE = 100,
    CALIBRATE_LARGE_MIN = 20000, /* Nodes from which on k = 100 is measured. */
    CALIBRATE_THREADS_MAX = 64
};

#define CALIBRATE_SCALE 65535.0
#define CALIBRATE_ENOUGH 0.999       /* More effort than reaches it isn't measured. */
#define CALIBRATE_GAIN 0.001         /* Nor a stretch of which two rungs brought no more. */
#define CALIBRATE_MARGIN 0.002       /* Vectors that come later lie a little otherwise. */
#define CALIBRATE_MARGIN_LINKED 0.01 /* What knowing the queries flatters by, at least. */
#define CALIBRATE_SPREAD 2.5         /* Hits of a query are found or missed together: measured. */
#define CALIBRATE_SURE 1.64          /* Standard errors: 19 of 20 calibrations keep the promise. */

static const uint16_t calibrate_rungs[GRAPH_RUNGS] = {12,  16,  24,  32,  48,  64,   96,   128,
                                                      192, 256, 384, 512, 768, 1024, 1536, 2048};
static const float calibrate_stretches[GRAPH_STRETCHES] = {0, 1.05f, 1.1f, 1.2f, 1.35f};
static const uint32_t calibrate_ks[GRAPH_CALIBRATED_KS] = {CALIBRATE_K_SMALL, CALIBRATE_K_LARGE};

uint32_t graph_rung_ef(uint32_t rung)
{
    return calibrate_rungs[rung];
}

float graph_rung_stretch(uint32_t stretch)
{
    return calibrate_stretches[stretch];
}

/* ---- Measuring ------------------------------------------------------------------- */

struct calibrate_lane {
    struct vector_workspace workspace;
    struct flat_hit hits[CALIBRATE_K_LARGE];
    uint64_t found, wanted; /* Of the pair being measured. */
    uint64_t hops, walks;
    omendb_error error;
};

struct calibrate {
    struct graph_index *graph;
    struct store *store;
    const uint32_t *nodes;
    uint32_t count;
    uint32_t k_max;
    bool (*stopping)(void *context);
    void *context;
    float *exact;          /* [count][k_max] distances, best first */
    uint32_t *exact_count; /* [count] */
    struct graph_effort effort;
    bool walking; /* Else the exact answers are taken. */
    atomic_u32 next;
    struct calibrate_lane *lanes;
};

struct calibrate_passes {
    const struct graph_index *graph;
    uint32_t skip;
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

/* One query, inside a snapshot. */
static omendb_status calibrate_query(struct calibrate *calibrate, struct calibrate_lane *lane,
                                     uint32_t at, uint64_t sequence, omendb_error *err)
{
    struct graph_index *graph = calibrate->graph;
    const uint32_t k = calibrate->walking ? calibrate->effort.near : calibrate->k_max;
    struct calibrate_passes passes = {.graph = graph, .skip = calibrate->nodes[at]};
    struct flat_query query = {
        .collection = graph->collection, .field = graph->field, .k = k, .sequence = sequence};
    uint32_t flags = 0, found = 0;
    float *exact = calibrate->exact + (size_t)at * calibrate->k_max;
    /* The node may have been freed since it was chosen, its vector gone. */
    TRY(collection_node_flags(graph->collection, graph->field, passes.skip, &flags, err));
    if ((flags & NODE_FREE) != 0) return OMENDB_OK;
    TRY(collection_vector(graph->collection, graph->field, passes.skip, &query.vector, err));
    if (!calibrate->walking) {
        query.passes = calibrate_passes;
        query.passes_context = &passes;
        TRY(flat_search(&query, &lane->workspace.flat, lane->hits, &found, NULL, err));
        for (uint32_t i = 0; i < found; i++) exact[i] = lane->hits[i].distance;
        calibrate->exact_count[at] = found;
        return OMENDB_OK;
    }
    const uint32_t wanted = calibrate->exact_count[at] < k ? calibrate->exact_count[at] : k;
    struct vector_stats stats = {0};
    if (wanted == 0) return OMENDB_OK;
    TRY(vector_search_walk(graph, &query, &calibrate->effort, passes.skip, &lane->workspace,
                           lane->hits, &found, &stats, err));
    if (found > wanted) found = wanted;
    lane->wanted += wanted;
    for (uint32_t i = 0; i < found; i++) lane->found += lane->hits[i].distance <= exact[wanted - 1];
    lane->hops += stats.walk.hops;
    lane->walks++;
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

static omendb_status calibrate_all(struct calibrate *calibrate, uint32_t threads, omendb_error *err)
{
    atomic_store_relaxed_u32(&calibrate->next, 0);
    for (uint32_t i = 0; i < threads; i++) {
        struct calibrate_lane *lane = &calibrate->lanes[i];
        lane->found = lane->wanted = lane->hops = lane->walks = 0;
        lane->error = (omendb_error){0};
    }
    thread_parallel(threads, threads, calibrate_lane_run, calibrate);
    for (uint32_t i = 0; i < threads; i++) {
        if (calibrate->lanes[i].error.status == OMENDB_OK) continue;
        if (err != NULL) *err = calibrate->lanes[i].error;
        return calibrate->lanes[i].error.status;
    }
    return OMENDB_OK;
}

/* Bytes that one hop may read; a ladder ends where walks read more than a scan. */
static double calibrate_hops_max(const struct graph_index *graph)
{
    const double hop = GRAPH_LINKS_SIZE + (double)graph->index->codes.stride +
                       (double)graph->graph.edge_size;
    return (double)flat_estimate_bytes(graph->collection, graph->field) / hop;
}

static omendb_status calibrate_ladder(struct calibrate *calibrate, uint32_t k_index,
                                      uint32_t stretch, uint32_t threads, struct graph_table *out,
                                      omendb_error *err)
{
    const uint32_t k = calibrate_ks[k_index];
    const double hops_max = calibrate_hops_max(calibrate->graph);
    double before = 0;
    uint32_t idle = 0;
    const bool edges = atomic_load_acquire_u32(&calibrate->graph->graph.edges_ready) != 0;
    calibrate->walking = true;
    for (uint32_t rung = 0; rung < GRAPH_RUNGS; rung++) {
        if (calibrate_rungs[rung] < k) continue;
        calibrate->effort = (struct graph_effort){
            .walk = edges ? GRAPH_WALK_EDGES : GRAPH_WALK_CODES,
            .ef = calibrate_rungs[rung],
            .keep = vector_search_keep(k, calibrate_rungs[rung]),
            .stretch = calibrate_stretches[stretch],
            .near = k};
        TRY(calibrate_all(calibrate, threads, err));
        uint64_t found = 0, wanted = 0, hops = 0, walks = 0;
        for (uint32_t i = 0; i < threads; i++) {
            found += calibrate->lanes[i].found;
            wanted += calibrate->lanes[i].wanted;
            hops += calibrate->lanes[i].hops;
            walks += calibrate->lanes[i].walks;
        }
        if (wanted == 0 || walks == 0) return OMENDB_OK;
        const double recall = (double)found / (double)wanted;
        const double each = (double)hops / (double)walks;
        const double stored = recall * CALIBRATE_SCALE;
        out->recall[k_index][stretch][rung] = stored >= 1 ? (uint16_t)stored : 1;
        out->hops[k_index][stretch][rung] = each < UINT16_MAX ? (uint16_t)(each + 0.5) : UINT16_MAX;
        idle = recall < before + CALIBRATE_GAIN ? idle + 1 : 0;
        before = recall;
        if (recall >= CALIBRATE_ENOUGH || each > hops_max || (stretch != 0 && idle >= 2)) break;
    }
    return OMENDB_OK;
}

static omendb_status calibrate_memory(struct calibrate *calibrate, uint32_t threads,
                                      omendb_error *err)
{
    calibrate->exact = alloc_zeroed((size_t)calibrate->count * calibrate->k_max, sizeof(float));
    calibrate->exact_count = alloc_zeroed(calibrate->count, sizeof(uint32_t));
    calibrate->lanes = alloc_zeroed(threads, sizeof *calibrate->lanes);
    if (calibrate->exact == NULL || calibrate->exact_count == NULL || calibrate->lanes == NULL)
        return fail(err, OMENDB_ERR_NOMEM, "graph: calibration with %u queries", calibrate->count);
    return OMENDB_OK;
}

omendb_status graph_calibrate(struct graph_index *graph, struct store *store, const uint32_t *nodes,
                              uint32_t count, bool held_out, uint32_t threads,
                              bool (*stopping)(void *context), void *context,
                              struct graph_table *out, omendb_error *err)
{
    const bool large = graph->state.linked >= CALIBRATE_LARGE_MIN;
    struct calibrate calibrate = {.graph = graph,
                                  .store = store,
                                  .nodes = nodes,
                                  .count = count,
                                  .k_max = large ? CALIBRATE_K_LARGE : CALIBRATE_K_SMALL,
                                  .stopping = stopping,
                                  .context = context};
    struct graph_table table = {
        .linked = graph->state.linked, .queries = (uint16_t)count, .held_out = held_out};
    if (threads > CALIBRATE_THREADS_MAX) threads = CALIBRATE_THREADS_MAX;
    omendb_status status = calibrate_memory(&calibrate, threads, err);
    if (status == OMENDB_OK) status = calibrate_all(&calibrate, threads, err);
    const uint32_t stretches = atomic_load_acquire_u32(&graph->graph.edges_ready) != 0
                                   ? GRAPH_STRETCHES
                                   : 1;
    for (uint32_t k = 0; k < (large ? 2u : 1u); k++) {
        for (uint32_t i = 0; status == OMENDB_OK && i < stretches; i++)
            status = calibrate_ladder(&calibrate, k, i, threads, &table, err);
    }
    for (uint32_t i = 0; calibrate.lanes != NULL && i < threads; i++)
        vector_workspace_deinit(&calibrate.lanes[i].workspace);
    alloc_free(calibrate.lanes);
    alloc_free(calibrate.exact);
    alloc_free(calibrate.exact_count);
    if (status == OMENDB_OK) *out = table;
    return status;
}

/* ---- Choosing -------------------------------------------------------------------- */

/* The least effort of one ladder that reaches `recall`. */
static bool calibrate_climb(const struct graph_table *table, uint32_t k_index, uint32_t stretch,
                            double recall, struct graph_choice *out)
{
    const uint16_t *recalls = table->recall[k_index][stretch];
    const uint16_t *hops = table->hops[k_index][stretch];
    uint32_t before = GRAPH_RUNGS;
    for (uint32_t rung = 0; rung < GRAPH_RUNGS; rung++) {
        if (recalls[rung] == 0) continue;
        const double at = (double)recalls[rung] / CALIBRATE_SCALE;
        if (at < recall) {
            before = rung;
            continue;
        }
        double part = 1;
        uint32_t low = rung;
        if (before != GRAPH_RUNGS && recalls[rung] > recalls[before]) {
            const double below = (double)recalls[before] / CALIBRATE_SCALE;
            low = before;
            part = (recall - below) / (at - below);
        }
        const double ef_low = calibrate_rungs[low], ef = calibrate_rungs[rung];
        const double hops_low = hops[low], hops_high = hops[rung];
        out->ef = (uint32_t)ceil(ef_low + (ef - ef_low) * part);
        out->hops = (uint32_t)ceil(hops_low + (hops_high - hops_low) * part);
        out->stretch = calibrate_stretches[stretch];
        out->recall = (float)(low == rung ? at : recall);
        return true;
    }
    return false;
}

static bool calibrate_cheapest(const struct graph_table *table, uint32_t k_index, double recall,
                               bool any_stretch, struct graph_choice *out)
{
    bool found = false;
    for (uint32_t i = 0; i < (any_stretch ? (uint32_t)GRAPH_STRETCHES : 1u); i++) {
        struct graph_choice choice = {0};
        if (!calibrate_climb(table, k_index, i, recall, &choice)) continue;
        if (found && choice.hops >= out->hops) continue;
        *out = choice;
        found = true;
    }
    return found;
}

static uint32_t calibrate_scaled(uint32_t value, double factor)
{
    const double scaled = (double)value * factor;
    return scaled < (double)UINT32_MAX ? (uint32_t)ceil(scaled) : UINT32_MAX;
}

/* What must be measured beyond a recall for it to hold: the measurement's own error first of all. */
static double calibrate_margin(const struct graph_table *table, double recall)
{
    const double hits = (double)(table->queries != 0 ? table->queries : 1) * CALIBRATE_K_SMALL;
    const double missed = recall < 1 ? 1 - recall : 0;
    const double margin = CALIBRATE_MARGIN +
                          CALIBRATE_SURE * sqrt(recall * missed * CALIBRATE_SPREAD / hits);
    return table->held_out != 0 ? margin : margin + CALIBRATE_MARGIN_LINKED;
}

bool graph_choose(const struct graph_table *table, uint32_t k, float recall,
                  struct graph_choice *out)
{
    struct graph_choice small = {0}, large = {0};
    if (table == NULL || table->linked == 0) return false;
    double wanted = (double)recall + calibrate_margin(table, (double)recall);
    /* Near 1 a margin can't be measured: what was found without one fault has to do. */
    if (wanted > CALIBRATE_ENOUGH)
        wanted = (double)recall > CALIBRATE_ENOUGH ? 1 : CALIBRATE_ENOUGH;
    const bool between = k > CALIBRATE_K_SMALL;
    if (!calibrate_cheapest(table, 0, wanted, !between, &small)) return false;
    *out = small;
    if (!between) return true;
    if (!calibrate_cheapest(table, 1, wanted, k >= CALIBRATE_K_LARGE, &large)) {
        if (table->recall[1][0][GRAPH_RUNGS - 1] != 0 || table->recall[1][0][7] != 0)
            return false; /* Measured, and out of reach. */
        const double factor = (double)k / CALIBRATE_K_SMALL;
        out->ef = calibrate_scaled(small.ef, factor);
        out->hops = calibrate_scaled(small.hops, factor);
        return true;
    }
    if (k >= CALIBRATE_K_LARGE) {
        const double factor = (double)k / CALIBRATE_K_LARGE;
        *out = large;
        out->ef = calibrate_scaled(large.ef, factor);
        out->hops = calibrate_scaled(large.hops, factor);
        return true;
    }
    const double part = log((double)k / CALIBRATE_K_SMALL) /
                        log((double)CALIBRATE_K_LARGE / CALIBRATE_K_SMALL);
    out->ef = (uint32_t)ceil((double)small.ef + ((double)large.ef - (double)small.ef) * part);
    out->hops = (uint32_t)ceil((double)small.hops +
                               ((double)large.hops - (double)small.hops) * part);
    return true;
}

void graph_choose_ef(const struct graph_table *table, uint32_t k, uint32_t ef,
                     struct graph_choice *out)
{
    *out = (struct graph_choice){.ef = ef};
    if (table == NULL || table->linked == 0 || k > CALIBRATE_K_LARGE) return;
    const uint32_t k_index = k > CALIBRATE_K_SMALL ? 1 : 0;
    /* The last rung below it: a floor of what to expect. */
    for (uint32_t rung = 0; rung < GRAPH_RUNGS && calibrate_rungs[rung] <= ef; rung++) {
        if (table->recall[k_index][0][rung] == 0) continue;
        out->recall = (float)((double)table->recall[k_index][0][rung] / CALIBRATE_SCALE);
        out->hops = calibrate_scaled(table->hops[k_index][0][rung],
                                     (double)ef / calibrate_rungs[rung]);
    }
}

#include "index/vector/vector_search.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "index/vector/graph_choose.h"
#include "index/vector/vector_index.h"
#include "os/thread.h"
#include "store/space.h"

enum {
    VECTOR_LOAD_MAX = 64 << 20, /* Bytes that a query brings in rather than scan; about 20 ms. */
    /* Candidates beyond k: their codes' order isn't quite the true one. With 2 more of 10 the words
     * of 100 dimensions never get beyond recall .995, with 4 they do, at 1 % of the time. */
    VECTOR_KEEP_MORE = 4,
    VECTOR_KEEP_MIN = 10 + VECTOR_KEEP_MORE,
    VECTOR_WIDEN_ROUNDS = 3,
    VECTOR_RANDOM_COST = 4, /* A byte at a random place costs so many of a scan; measured 4 to 8. */
    VECTOR_SEEN_BITS = 4096 /* Of the sieve that keeps a node from being listed twice. */
};

#define VECTOR_SURE 3.5f /* Standard deviations: one of 4,000. */

void vector_workspace_deinit(struct vector_workspace *workspace)
{
    flat_workspace_deinit(&workspace->flat);
    graph_query_deinit(&workspace->query);
    graph_scratch_deinit(&workspace->scratch);
    alloc_free(workspace->widened);
    alloc_free(workspace->near);
    alloc_free(workspace->tail);
    *workspace = (struct vector_workspace){0};
}

uint32_t vector_search_keep(uint32_t k, uint32_t ef)
{
    const uint32_t more = k / 4 > VECTOR_KEEP_MORE ? k / 4 : VECTOR_KEEP_MORE;
    const uint32_t keep = k + more > VECTOR_KEEP_MIN ? k + more : VECTOR_KEEP_MIN;
    return keep < ef ? keep : ef;
}

/* ---- Which way ------------------------------------------------------------------- */

/* Unknown counts are guessed from ef: about a hop for each, and half of its neighbours are new. */
static uint64_t vector_walk_bytes(const struct graph_index *graph,
                                  const struct graph_choice *choice, uint32_t keep)
{
    const uint32_t hops = choice->hops != 0 ? choice->hops : choice->ef;
    const uint32_t distances = choice->hops != 0 ? choice->distances : hops * (GRAPH_SLOTS / 2);
    return graph_walk_bytes(&graph->graph, choice->walk, hops, distances) +
           (uint64_t)keep * graph->collection->schema->vectors[graph->field].size;
}

static void vector_plan_scan(const struct vector_query *query, const char *reason,
                             struct vector_plan *out)
{
    *out = (struct vector_plan){
        .recall = 1,
        .reason = reason,
        .bytes = flat_estimate_bytes(query->flat.collection, query->flat.field)};
}

/* A graph that has grown since it was measured asks for more: in proportion at the worst (random
 * vectors of 128 dimensions: ef 283 at 5,000, 953 at 20,000, for the same recall). */
static void vector_choice_grow(struct graph_choice *choice, const struct graph_table *table,
                               uint32_t linked)
{
    if (linked <= table->linked) return;
    const double factor = (double)linked / (double)table->linked;
    const double ef = (double)choice->ef * factor, hops = (double)choice->hops * factor;
    const double distances = (double)choice->distances * factor;
    choice->ef = ef < GRAPH_EFFORT_MAX ? (uint32_t)ef : GRAPH_EFFORT_MAX + 1;
    choice->hops = hops < (double)UINT32_MAX ? (uint32_t)hops : UINT32_MAX;
    choice->distances = distances < (double)UINT32_MAX ? (uint32_t)distances : UINT32_MAX;
}

omendb_status vector_search_plan(const struct vector_query *query, struct vector_plan *out,
                                 omendb_error *err)
{
    const struct flat_query *flat = &query->flat;
    const struct vector_index *index = vector_index_of(flat->collection, flat->field);
    struct graph_index *graph = graph_index_of(flat->collection, flat->field);
    const float recall = query->recall > 0 ? query->recall : VECTOR_RECALL_DEFAULT;
    struct graph_choice choice = {0};
    bool searchable = false;
    const char *reason = NULL;
    if (query->exact || (query->ef == 0 && recall >= 1)) reason = "exact answers were asked for";
    else if (flat->passes != NULL) reason = "there is a filter";
    else if (index == NULL) reason = "such fields have no graph";
    else if (atomic_load_acquire_u32(&index->profile) == GRAPH_PROFILE_EXACT)
        reason = "the field's index is exact";
    else if (graph == NULL) reason = "there is no graph yet";
    if (reason == NULL) {
        const struct graph_table *table = atomic_load_acquire_pointer(&graph->table);
        if (query->ef != 0) graph_choose_ef(table, &graph->graph, flat->k, query->ef, &choice);
        else if (!graph_choose(table, &graph->graph, flat->k, recall, &choice))
            reason = "no effort is known to reach that recall";
        else vector_choice_grow(&choice, table, atomic_load_acquire_u32(&graph->linked));
    }
    if (reason == NULL) {
        const bool read_only = flat->collection->space->read_only;
        TRY(graph_index_load(graph, read_only ? UINT64_MAX : VECTOR_LOAD_MAX, &searchable, err));
        if (!searchable) reason = "the graph isn't in memory yet";
    }
    if (reason == NULL) {
        const uint32_t ef = choice.ef < flat->k ? flat->k : choice.ef;
        const uint32_t keep = vector_search_keep(flat->k, ef);
        /* What a stretch finds was measured for so many hits: fewer ones wouldn't bound it so. */
        const uint32_t near = flat->k < GRAPH_K_SMALL ? GRAPH_K_SMALL : flat->k;
        choice.ef = ef;
        *out = (struct vector_plan){.graph = graph,
                                    .effort = {.walk = choice.walk,
                                               .ef = ef,
                                               .keep = keep,
                                               .stretch = choice.stretch,
                                               .near = near < keep ? near : keep},
                                    .recall = choice.recall,
                                    .bytes = vector_walk_bytes(graph, &choice, keep)};
        if (ef > GRAPH_EFFORT_MAX ||
            (query->ef == 0 &&
             VECTOR_RANDOM_COST * out->bytes >= flat_estimate_bytes(flat->collection, flat->field)))
            reason = "a scan reads less than a walk would";
    }
    if (reason != NULL) vector_plan_scan(query, reason, out);
    return OMENDB_OK;
}

/* ---- One walk -------------------------------------------------------------------- */

/* How many of the kept candidates are worth reading in full: k, one that may be left out, and those
 * whose codes can't tell them from the k-th. An error e of a code in a random direction moves a
 * squared distance d by 2 sqrt(d) e / sqrt(dim), standard deviation; two codes differ. */
static uint32_t vector_worth_reading(const struct graph *graph,
                                     const struct vector_workspace *workspace, uint32_t kept,
                                     uint32_t k)
{
    const struct graph_candidate *candidates = workspace->scratch.kept;
    uint32_t count = k + 1;
    if (kept <= count || graph->inner_product) return kept;
    const struct code_header *header = (const void *)graph_code(graph, candidates[k - 1].node);
    const uint32_t bits = (uint32_t)header->error << 16;
    const float distance = candidates[k - 1].distance > 0 ? candidates[k - 1].distance : 0;
    float error;
    memcpy(&error, &bits, sizeof error);
    /* The query's digits err, too: evenly within a step. */
    const float step = workspace->query.step, unit = graph->unit;
    const float squared = 2 * error * error * unit * unit / (float)graph->dim + step * step / 12;
    const float limit = candidates[k - 1].distance + VECTOR_SURE * 2 * sqrtf(distance * squared);
    while (count < kept && candidates[count].distance <= limit) count++;
    return count;
}

static omendb_status vector_walk(struct graph_index *graph, const struct flat_query *query,
                                 const struct graph_effort *effort,
                                 struct vector_workspace *workspace, uint32_t *kept,
                                 struct vector_stats *stats, omendb_error *err)
{
    const struct vector_store *store = &query->collection->vectors[query->field];
    /* After the query's snapshot: rows lead to nodes of any time. */
    const uint32_t node_end = atomic_load_acquire_u32(&store->node_count);
    const struct graph_counts before = workspace->scratch.counts;
    TRY(graph_scratch_reserve(&workspace->scratch, node_end, effort->ef, effort->keep, err));
    *kept = graph_search(&graph->graph, &workspace->query, effort, &workspace->scratch);
    /* A wider search than was asked for looks for documents that are visible: it reads all. */
    if (effort->keep <= vector_search_keep(query->k, effort->ef))
        *kept = vector_worth_reading(&graph->graph, workspace, *kept, query->k);
    const struct graph_counts *after = &workspace->scratch.counts;
    stats->walk.hops += after->hops - before.hops;
    stats->walk.distances += after->distances - before.distances;
    stats->walk.estimates += after->estimates - before.estimates;
    stats->walk.bytes += after->bytes - before.bytes;
    stats->walks++;
    stats->reranked += *kept;
    stats->ef = effort->ef;
    stats->stretch = effort->stretch;
    stats->edges = effort->walk == GRAPH_WALK_EDGES;
    return OMENDB_OK;
}

/* The query in the frame; *usable = false: it is too long for codes. */
static omendb_status vector_turn(struct graph_index *graph, const struct flat_query *query,
                                 struct vector_workspace *workspace, bool *usable,
                                 omendb_error *err)
{
    const struct codes *codes = &graph->index->codes;
    if (!alloc_grow(&workspace->widened, &workspace->widened_capacity, codes->dim,
                    sizeof *workspace->widened))
        return fail(err, OMENDB_ERR_NOMEM, "out of memory: a search");
    *usable = codes_widen(codes, query->vector, workspace->widened);
    if (!*usable) return OMENDB_OK;
    return graph_query_begin(&workspace->query, &graph->graph, &codes->rotation,
                             codes->centres[graph->state.frame], workspace->widened, err);
}

static omendb_status vector_near_room(struct vector_workspace *workspace, uint32_t count,
                                      omendb_error *err)
{
    if (alloc_grow(&workspace->near, &workspace->near_capacity, count, sizeof *workspace->near))
        return OMENDB_OK;
    return fail(err, OMENDB_ERR_NOMEM, "out of memory: %u candidates", count);
}

omendb_status vector_search_walk(struct graph_index *graph, const struct flat_query *query,
                                 const struct graph_effort *effort, uint32_t skip,
                                 struct vector_workspace *workspace, struct flat_hit *hits,
                                 uint32_t *found, struct vector_stats *stats, omendb_error *err)
{
    bool usable = false;
    uint32_t kept = 0, count = 0;
    TRY(vector_turn(graph, query, workspace, &usable, err));
    *found = 0;
    if (!usable) return OMENDB_OK;
    TRY(vector_walk(graph, query, effort, workspace, &kept, stats, err));
    TRY(vector_near_room(workspace, kept + 1, err));
    for (uint32_t i = 0; i < kept; i++) {
        const uint32_t node = workspace->scratch.kept[i].node;
        if (node != skip) workspace->near[count++] = node;
    }
    return flat_search_nodes(query, workspace->near, count, NULL, 0, &workspace->flat, hits, found,
                             &stats->flat, err);
}

/* ---- The tail -------------------------------------------------------------------- */

/* Notes the nodes that a walk from now on might not meet. */
static omendb_status vector_note_tail(struct graph_index *graph, struct vector_workspace *workspace,
                                      uint32_t *count, omendb_error *err)
{
    /* Whatever replaces this list holds what of it isn't linked by then; this one stays as it is
     * for us. An entry that was taken out before is in the graph, its rows visible. */
    const struct graph_tail *tail = atomic_load_acquire_pointer(&graph->tail);
    const uint32_t begin = atomic_load_acquire_u32(&tail->begin);
    const uint32_t end = atomic_load_acquire_u32(&tail->end);
    *count = 0;
    if (begin >= end) return OMENDB_OK;
    if (!alloc_grow(&workspace->tail, &workspace->tail_capacity, end - begin,
                    sizeof *workspace->tail))
        return fail(err, OMENDB_ERR_NOMEM, "out of memory: %u nodes", end - begin);
    for (uint32_t i = begin; i < end; i++) {
        uint32_t flags = 0;
        TRY(collection_node_flags(graph->collection, graph->field, tail->nodes[i], &flags, err));
        if ((flags & (NODE_FREE | NODE_LINKED)) != 0) continue;
        workspace->tail[(*count)++] = tail->nodes[i];
    }
    return OMENDB_OK;
}

/* Takes the near ones out of the noted ones: no node may be there twice. */
static uint32_t vector_tail_without(const struct vector_workspace *workspace, uint32_t near_count,
                                    uint32_t tail_count)
{
    uint64_t sieve[VECTOR_SEEN_BITS / 64] = {0};
    uint32_t count = 0;
    for (uint32_t i = 0; i < near_count; i++) {
        const uint32_t bit = workspace->near[i] % VECTOR_SEEN_BITS;
        sieve[bit / 64] |= UINT64_C(1) << (bit % 64);
    }
    for (uint32_t i = 0; i < tail_count; i++) {
        const uint32_t node = workspace->tail[i], bit = node % VECTOR_SEEN_BITS;
        bool there = false;
        if ((sieve[bit / 64] >> (bit % 64) & 1) != 0) {
            for (uint32_t j = 0; !there && j < near_count; j++) there = workspace->near[j] == node;
        }
        if (!there) workspace->tail[count++] = node;
    }
    return count;
}

/* ---- Searches -------------------------------------------------------------------- */

/* Candidates of the last walk and the node that has the query's own bytes. */
static omendb_status vector_gather(const struct flat_query *query,
                                   struct vector_workspace *workspace, uint32_t kept,
                                   uint32_t *near_count, omendb_error *err)
{
    uint32_t equal = SLOT_NONE, count = 0;
    TRY(collection_find_vector(query->collection, query->field, query->vector, &equal, err));
    TRY(vector_near_room(workspace, kept + 1, err));
    if (equal != SLOT_NONE) workspace->near[count++] = equal;
    for (uint32_t i = 0; i < kept; i++) {
        const uint32_t node = workspace->scratch.kept[i].node;
        if (node != equal) workspace->near[count++] = node;
    }
    *near_count = count;
    return OMENDB_OK;
}

/* One round by the graph; *whole: every node that there is was looked at. */
static omendb_status vector_search_round(const struct vector_plan *plan,
                                         const struct graph_effort *effort,
                                         const struct flat_query *query,
                                         struct vector_workspace *workspace, struct flat_hit *hits,
                                         uint32_t *found, bool *whole, struct vector_stats *stats,
                                         omendb_error *err)
{
    const struct vector_store *store = &query->collection->vectors[query->field];
    uint32_t tail = 0, kept = 0, near = 0;
    TRY(vector_note_tail(plan->graph, workspace, &tail, err));
    TRY(vector_walk(plan->graph, query, effort, workspace, &kept, stats, err));
    TRY(vector_gather(query, workspace, kept, &near, err));
    tail = vector_tail_without(workspace, near, tail);
    stats->tail += tail;
    TRY(flat_search_nodes(query, workspace->near, near, workspace->tail, tail, &workspace->flat,
                          hits, found, &stats->flat, err));
    *whole = (uint64_t)near + tail >= atomic_load_acquire_u32(&store->nodes_live);
    return OMENDB_OK;
}

static omendb_status vector_search_graph(const struct vector_query *query,
                                         const struct vector_plan *plan,
                                         struct vector_workspace *workspace, struct flat_hit *hits,
                                         uint32_t *found, bool *done, struct vector_stats *stats,
                                         omendb_error *err)
{
    const struct flat_query *flat = &query->flat;
    struct graph_effort effort = plan->effort;
    bool usable = false, whole = false;
    *done = false;
    TRY(vector_turn(plan->graph, flat, workspace, &usable, err));
    if (!usable) return OMENDB_OK;
    for (uint32_t round = 0; round <= VECTOR_WIDEN_ROUNDS; round++) {
        TRY(vector_search_round(plan, &effort, flat, workspace, hits, found, &whole, stats, err));
        if (effort.walk == GRAPH_WALK_EDGES &&
            atomic_load_acquire_u32(&plan->graph->graph.edges_ready) == 0) {
            /* They were dropped meanwhile: the walk may have met empty ones. */
            effort.walk = GRAPH_WALK_CODES;
            effort.stretch = 0;
            continue;
        }
        *done = *found == flat->k;
        /* A last look by a scan then tells whether there are more at all. */
        if (*done || whole || 2 * effort.ef > GRAPH_EFFORT_MAX) break;
        /* Documents that aren't visible (any more) have taken the places. */
        effort.ef *= 2;
        effort.keep *= 2;
        effort.stretch = 0;
        stats->widened++;
    }
    return OMENDB_OK;
}

/* Once; the caller looks whether vectors have moved. */
static omendb_status vector_search_once(const struct vector_query *query,
                                        struct vector_workspace *workspace, struct flat_hit *hits,
                                        uint32_t *found, struct vector_stats *stats,
                                        omendb_error *err)
{
    struct vector_plan plan;
    bool done = false;
    TRY(vector_search_plan(query, &plan, err));
    if (plan.graph != NULL) {
        TRY(vector_search_graph(query, &plan, workspace, hits, found, &done, stats, err));
        stats->recall = plan.recall;
        if (done) return OMENDB_OK;
    }
    stats->scans++;
    stats->recall = 1;
    stats->reason = plan.graph == NULL ? plan.reason : "the graph gave fewer than k documents";
    return flat_search(&query->flat, &workspace->flat, hits, found, &stats->flat, err);
}

omendb_status vector_search(const struct vector_query *query, struct vector_workspace *workspace,
                            struct flat_hit *hits, uint32_t *found, struct vector_stats *stats,
                            omendb_error *err)
{
    const struct vector_store *store = &query->flat.collection->vectors[query->flat.field];
    struct vector_stats ignored = {0};
    omendb_error cause = {0};
    if (stats == NULL) stats = &ignored;
    for (;;) {
        const uint64_t moves = collection_moves(store);
        const omendb_status status = vector_search_once(query, workspace, hits, found, stats,
                                                        &cause);
        if (status != OMENDB_OK) {
            if (err != NULL) *err = cause;
            return status;
        }
        if (!flat_moved(store, moves)) return OMENDB_OK;
        stats->repeated++;
    }
}

/* ---- Threads --------------------------------------------------------------------- */

enum { VECTOR_THREADS_MAX = 64 };

struct vector_lane {
    ALIGNED(CACHE_LINE) atomic_u32 busy;
    struct vector_stats stats;
    uint32_t failed; /* Least query that failed, or UINT32_MAX. */
    omendb_error error;
};

struct vector_batch {
    const struct vector_query *queries;
    struct vector_workspace *workspaces;
    struct flat_hit *hits;
    uint32_t *found;
    uint32_t k_max;
    struct vector_lane lanes[VECTOR_THREADS_MAX];
};

static void vector_stats_add(struct vector_stats *stats, const struct vector_stats *more)
{
    stats->flat.scanned += more->flat.scanned;
    stats->flat.candidates += more->flat.candidates;
    stats->flat.refined += more->flat.refined;
    stats->flat.filtered += more->flat.filtered;
    stats->walk.hops += more->walk.hops;
    stats->walk.distances += more->walk.distances;
    stats->walk.estimates += more->walk.estimates;
    stats->walk.bytes += more->walk.bytes;
    stats->walks += more->walks;
    stats->scans += more->scans;
    stats->widened += more->widened;
    stats->repeated += more->repeated;
    stats->tail += more->tail;
    stats->reranked += more->reranked;
    if (more->walks != 0) {
        stats->ef = more->ef;
        stats->stretch = more->stretch;
        stats->edges = more->edges;
    }
    if (more->walks + more->scans != 0) stats->recall = more->recall;
    if (more->reason != NULL) stats->reason = more->reason;
}

static void vector_batch_query(void *context, uint32_t at)
{
    struct vector_batch *batch = context;
    /* There are as many lanes as threads, so one is free. */
    uint32_t i = 0;
    for (uint32_t idle = 0; !atomic_swap_if_u32(&batch->lanes[i].busy, &idle, 1); idle = 0, i++) {
    }
    struct vector_lane *lane = &batch->lanes[i];
    omendb_error error = {0};
    if (vector_search(&batch->queries[at], &batch->workspaces[i],
                      batch->hits + (size_t)at * batch->k_max, &batch->found[at], &lane->stats,
                      &error) != OMENDB_OK &&
        at < lane->failed) {
        lane->failed = at;
        lane->error = error;
    }
    atomic_store_release_u32(&lane->busy, 0); /* Pairs with the swap above. */
}

/* A single query that a scan answers is worth several threads. */
static omendb_status vector_search_single(const struct vector_query *query, uint32_t threads,
                                          struct vector_workspace *workspaces,
                                          struct flat_hit *hits, uint32_t *found,
                                          struct vector_stats *stats, omendb_error *err)
{
    struct flat_workspace spaces[VECTOR_THREADS_MAX];
    struct vector_plan plan;
    TRY(vector_search_plan(query, &plan, err));
    if (plan.graph != NULL || threads == 1)
        return vector_search(query, workspaces, hits, found, stats, err);
    for (uint32_t i = 0; i < threads; i++) spaces[i] = workspaces[i].flat;
    const omendb_status status = flat_search_batch(&query->flat, 1, threads, spaces, hits, found,
                                                   &stats->flat, err);
    for (uint32_t i = 0; i < threads; i++) workspaces[i].flat = spaces[i];
    stats->scans++;
    stats->recall = 1;
    stats->reason = plan.reason;
    return status;
}

omendb_status vector_search_batch(const struct vector_query *queries, uint32_t count,
                                  uint32_t threads, struct vector_workspace *workspaces,
                                  struct flat_hit *hits, uint32_t *found,
                                  struct vector_stats *stats, omendb_error *err)
{
    struct vector_stats ignored = {0};
    struct vector_batch batch = {
        .queries = queries, .workspaces = workspaces, .hits = hits, .found = found};
    if (stats == NULL) stats = &ignored;
    if (threads == 0) threads = 1;
    if (threads > VECTOR_THREADS_MAX) threads = VECTOR_THREADS_MAX;
    if (count == 0) return OMENDB_OK;
    if (count == 1)
        return vector_search_single(queries, threads, workspaces, hits, found, stats, err);
    for (uint32_t i = 0; i < threads; i++) {
        atomic_store_relaxed_u32(&batch.lanes[i].busy, 0);
        batch.lanes[i].failed = UINT32_MAX;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (queries[i].flat.k > batch.k_max) batch.k_max = queries[i].flat.k;
    }
    thread_parallel(threads, count, vector_batch_query, &batch);
    const struct vector_lane *failed = NULL;
    for (uint32_t i = 0; i < threads; i++) {
        const struct vector_lane *lane = &batch.lanes[i];
        vector_stats_add(stats, &lane->stats);
        if (lane->failed != UINT32_MAX && (failed == NULL || lane->failed < failed->failed))
            failed = lane;
    }
    if (failed == NULL) return OMENDB_OK;
    if (err != NULL) *err = failed->error;
    return failed->error.status;
}

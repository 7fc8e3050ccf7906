#include "index/vector/graph_work.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "index/vector/graph_calibrate.h"
#include "index/vector/graph_work_inner.h"
#include "index/vector/vector_index.h"

enum {
    WORK_RECODE_NODES = 32, /* Codes made in one hold: 1 to 4 us each. */
    WORK_RECODE_HOLDS = 64, /* Holds of a piece. */
    WORK_WINDOW = 1 << 20,  /* Nodes that are shuffled together. */
    WORK_REACH_ROUNDS = 20,
    WORK_EDGES_KEPT = 4096, /* Nodes of a load during which edges are kept up in any case. */
    WORK_NODES_HOLD = 4096, /* Nodes whose flags are read in one hold. */
    WORK_BRIEF_NODES = 4,   /* What who waits for the index links himself: 0.1 to 0.3 ms each. */
    WORK_EF = 100,          /* ef_construction up to 200,000 nodes, */
    WORK_EF_MORE = 50,      /* and so much more at a million. */
    WORK_BULK = 1024,       /* Nodes of a load: a second look follows (graph_refine.c), */
    WORK_KEEP = 64          /* so that pruning looks at the nearest only. */
};

#define WORK_EF_NODES 200000.0
#define WORK_SEED UINT64_C(0x4F6D656E44422038)

void graph_work_destroy(struct graph_work *work)
{
    if (work == NULL) return;
    graph_plan_deinit(&work->plan);
    alloc_free(work->window);
    alloc_free(work->batch);
    alloc_free(work->kept);
    alloc_free(work->masks);
    alloc_free(work->scratch);
    alloc_free(work->swept);
    alloc_free(work);
}

omendb_status graph_work_no_memory(omendb_error *err)
{
    return fail(err, OMENDB_ERR_NOMEM, "out of memory: work on a graph");
}

static bool work_stopping(void *context)
{
    return host_stopping(context);
}

/* A build may stop at any moment; what it has done stays. */
static omendb_status work_stopped(omendb_status status)
{
    return status == OMENDB_ERR_INTERRUPTED ? OMENDB_OK : status;
}

struct graph_change_options graph_work_options(const struct graph_work *work)
{
    const struct graph_index *graph = work->graph;
    const double linked = (double)graph->state.linked;
    double ef = WORK_EF;
    if (linked > WORK_EF_NODES) ef += WORK_EF_MORE * log(linked / WORK_EF_NODES) / log(5.0);
    if (ef > WORK_EF + WORK_EF_MORE) ef = WORK_EF + WORK_EF_MORE;
    return (struct graph_change_options){.ef = (uint32_t)ef,
                                         .keep = graph_work_left(work) > WORK_BULK ? WORK_KEEP : 0,
                                         .threads = graph_work_threads(work),
                                         .node_end = graph_work_node_count(graph),
                                         .stopping = work_stopping,
                                         .context = work->host};
}

/* ---- The beginning --------------------------------------------------------------- */

/* Codes of nodes from state.recoded on, in the frame. Writer lock, between two counts of moves. */
static omendb_status work_recode_some(struct graph_index *graph, omendb_error *err)
{
    struct collection *collection = graph->collection;
    struct vector_index *index = graph->index;
    const uint32_t count = graph_work_node_count(graph);
    TRY(graph_index_prepare_state(graph, err));
    for (uint32_t i = 0; i < WORK_RECODE_NODES && graph->state.recoded < count;
         i++, graph->state.recoded++) {
        const uint32_t node = graph->state.recoded;
        const void *vector = NULL;
        uint32_t flags = 0;
        TRY(collection_node_flags(collection, graph->field, node, &flags, err));
        if ((flags & NODE_FREE) != 0) continue;
        TRY(array_prepare(index->rows, node, err));
        if (graph_index_coded(graph, node)) continue;
        uint8_t *row = array_at_writable(index->rows, node);
        /* A vector that can't be read has no code; who asks for it is told. */
        if (collection_vector(collection, graph->field, node, &vector, NULL) == OMENDB_OK)
            codes_encode(&index->codes, vector, graph->state.frame, row);
        else memset(row, 0, index->rows->stride);
    }
    if (graph->state.recoded >= count) graph->state.recoded = UINT32_MAX;
    graph_index_store(graph);
    return OMENDB_OK;
}

static omendb_status work_recode(struct graph_work *work, omendb_error *err)
{
    struct graph_index *graph = work->graph;
    struct vector_store *store = &graph->collection->vectors[graph->field];
    omendb_status status = OMENDB_OK;
    for (uint32_t i = 0; i < WORK_RECODE_HOLDS && status == OMENDB_OK &&
                         graph->state.recoded != UINT32_MAX && !host_stopping(work->host);
         i++) {
        host_lock(work->host);
        (void)atomic_add_u64(&store->moves, 1); /* Scans that read a code half made repeat. */
        status = work_recode_some(graph, err);
        (void)atomic_add_u64(&store->moves, 1); /* with collection_moves() */
        host_changed(work->host);
        host_unlock(work->host);
    }
    return status;
}

/* What the work needs and an open didn't read: codes, links, who is held. */
/* Searches look at every number of a row before they follow it. What changes rows doesn't: here
 * they are looked at once, at what memory gives (128 bytes a node). */
static omendb_status work_rows_check(const struct graph_index *graph, uint32_t count,
                                     omendb_error *err)
{
    const uint64_t rows = array_capacity(graph->links);
    for (uint32_t node = 0; node < count && node < rows; node++) {
        const uint32_t *slots = graph_links(&graph->graph, node);
        for (uint32_t i = 0; i < GRAPH_SLOTS; i++)
            if (slots[i] != 0 && graph_slot_node(slots[i]) >= count)
                return fail(err, OMENDB_ERR_CORRUPT,
                            "graph: field %u: the row of vector %u leads to %u, which isn't there",
                            graph->field, node, graph_slot_node(slots[i]));
    }
    return OMENDB_OK;
}

static omendb_status work_load(struct graph_work *work, omendb_error *err)
{
    struct graph_index *graph = work->graph;
    bool searchable = false;
    TRY(graph_index_load(graph, UINT64_MAX, &searchable, err));
    TRY(array_load_all(graph->index->rows, err));
    TRY(array_load_all(graph->links, err));
    const uint32_t count = graph_work_node_count(graph);
    TRY(work_rows_check(graph, count, err));
    for (uint32_t node = 0; node < count;) {
        if (host_stopping(work->host)) return OMENDB_OK;
        host_lock(work->host);
        omendb_status status = OMENDB_OK;
        for (uint32_t i = 0; i < WORK_NODES_HOLD && node < count && status == OMENDB_OK;
             i++, node++) {
            uint32_t flags = 0;
            status = collection_node_flags(graph->collection, graph->field, node, &flags, err);
            if ((flags & NODE_HELD) != 0) graph_range_set(&graph->held, node);
        }
        host_unlock(work->host);
        TRY(status);
    }
    work->loaded = true;
    return OMENDB_OK;
}

/* ---- Finishing: entries, reach, calibration --------------------------------------- */

/* Stores and publishes a table that searches begin at. entries: taken; NULL = none. */
static omendb_status work_entries_set(struct graph_work *work, struct graph_entries *entries,
                                      omendb_error *err)
{
    struct graph_index *graph = work->graph;
    host_lock(work->host);
    omendb_status status = graph_index_prepare_state(graph, err);
    if (status != OMENDB_OK) graph_entries_destroy(entries);
    else status = graph_index_publish_entries(graph, entries, err);
    if (status == OMENDB_OK) {
        graph_index_store_entries(graph, entries);
        host_changed(work->host);
    }
    host_unlock(work->host);
    return status;
}

uint32_t graph_work_living(const struct graph_index *graph)
{
    const atomic_u64 *held = graph_work_held_bits(graph), *dead = graph->graph.dead;
    const uint32_t count = graph_work_node_count(graph);
    uint32_t living = 0;
    for (uint32_t word = 0; word <= (count - 1) / 64 && count != 0; word++)
        living += (uint32_t)__builtin_popcountll(atomic_load_relaxed_u64(&held[word]) &
                                                 ~atomic_load_relaxed_u64(&dead[word]));
    return living;
}

omendb_status graph_work_entries_choose(struct graph_work *work, omendb_error *err)
{
    struct graph_index *graph = work->graph;
    struct graph_entries *entries = NULL;
    if (graph_work_living(graph) == 0) return work_entries_set(work, NULL, err);
    TRY(graph_entries_choose(&graph->graph, graph_work_held_bits(graph),
                             graph_work_node_count(graph), &entries, err));
    return work_entries_set(work, entries, err);
}

static omendb_status work_reach(struct graph_work *work, omendb_error *err)
{
    struct graph_index *graph = work->graph;
    for (uint32_t round = 0; round < WORK_REACH_ROUNDS; round++) {
        const struct graph_change_options options = graph_work_options(work);
        uint32_t unreachable = 0;
        TRY(graph_plan_reach(&graph->graph, graph_work_held_bits(graph), &options, &work->plan,
                             &unreachable, err));
        if (unreachable == 0) return OMENDB_OK;
        (void)atomic_add_u32(&graph->unreachable_found, unreachable);
        TRY(graph_apply_plan(work, err));
    }
    return OMENDB_OK;
}

/* Nodes of the tail that no batch has taken. */
uint32_t graph_work_left(const struct graph_work *work)
{
    return work->window_count - work->window_at + work->waiting;
}

static bool work_finish_due(const struct graph_work *work)
{
    const struct graph_state *state = &work->graph->state;
    if (state->linked == 0 || state->refining != 0) return false;
    if (state->finished == 0 || state->linked / 2 >= state->finished) return true;
    return graph_work_left(work) == 0 && state->linked - state->finished / 10 > state->finished;
}

static omendb_status work_finish(struct graph_work *work, omendb_error *err)
{
    struct graph_index *graph = work->graph;
    TRY(graph_work_entries_choose(work, err));
    TRY(work_reach(work, err));
    host_lock(work->host);
    omendb_status status = graph_index_prepare_state(graph, err);
    if (status == OMENDB_OK) {
        graph->state.finished = graph->state.linked;
        graph_index_store(graph);
        host_changed(work->host);
    }
    host_unlock(work->host);
    if (status == OMENDB_OK) host_want_checkpoint(work->host);
    return status;
}

/* Is it time to measure, with what waits as queries where enough do? */
static bool work_calibrate_due(const struct graph_work *work, uint32_t begin)
{
    const struct graph_state *state = &work->graph->state;
    const uint32_t measured = state->table.linked, linked = state->linked;
    if (linked < begin / 2 || state->finished == 0) return false;
    /* In the midst of a load a scan of the rest decides about a search's cost anyway. */
    if (graph_work_left(work) > GRAPH_CALIBRATE_QUERIES && graph_work_left(work) > linked / 4)
        return false;
    if (measured == 0 || linked / 2 >= measured) return true;
    /* A fifth has gone since, and others have come. */
    if ((uint64_t)work->gone * 5 >= linked) return true;
    /* The end of a load. */
    return graph_work_left(work) <= GRAPH_CALIBRATE_QUERIES &&
           graph_calibrate_outdated(work->graph, linked);
}

/* Nodes to measure with: those that will be linked last, else some that are linked. */
static uint32_t work_calibrate_nodes(struct graph_work *work, uint32_t *nodes, bool *held_out)
{
    const struct graph_index *graph = work->graph;
    const uint32_t in_window = work->window_count - work->window_at;
    const uint32_t count = graph_work_node_count(graph);
    uint32_t taken = 0;
    *held_out = in_window >= GRAPH_CALIBRATE_QUERIES / 4;
    if (*held_out) {
        for (uint32_t i = work->window_count; i > work->window_at; i--) {
            if (taken == GRAPH_CALIBRATE_QUERIES) break;
            nodes[taken++] = work->window[i - 1];
        }
        return taken;
    }
    /* At equal steps, and the next one that is linked and alive. */
    for (uint32_t i = 0; i < GRAPH_CALIBRATE_QUERIES; i++) {
        const uint32_t end = (uint32_t)((uint64_t)count * (i + 1) / GRAPH_CALIBRATE_QUERIES);
        for (uint32_t node = (uint32_t)((uint64_t)count * i / GRAPH_CALIBRATE_QUERIES); node < end;
             node++) {
            if (!graph_range_bit(&graph->held, node) || graph_range_bit(&graph->dead, node))
                continue;
            nodes[taken++] = node;
            break;
        }
    }
    return taken;
}

static omendb_status work_calibrate(struct graph_work *work, omendb_error *err)
{
    struct graph_index *graph = work->graph;
    uint32_t nodes[GRAPH_CALIBRATE_QUERIES];
    struct graph_table table;
    bool held_out = false;
    const uint32_t count = work_calibrate_nodes(work, nodes, &held_out);
    const bool whole = graph_work_left(work) <= GRAPH_CALIBRATE_QUERIES;
    TRY(graph_calibrate(graph, work->host->store, nodes, count, held_out, whole,
                        graph_work_threads(work), work_stopping, work->host, &table, err));
    host_lock(work->host);
    omendb_status status = graph_index_prepare_state(graph, err);
    if (status == OMENDB_OK) status = graph_index_publish_table(graph, &table, err);
    if (status == OMENDB_OK) {
        graph->state.table = table;
        work->gone = 0;
        graph_index_store(graph);
        host_changed(work->host);
    }
    host_unlock(work->host);
    return status;
}

/* ---- Inserting ------------------------------------------------------------------- */

static uint64_t work_random(uint64_t *state)
{
    /* splitmix64 (Steele, Lea, Flood 2014). */
    uint64_t z = (*state += UINT64_C(0x9E3779B97F4A7C15));
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

/* Writer lock. What of the window must stay in the tail: not linked, and alive. Those without a
 * code come first, with those that were there before. */
static omendb_status work_window_leave(struct graph_work *work, omendb_error *err)
{
    struct graph_index *graph = work->graph;
    const struct graph_tail *tail = atomic_load_relaxed_pointer(&graph->tail);
    const uint32_t begin = atomic_load_relaxed_u32(&tail->begin);
    const uint32_t count = work->stuck + work->window_count;
    uint32_t kept = 0, stuck = 0;
    if (!alloc_grow(&work->kept, &work->kept_capacity, count, sizeof *work->kept))
        return graph_work_no_memory(err);
    for (uint32_t pass = 0; pass < 2; pass++) {
        for (uint32_t i = begin; i < begin + count; i++) {
            const uint32_t node = tail->nodes[i];
            uint32_t flags = 0;
            TRY(collection_node_flags(graph->collection, graph->field, node, &flags, err));
            if ((flags & (NODE_FREE | NODE_LINKED)) != 0) continue;
            if (graph_index_coded(graph, node) == (pass == 0)) continue;
            work->kept[kept++] = node;
        }
        if (pass == 0) stuck = kept;
    }
    if (kept != count || stuck != work->stuck)
        TRY(graph_tail_advance(graph, count, work->kept, kept, err));
    work->stuck = stuck;
    work->window_count = work->window_at = 0;
    return OMENDB_OK;
}

/* Writer lock. */
static omendb_status work_window_next(struct graph_work *work, omendb_error *err)
{
    const struct graph_tail *tail = atomic_load_relaxed_pointer(&work->graph->tail);
    const uint32_t begin = atomic_load_relaxed_u32(&tail->begin) + work->stuck;
    const uint32_t left = atomic_load_relaxed_u32(&tail->end) - begin;
    const uint32_t count = left < WORK_WINDOW ? left : WORK_WINDOW;
    if (!alloc_grow(&work->window, &work->window_capacity, count, sizeof *work->window))
        return graph_work_no_memory(err);
    if (count != 0) memcpy(work->window, tail->nodes + begin, count * sizeof *work->window);
    work->window_count = count;
    work->window_at = 0;
    /* Fisher and Yates. */
    uint64_t random = WORK_SEED ^ work->graph->state.linked;
    for (uint32_t i = count; i > 1; i--) {
        const uint32_t j = (uint32_t)(work_random(&random) % i);
        const uint32_t node = work->window[i - 1];
        work->window[i - 1] = work->window[j];
        work->window[j] = node;
    }
    return OMENDB_OK;
}

static omendb_status work_window_fill(struct graph_work *work, omendb_error *err)
{
    omendb_status status = OMENDB_OK;
    host_lock(work->host);
    if (work->window_at == work->window_count) {
        if (work->window_count != 0) status = work_window_leave(work, err);
        if (status == OMENDB_OK) status = work_window_next(work, err);
    }
    const struct graph_tail *tail = atomic_load_relaxed_pointer(&work->graph->tail);
    work->waiting = atomic_load_relaxed_u32(&tail->end) - atomic_load_relaxed_u32(&tail->begin) -
                    work->stuck - work->window_count;
    host_unlock(work->host);
    return status;
}

/* Writer lock. HOLDs the next nodes of the window that can be linked. */
static omendb_status work_hold_some(struct graph_work *work, uint32_t wanted, uint32_t *at,
                                    omendb_error *err)
{
    struct graph_index *graph = work->graph;
    struct collection *collection = graph->collection;
    for (uint32_t i = 0;
         i < WORK_LOCK_ROWS && *at < work->window_count && work->batch_count < wanted;
         i++, (*at)++) {
        const uint32_t node = work->window[*at];
        uint32_t flags = 0;
        TRY(collection_node_flags(collection, graph->field, node, &flags, err));
        if ((flags & (NODE_FREE | NODE_LINKED)) != 0 || !graph_index_coded(graph, node)) continue;
        TRY(collection_node_mark(collection, graph->field, node, NODE_HELD, 0, err));
        graph_range_set(&graph->held, node);
        work->batch[work->batch_count++] = node;
    }
    return OMENDB_OK;
}

/* *at: where the window goes on once the batch is linked. */
static omendb_status work_batch_take(struct graph_work *work, uint32_t wanted, uint32_t *at,
                                     omendb_error *err)
{
    omendb_status status = OMENDB_OK;
    *at = work->window_at;
    work->batch_count = 0;
    if (!alloc_grow(&work->batch, &work->batch_capacity, wanted, sizeof *work->batch))
        return graph_work_no_memory(err);
    while (*at < work->window_count && work->batch_count < wanted && status == OMENDB_OK) {
        host_lock(work->host);
        status = work_hold_some(work, wanted, at, err);
        host_changed(work->host);
        host_unlock(work->host);
    }
    return status;
}

static omendb_status work_batch_linked(struct graph_work *work, omendb_error *err)
{
    struct graph_index *graph = work->graph;
    omendb_status status = OMENDB_OK;
    for (uint32_t at = 0; at < work->batch_count && status == OMENDB_OK;) {
        host_lock(work->host);
        status = graph_index_prepare_state(graph, err);
        for (uint32_t i = 0; i < WORK_LOCK_ROWS && at < work->batch_count && status == OMENDB_OK;
             i++, at++) {
            status = collection_node_mark(graph->collection, graph->field, work->batch[at],
                                          NODE_HELD | NODE_LINKED, 0, err);
            if (status != OMENDB_OK) break;
            graph->state.linked++;
            if (graph_range_bit(&graph->dead, work->batch[at])) /* It died meanwhile. */
                (void)atomic_add_u32(&graph->dead_linked, 1);
        }
        if (graph_index_prepare_state(graph, NULL) == OMENDB_OK) graph_index_store_linked(graph);
        host_changed(work->host);
        host_unlock(work->host);
    }
    return status;
}

/* The last ones are kept back as long as the graph is to be measured with them. */
static uint32_t work_batch_size(const struct graph_work *work, uint32_t begin)
{
    const struct graph_state *state = &work->graph->state;
    const uint32_t left = graph_work_left(work), size = graph_batch_size(state->linked);
    if (state->linked < begin / 2 || left <= GRAPH_CALIBRATE_QUERIES) return size;
    if (!graph_calibrate_outdated(work->graph, state->linked + left)) return size;
    return size < left - GRAPH_CALIBRATE_QUERIES ? size : left - GRAPH_CALIBRATE_QUERIES;
}

static omendb_status work_insert(struct graph_work *work, uint32_t begin, omendb_error *err)
{
    struct graph_index *graph = work->graph;
    uint32_t at = 0;
    TRY(work_batch_take(work, work_batch_size(work, begin), &at, err));
    if (work->batch_count != 0) {
        const struct graph_change_options options = graph_work_options(work);
        TRY(graph_plan_insert(&graph->graph, work->batch, work->batch_count, &options, &work->plan,
                              err));
        TRY(graph_apply_plan(work, err));
        TRY(work_batch_linked(work, err));
    }
    work->window_at = at;
    /* Whoever comes next has to begin somewhere. */
    if (graph->state.linked != 0 && atomic_load_relaxed_pointer(&graph->graph.entries) == NULL)
        TRY(graph_work_entries_choose(work, err));
    /* At the end of a window its nodes leave the tail, whether there are more or not. */
    return work->window_at == work->window_count ? work_window_fill(work, err) : OMENDB_OK;
}

/* ---- Pieces ---------------------------------------------------------------------- */

/* During a load edges would be made again and again, for searches that spend their time on the
 * tail: they wait for its end. */
static bool work_edges_wanted(struct graph_work *work)
{
    const uint32_t left = graph_work_left(work), linked = work->graph->state.linked;
    if (!graph_apply_edges_wanted(work)) return false;
    if (graph_apply_has_edges(work)) return left <= linked || left <= WORK_EDGES_KEPT;
    if (work->edges_at != 0) return true; /* Under way. */
    return (left <= GRAPH_CALIBRATE_QUERIES || left <= linked / 16) && !graph_refine_due(work);
}

/* Is there something to do before nodes are linked, which may take long? */
static bool work_is_long(struct graph_work *work)
{
    const struct graph_index *graph = work->graph;
    return graph->state.recoded != UINT32_MAX || !work->loaded || work->sweeping ||
           work_edges_wanted(work) != graph_apply_has_edges(work) ||
           atomic_load_acquire_u32(&graph->freed_count) != 0 || graph_sweep_due(work);
}

/* The first thing that there is to do; *done: nothing was. */
static omendb_status work_step(struct graph_work *work, uint32_t begin, bool *done,
                               omendb_error *err)
{
    struct graph_index *graph = work->graph;
    const uint32_t profile = atomic_load_acquire_u32(&graph->index->profile);
    *done = false;
    if (work->host->brief && work_is_long(work)) {
        work->host->refused = true;
        return OMENDB_OK;
    }
    if (graph->state.recoded != UINT32_MAX) return work_recode(work, err);
    if (!work->loaded) return work_load(work, err);
    if (profile != GRAPH_PROFILE_EXACT) TRY(work_window_fill(work, err));
    if (!work_edges_wanted(work)) {
        if (graph_apply_has_edges(work)) graph_apply_edges_drop(work);
    } else if (!graph_apply_has_edges(work)) {
        return graph_apply_edges_piece(work, err);
    }
    if (!work->sweeping && atomic_load_acquire_u32(&graph->freed_count) != 0)
        return graph_sweep_delete(work, err);
    if (work->sweeping || graph_sweep_due(work)) return graph_sweep_piece(work, err);
    if (profile != GRAPH_PROFILE_EXACT) {
        if (work->host->brief &&
            (graph_refine_due(work) || work_finish_due(work) || work_calibrate_due(work, begin) ||
             graph_work_left(work) > WORK_BRIEF_NODES)) {
            work->host->refused = true;
            return OMENDB_OK;
        }
        if (graph_refine_due(work)) return graph_refine_piece(work, err);
        if (graph->state.refining != 0 && graph_work_left(work) > GRAPH_CALIBRATE_QUERIES)
            graph_refine_forget(work);
        if (work_finish_due(work)) return work_finish(work, err);
        if (work_calibrate_due(work, begin)) return work_calibrate(work, err);
        if (graph_work_left(work) != 0) return work_insert(work, begin, err);
    }
    *done = true;
    return OMENDB_OK;
}

static omendb_status work_begin(struct collection *collection, uint32_t field,
                                struct vector_index *index, struct index_host *host,
                                omendb_error *err)
{
    struct graph_index *graph = NULL;
    host_lock(host);
    const omendb_status status = graph_index_begin(
        collection, field, index, (enum graph_profile)atomic_load_relaxed_u32(&index->profile),
        &graph, err);
    if (status == OMENDB_OK) {
        atomic_store_release_pointer(&index->graph, graph); /* with graph_index_of() */
        host_changed(host);
    }
    host_unlock(host);
    return status;
}

omendb_status graph_work_piece(struct collection *collection, uint32_t field,
                               struct vector_index *index, const struct graph_options *options,
                               struct index_host *host, bool *more, omendb_error *err)
{
    struct graph_index *graph = atomic_load_acquire_pointer(&index->graph);
    const struct vector_store *store = &collection->vectors[field];
    *more = false;
    if (graph == NULL) {
        if (atomic_load_acquire_u32(&index->profile) == GRAPH_PROFILE_EXACT ||
            atomic_load_acquire_u32(&store->nodes_live) < options->begin)
            return OMENDB_OK;
        if (host->brief) {
            host->refused = true;
            return OMENDB_OK;
        }
        TRY(work_begin(collection, field, index, host, err));
        *more = true;
        return OMENDB_OK;
    }
    if (graph->work == NULL) {
        graph->work = alloc_zeroed(1, sizeof *graph->work);
        if (graph->work == NULL) return graph_work_no_memory(err);
        graph->work->graph = graph;
        if (options->entry_share != 0) graph->graph.entry_share = options->entry_share;
    }
    bool done = false;
    graph->work->host = host;
    TRY(work_stopped(work_step(graph->work, options->begin, &done, err)));
    *more = !done;
    return OMENDB_OK;
}

/* graph_apply.c - plans become rows, rows get their edges. */
#include <string.h>

#include "base/alloc.h"
#include "index/vector/graph_work_inner.h"
#include "index/vector/vector_index.h"
#include "os/memory.h"

enum {
    APPLY_EDGES_CHUNK = 64, /* Rows that a thread takes at once. */
    APPLY_EDGES_PIECE = 8192
};

/* ---- Edges ----------------------------------------------------------------------- */

struct apply_edges {
    const struct graph_work *work;
    const struct graph_row *rows; /* With masks; or NULL: nodes from `first` on, all slots. */
    const uint32_t *masks;
    uint32_t first, count;
    size_t scratch_size; /* Floats of a thread. */
    atomic_u32 next;
};

static void apply_edges_one(const struct apply_edges *job, uint32_t at, float *scratch)
{
    const struct graph_index *graph = job->work->graph;
    if (job->rows != NULL) {
        graph_edges_encode(&graph->graph, job->rows[at].node, job->rows[at].slots, job->masks[at],
                           scratch);
        return;
    }
    const uint32_t node = job->first + at;
    if (graph_range_bit(&graph->held, node))
        graph_edges_encode(&graph->graph, node, graph_links(&graph->graph, node), UINT32_MAX,
                           scratch);
}

static void apply_edges_lane(void *context, uint32_t lane)
{
    struct apply_edges *job = context;
    float *scratch = job->work->scratch + lane * job->scratch_size;
    for (;;) {
        const uint32_t at = atomic_add_u32(&job->next, APPLY_EDGES_CHUNK);
        if (at >= job->count) return;
        for (uint32_t i = at; i < job->count && i < at + APPLY_EDGES_CHUNK; i++)
            apply_edges_one(job, i, scratch);
    }
}

static omendb_status apply_edges_run(struct graph_work *work, struct apply_edges *job,
                                     omendb_error *err)
{
    const uint32_t threads = graph_work_threads(work);
    job->work = work;
    job->scratch_size = graph_edges_room(&work->graph->graph);
    if (!alloc_grow(&work->scratch, &work->scratch_capacity, threads * job->scratch_size,
                    sizeof *work->scratch))
        return graph_work_no_memory(err);
    atomic_store_relaxed_u32(&job->next, 0);
    const uint32_t useful = job->count / APPLY_EDGES_CHUNK + 1;
    thread_parallel(threads, threads < useful ? threads : useful, apply_edges_lane, job);
    return OMENDB_OK;
}

bool graph_apply_has_edges(const struct graph_work *work)
{
    return work->graph->graph.edges != NULL &&
           atomic_load_acquire_u32(&work->graph->graph.edges_ready) != 0;
}

/* Memory for the edges of all nodes there are. FULL, NOMEM. */
static omendb_status apply_edges_room(struct graph_work *work, omendb_error *err)
{
    struct graph_index *graph = work->graph;
    return graph_range_commit(&graph->edges,
                              (size_t)graph_work_node_count(graph) * graph->graph.edge_size, err);
}

bool graph_apply_edges_wanted(const struct graph_work *work)
{
    const struct graph_index *graph = work->graph;
    return graph_edges_pay(graph->graph.dim) &&
           atomic_load_acquire_u32(&graph->index->profile) == GRAPH_PROFILE_FAST &&
           (size_t)graph_work_node_count(graph) * graph->graph.edge_size <= graph->edges.length;
}

/* Without edges: walks that still read them find empty ones. */
void graph_apply_edges_drop(struct graph_work *work)
{
    struct graph_index *graph = work->graph;
    atomic_store_release_u32(&graph->graph.edges_ready, 0); /* with vector_search_plan() */
    memory_decommit(graph->edges.base, 0, graph->edges.committed);
    work->edges_at = 0;
}

/* Makes edges of the next nodes; ready when all are made. Links don't change meanwhile. */
omendb_status graph_apply_edges_piece(struct graph_work *work, omendb_error *err)
{
    struct graph_index *graph = work->graph;
    const uint32_t end = graph_work_node_count(graph);
    TRY(apply_edges_room(work, err));
    graph->graph.edges = graph->edges.base;
    const uint32_t left = end - work->edges_at;
    struct apply_edges job = {.first = work->edges_at,
                              .count = left < APPLY_EDGES_PIECE ? left : APPLY_EDGES_PIECE};
    TRY(apply_edges_run(work, &job, err));
    work->edges_at += job.count;
    if (work->edges_at == end)
        atomic_store_release_u32(&graph->graph.edges_ready, 1); /* with vector_search_plan() */
    return OMENDB_OK;
}

/* ---- Applying a plan ------------------------------------------------------------- */

/* Writer lock. Which slots changed. */
omendb_status graph_apply_row(struct graph_index *graph, const struct graph_row *row,
                              uint32_t *mask, omendb_error *err)
{
    TRY(array_prepare(graph->links, row->node, err));
    atomic_u32 *slots = array_at_writable(graph->links, row->node);
    *mask = 0;
    for (uint32_t i = 0; i < GRAPH_SLOTS; i++) {
        if (atomic_load_relaxed_u32(&slots[i]) == row->slots[i]) continue;
        *mask |= UINT32_C(1) << i;
        atomic_store_release_u32(&slots[i], row->slots[i]); /* A walk sees the node it leads to. */
    }
    return OMENDB_OK;
}

/* Rows [begin, end) of the plan, a few in each hold. INTERRUPTED when stopping. */
static omendb_status apply_rows_write(struct graph_work *work, size_t begin, size_t end,
                                      omendb_error *err)
{
    omendb_status status = OMENDB_OK;
    for (size_t at = begin; at < end && status == OMENDB_OK;) {
        if (host_stopping(work->host)) return fail(err, OMENDB_ERR_INTERRUPTED, "graph: stopped");
        host_lock(work->host);
        status = array_grow(work->graph->links, graph_work_node_count(work->graph), err);
        for (uint32_t i = 0; status == OMENDB_OK && i < WORK_LOCK_ROWS && at < end; i++, at++)
            status = graph_apply_row(work->graph, &work->plan.rows[at], &work->masks[at], err);
        host_changed(work->host);
        host_unlock(work->host);
    }
    return status;
}

static omendb_status apply_rows_edges(struct graph_work *work, size_t begin, size_t end,
                                      omendb_error *err)
{
    if (!graph_apply_has_edges(work) || begin == end) return OMENDB_OK;
    struct apply_edges job = {.rows = work->plan.rows + begin,
                              .masks = work->masks + begin,
                              .count = (uint32_t)(end - begin)};
    return apply_edges_run(work, &job, err);
}

/* Own rows and their edges first: then nobody enters a node that leads nowhere. */
omendb_status graph_apply_plan(struct graph_work *work, omendb_error *err)
{
    const struct graph_plan *plan = &work->plan;
    if (!alloc_grow(&work->masks, &work->masks_capacity, plan->count, sizeof *work->masks))
        return graph_work_no_memory(err);
    if (work->graph->graph.edges != NULL) TRY(apply_edges_room(work, err));
    TRY(apply_rows_write(work, 0, plan->own, err));
    /* Edges of whoever had the number before are still there. */
    for (size_t i = 0; i < plan->own; i++) work->masks[i] = UINT32_MAX;
    TRY(apply_rows_edges(work, 0, plan->own, err));
    const omendb_status status = apply_rows_write(work, plan->own, plan->count, err);
    /* Also when it ended early: what changed must not keep wrong edges. */
    if (status != OMENDB_OK) {
        if (graph_apply_has_edges(work)) graph_apply_edges_drop(work);
        return status;
    }
    return apply_rows_edges(work, plan->own, plan->count, err);
}

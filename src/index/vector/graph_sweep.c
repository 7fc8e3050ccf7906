/* graph_sweep.c - what is done about nodes that died. */
#include "base/alloc.h"
#include "index/vector/graph_work_inner.h"

enum {
    SWEEP_DELETES = 64, /* Freed nodes of a piece. */
    SWEEP_ROWS = 4096   /* Rows of a piece. */
};

/* ---- Deleting -------------------------------------------------------------------- */

/* Freed nodes that nothing was done about: their bits are taken. */
static omendb_status sweep_freed_take(struct graph_work *work, omendb_error *err)
{
    struct graph_index *graph = work->graph;
    const uint32_t count = graph_work_node_count(graph);
    const atomic_u64 *words = (const void *)graph->freed.base;
    work->batch_count = 0;
    if (!alloc_grow(&work->batch, &work->batch_capacity, SWEEP_DELETES, sizeof *work->batch))
        return graph_work_no_memory(err);
    for (uint32_t node = 0; node < count && work->batch_count < SWEEP_DELETES; node++) {
        if (node % 64 == 0 && atomic_load_relaxed_u64(&words[node / 64]) == 0) {
            node += 63;
            continue;
        }
        if (!graph_range_bit(&graph->freed, node)) continue;
        graph_range_clear(&graph->freed, node);
        (void)atomic_sub_u32(&graph->freed_count, 1);
        work->batch[work->batch_count++] = node;
    }
    return OMENDB_OK;
}

omendb_status graph_sweep_delete(struct graph_work *work, omendb_error *err)
{
    struct graph_index *graph = work->graph;
    const struct graph_change_options options = graph_work_options(work);
    TRY(sweep_freed_take(work, err));
    omendb_status status = OMENDB_OK;
    if (graph_work_living(graph) != 0) {
        status = graph_plan_delete(&graph->graph, work->batch, work->batch_count, &options,
                                   &work->plan, err);
        if (status == OMENDB_OK) status = graph_apply_plan(work, err);
    }
    if (status == OMENDB_OK) work->gone += work->batch_count;
    for (uint32_t i = 0; status != OMENDB_OK && i < work->batch_count; i++) {
        graph_range_set(&graph->freed, work->batch[i]);
        (void)atomic_add_u32(&graph->freed_count, 1);
    }
    return status;
}

bool graph_sweep_due(const struct graph_work *work)
{
    const uint32_t dead = atomic_load_relaxed_u32(&work->graph->dead_count);
    return dead != 0 && (uint64_t)dead * 10 >= work->graph->state.linked;
}

static omendb_status sweep_begin(struct graph_work *work, omendb_error *err)
{
    const struct graph_index *graph = work->graph;
    const uint32_t count = graph_work_node_count(graph);
    const size_t words = (size_t)count / 64 + 1;
    if (!alloc_grow(&work->swept, &work->swept_capacity, words, sizeof *work->swept))
        return graph_work_no_memory(err);
    const atomic_u64 *freed = (const void *)graph->freed.base;
    host_lock(work->host); /* A node that is dead and not yet freed would be released too early. */
    for (size_t i = 0; i < words; i++)
        work->swept[i] = atomic_load_relaxed_u64(&graph->graph.dead[i]) &
                         ~atomic_load_relaxed_u64(&freed[i]);
    host_unlock(work->host);
    work->sweep_at = 0;
    work->sweep_end = count;
    work->sweeping = true;
    return OMENDB_OK;
}

/* Writer lock. Nothing leads to the node any more. */
static omendb_status sweep_release_one(struct graph_index *graph, uint32_t node, omendb_error *err)
{
    struct graph_row row = {.node = node};
    uint32_t flags = 0, mask = 0;
    TRY(graph_index_prepare_state(graph, err));
    TRY(collection_node_flags(graph->collection, graph->field, node, &flags, err));
    if (node < array_capacity(graph->links)) TRY(graph_apply_row(graph, &row, &mask, err));
    TRY(collection_node_release(graph->collection, graph->field, node, err));
    if ((flags & NODE_LINKED) != 0) {
        graph->state.linked--;
        (void)atomic_sub_u32(&graph->dead_linked, 1);
    }
    graph_index_store_linked(graph);
    graph_range_clear(&graph->held, node);
    graph_range_clear(&graph->dead, node);
    (void)atomic_sub_u32(&graph->dead_count, 1);
    return OMENDB_OK;
}

static omendb_status sweep_release(struct graph_work *work, omendb_error *err)
{
    omendb_status status = OMENDB_OK;
    for (uint32_t node = 0; node < work->sweep_end && status == OMENDB_OK;) {
        if (host_stopping(work->host)) return fail(err, OMENDB_ERR_INTERRUPTED, "graph: stopped");
        host_lock(work->host);
        for (uint32_t i = 0; i < WORK_LOCK_ROWS && node < work->sweep_end && status == OMENDB_OK;) {
            if (work->swept[node / 64] == 0) {
                node = (node / 64 + 1) * 64;
                continue;
            }
            const uint64_t bit = UINT64_C(1) << (node % 64);
            if ((work->swept[node / 64] & bit) != 0) {
                status = sweep_release_one(work->graph, node, err);
                if (status != OMENDB_OK) break;
                work->swept[node / 64] &= ~bit;
                i++;
            }
            node++;
        }
        host_changed(work->host);
        host_unlock(work->host);
    }
    return status;
}

omendb_status graph_sweep_piece(struct graph_work *work, omendb_error *err)
{
    struct graph_index *graph = work->graph;
    if (!work->sweeping) TRY(sweep_begin(work, err));
    if (work->sweep_at < work->sweep_end) {
        const uint32_t left = work->sweep_end - work->sweep_at;
        const uint32_t end = work->sweep_at + (left < SWEEP_ROWS ? left : SWEEP_ROWS);
        const struct graph_change_options options = graph_work_options(work);
        TRY(graph_plan_sweep(&graph->graph, graph_work_held_bits(graph), work->swept,
                             work->sweep_at, end, &options, &work->plan, err));
        TRY(graph_apply_plan(work, err));
        work->sweep_at = end;
        return OMENDB_OK;
    }
    /* Nodes that were linked since the sweep began found no dead ones: rows beyond its end are
     * clean. The entries are the last that might lead to them. */
    host_lock(work->host);
    graph->state.finished = 0; /* Reach is proved anew. Stored with the entries. */
    host_unlock(work->host);
    TRY(graph_work_entries_choose(work, err));
    TRY(sweep_release(work, err));
    work->sweeping = false;
    (void)atomic_add_u32(&graph->sweeps, 1);
    return OMENDB_OK;
}
